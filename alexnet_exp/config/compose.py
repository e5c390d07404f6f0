"""Composition by Hydra outside of the command line. What loads a logged model does not need it, nor Hydra."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from alexnet_exp.config.load import config_from
from alexnet_exp.config.resolvers import register_resolvers
from alexnet_exp.config.schema import RunConfig

CONF = Path(__file__).resolve().parents[2] / "conf"


def compose_config(overrides: list[str], to_run: bool = True) -> RunConfig:
    """Composes and checks a configuration outside of the command line: `compose_config(["model=alexnet"])`.

    Args:
      overrides: as on the command line.
      to_run: whether the data and weights that it names have to be there.

    Raises:
      ConfigError: with one line for each thing that is wrong.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return config_from(plain(compose("config", overrides=overrides)), to_run)


def plain(composed: DictConfig) -> dict[str, Any]:
    """What Hydra composed as dicts, lists and scalars, without interpolations."""
    register_resolvers()
    return OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
