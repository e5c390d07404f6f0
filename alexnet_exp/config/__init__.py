"""The typed configuration of one experiment."""

from alexnet_exp.config.load import CONF, compose_config, config_from, to_dict
from alexnet_exp.config.schema import RunConfig

__all__ = ["CONF", "RunConfig", "compose_config", "config_from", "to_dict"]
