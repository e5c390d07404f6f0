"""Composes and checks every job of many commands of alexnet-exp, in the repository that PYTHONPATH names.

Reads a JSON list of lists of overrides, and writes the mistakes that it finds, one a line.
"""

import itertools
import json
import sys
from collections.abc import Iterator

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from alexnet_exp.config import config_from
from alexnet_exp.config.compose import CONF, plain
from alexnet_exp.config.explain import explain


def main() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        for overrides in json.load(sys.stdin):
            try:
                for job in itertools.product(*map(settings, parser.parse_overrides(overrides))):
                    config_from(plain(compose("config", overrides=list(job))))
            except Exception as error:
                sys.stdout.write(f"{' '.join(overrides)}: {'; '.join(explain(error))}\n")


def settings(override: Override) -> Iterator[str]:
    """The override once for each of its values; seeds, which make no difference here, for the last."""
    if not override.is_sweep_override():
        yield str(override.input_line)
    elif not override.is_discrete_sweep():  # an interval of Optuna
        yield f"{override.get_key_element()}={override.value().start}"
    else:
        values = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        yield from values[-1:] if str(override.key_or_group).endswith("seed") else values


if __name__ == "__main__":
    main()
