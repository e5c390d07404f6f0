"""From Hydra's composed mapping to a checked `RunConfig`; every error at once, one line each."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from alexnet_exp.config.checks import cross_field_errors, missing_files
from alexnet_exp.config.schema import NoWeights, RunConfig, Scratch
from alexnet_exp.errors import ConfigError

QUOTE = "'"  # around names in messages of pydantic


def config_from(mapping: dict[str, Any], to_run: bool = True) -> RunConfig:
    """Builds the typed configuration.

    Args:
      mapping: the composed and resolved configuration, as plain dicts, lists and scalars.
      to_run: whether the data and weights that it names have to be there.

    Raises:
      ConfigError: with one line for each thing that is wrong.
    """
    try:
        config = TypeAdapter(RunConfig).validate_python(mapping)
    except ValidationError as error:
        raise ConfigError("\n".join(_lines(error))) from None
    if isinstance(config.strategy, Scratch) and config.strategy.ignore_weights:
        config = replace(config, weights=NoWeights(name="none", kind="none"))
    if errors := [*cross_field_errors(config), *(missing_files(config) if to_run else ())]:
        raise ConfigError("\n".join(errors))
    return config


def to_dict(value: Any) -> dict[str, Any]:
    """The opposite of `config_from`, for the whole configuration or one group."""
    plain: dict[str, Any] = TypeAdapter(type(value)).dump_python(value)
    return plain


def _lines(error: ValidationError) -> list[str]:
    """A line for each field, also where it may be of several types and each has its own objection."""
    found: dict[str, tuple[str, Any]] = {}
    for detail in error.errors():
        field, wanted, received = _parts(detail)
        earlier, _ = found.get(field, ("", None))
        found[field] = f"{earlier} or {wanted.removeprefix('expected ')}" if earlier else wanted, received
    return [f"{field}: {wanted}. Received: {received}" for field, (wanted, received) in found.items()]


def _parts(detail: Any) -> tuple[str, str, Any]:
    """The field, what was wanted, and what was received."""
    path, context = detail["loc"], detail.get("ctx", {})
    field, received = _dotted(path), repr(detail["input"])
    match detail["type"]:
        case "unexpected_keyword_argument" if "/" in field:  # where Hydra finds no such group, it takes it for a field
            return field, "unknown group. Options: the folders of conf/", path[-1]
        case "unexpected_keyword_argument":
            return field, f"unknown option. Options: {', '.join(_options(path[:-1]))}", path[-1]
        case "missing":
            return field, "a value is required", "none"
        case "union_tag_invalid":
            name = context["discriminator"].strip(QUOTE)
            return f"{field}.{name}", f"expected one of {context['expected_tags']}", context["tag"]
        case "too_short":
            return field, f"expected at least {context['min_length']} in the list", received
        case "string_too_short":
            return field, "expected some text", received
        case "string_pattern_mismatch":
            return field, f"expected text that matches {context['pattern']}", received
        case "dataclass_type":
            return field, "expected fields and their values", received
    message = detail["msg"].removeprefix("Input should be ").removeprefix("a valid ").removeprefix("Value error, ")
    return field, f"expected {message}", received


def _dotted(path: tuple[str | int, ...]) -> str:
    """The path as a user writes it: without the tag that pydantic adds where a group has several schemas."""
    schema: Any = RunConfig
    words = []
    for part in path:
        schema, is_tag = _descend(schema, part)
        if not is_tag:
            words.append(str(part))
    return ".".join(words)


def _options(path: tuple[str | int, ...]) -> list[str]:
    schema: Any = RunConfig
    for part in path:
        schema, _ = _descend(schema, part)
    return [field.name for field in fields(schema)]


def _descend(schema: Any, part: str | int) -> tuple[Any, bool]:
    """The schema below `part`, and whether `part` is a tag that chooses one of several schemas."""
    if is_dataclass(schema):
        return get_type_hints(schema).get(str(part)), False
    members = get_args(schema)
    for member in members:
        if is_dataclass(member) and any(part in get_args(hint) for hint in get_type_hints(member).values()):
            return member, True
    if isinstance(part, int) or (members and members[0] is str):
        return next((member for member in members if is_dataclass(member)), None), False
    return None, part not in members and not isinstance(part, int)
