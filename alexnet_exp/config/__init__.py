"""The typed configuration of one experiment."""

from alexnet_exp.config.load import config_from, to_dict
from alexnet_exp.config.schema import RunConfig

__all__ = ["RunConfig", "config_from", "to_dict"]
