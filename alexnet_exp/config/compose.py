"""Composition by Hydra outside of the command line. What loads a logged model does not need it, nor Hydra."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from alexnet_exp.config.load import config_from
from alexnet_exp.config.schema import RunConfig

CONF = Path(__file__).resolve().parents[2] / "conf"


def compose_config(overrides: list[str]) -> RunConfig:
    """Composes and checks a configuration outside of the command line: `compose_config(["model=alexnet"])`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=overrides)
    return config_from(OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
