"""Writes docs/config.md, the reference of the configuration: python scripts/document_config.py

Types and meanings are those of alexnet_exp/config/schema, defaults and options those of conf/.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import CONF

PAGE = CONF.parent / "docs" / "config.md"
SCHEMA = TypeAdapter(RunConfig).json_schema()
BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
MOST_VALUES = 5  # in one cell
INTRODUCTION = """\
# Configuration

Written by `python scripts/document_config.py` from the schemas in `alexnet_exp/config/schema` and the files in `conf/`.

`group=option` takes a file of `conf/<group>/`, `field=value` changes one value: `model=alexnet model.activation=tanh`.
Options in bold are the defaults, and the defaults of the fields are theirs, or those of the option in the heading.
Interpolations know the layers of the model: `${hidden_layers:}`, `${layers_from:conv5}` (it and all behind it),
`${layer_by_layer:10,0.01,0.001}` (stages of fine-tuning) and `${dropout_rates:0.1,0.5}` (convolutional, dense).
`???` must be given. `--cfg job` shows the values that a command composes.
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")


def page() -> str:
    """The reference: options and fields of each group, in the order of `RunConfig`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        defaults = OmegaConf.to_container(compose("config"))
    assert isinstance(defaults, dict)
    sections = [section(name, schema, defaults[name]) for name, schema in SCHEMA["properties"].items()]
    recipes = f"## experiment\n\nRecipes, each a delta on the defaults.\n\n{option_table('experiment', None)}"
    return "\n".join([INTRODUCTION, *sections, recipes])


def section(name: str, schema: dict[str, Any], default: Any) -> str:
    """One group, or one field of the root; its defaults keep their interpolations."""
    parts = [f"## {name}\n"]
    if (CONF / name).is_dir():
        parts.append(option_table(name, default["name"]))
    if "oneOf" in schema:  # one schema for each option
        for option, reference in schema["discriminator"]["mapping"].items():
            values = yaml.safe_load((CONF / name / f"{option}.yaml").read_text(encoding="utf-8"))
            parts.append(f"### {name}={option}\n\n{field_table(resolved({'$ref': reference}), values, name)}")
    elif "$ref" in schema:
        parts.append(field_table(resolved(schema), default, name))
    else:
        parts.append(table([row(name, schema, [default], attributes(SCHEMA)[name])]))
    return "\n".join(parts)


def option_table(group: str, default: str | None) -> str:
    rows = []
    for path in sorted((CONF / group).glob("*.yaml")):
        name = f"**`{path.stem}`**" if path.stem == default else f"`{path.stem}`"
        rows.append(f"| {name} | {escaped(what_it_is(path))} |")
    return "\n".join(["| option | |", "|---|---|", *rows, ""])


def what_it_is(path: Path) -> str:
    """The first sentence of the comment that a file of conf/ begins with."""
    text = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or text.endswith("."):
            break
        if not line.startswith("# @package"):
            text += " " + line.removeprefix("#").strip()
    return text.strip().removeprefix("What it shows: ")


def field_table(schema: dict[str, Any], values: dict[str, Any], prefix: str) -> str:
    summary = schema["description"].partition("\n\n")[0]
    rows = list(field_rows(schema, [values], prefix))
    return f"{escaped(summary)}\n\n{table(rows)}" if rows else f"{summary}\n"


def table(rows: list[str]) -> str:
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def field_rows(schema: dict[str, Any], values: list[dict[str, Any]], prefix: str) -> Iterator[str]:
    """A row for each field and, below it, the fields of its parts.

    Args:
      schema: of the dataclass.
      values: the defaults of its instances: several in a mapping or a list.
      prefix: of the names.
    """
    meanings = attributes(schema)
    if missing := [
        name for name, field in schema["properties"].items() if name not in meanings and "const" not in field
    ]:
        raise SystemExit(
            f"{schema['title']}: expected all fields under Attributes. Received: none for {', '.join(missing)}"
        )
    for name, field in schema["properties"].items():
        if "const" in field:  # chooses the schema
            continue
        path, found = f"{prefix}.{name}", [value[name] for value in values]
        yield row(path, field, found, meanings[name])
        if "$ref" in field:
            yield from field_rows(resolved(field), found, path)
        elif "$ref" in field.get("additionalProperties", {}):
            parts = [part for mapping in found for part in mapping.values()]
            yield from field_rows(resolved(field["additionalProperties"]), parts, f"{path}.<layer>")
        elif "$ref" in field.get("items", {}):
            parts = [part for some in found if not isinstance(some, str) for part in some]  # not of an interpolation
            yield from field_rows(resolved(field["items"]), parts, f"{path}[]")


def row(path: str, schema: dict[str, Any], values: list[Any], meaning: str) -> str:
    nested = any("$ref" in part for part in (schema, schema.get("items", {}), schema.get("additionalProperties", {})))
    defaults = list(dict.fromkeys(shown(value) for value in values))
    default = ", ".join(f"`{value}`" for value in defaults[:MOST_VALUES]) + (" ..." if defaults[MOST_VALUES:] else "")
    is_shown = not nested or all(isinstance(value, str) for value in values)
    return f"| `{path}` | {kind(schema)} | {default if is_shown else ''} | {escaped(meaning)} |"


def kind(schema: dict[str, Any]) -> str:
    """The type of a field in words, with its options or bounds."""
    match schema:
        case {"anyOf": some}:
            return " or ".join(kind(one) for one in some)
        case {"enum": options}:
            return ", ".join(f"`{option}`" for option in options)
        case {"const": only}:
            return f"`{only}`"
        case {"type": "array", "items": items}:
            return f"{schema['minItems']} of: {kind(items)}" if "maxItems" in schema else f"list of: {kind(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"for each layer: {kind(values)}"
        case {"$ref": _}:
            return "fields below"
        case {"type": "null"}:
            return "`null`"
        case _:
            bounds = [f"{sign} {schema[bound]}" for bound, sign in BOUNDS.items() if bound in schema]
            return escaped(" ".join([schema["type"], ", ".join(bounds)]).strip())


def attributes(schema: dict[str, Any]) -> dict[str, str]:
    """Field -> meaning, from the section `Attributes` of a docstring."""
    section = schema["description"].partition("Attributes:\n")[2]
    entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return definition


def shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def escaped(text: str) -> str:
    return text.replace("<", r"\<").replace("|", r"\|")


if __name__ == "__main__":
    main()
