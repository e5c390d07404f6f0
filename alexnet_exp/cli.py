"""The command line: compose, check, hand over, exit code. TensorFlow is imported only when an experiment starts."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from alexnet_exp.config import config_from
from alexnet_exp.config.compose import CONF
from alexnet_exp.console import silent_stderr
from alexnet_exp.errors import ConfigError, UserError
from alexnet_exp.tracking.reach import check_reachable

log = logging.getLogger(__name__)
LAYER_TABLES = ("model.conv.", "model.dense.", "model.dropout.rates.")


def main() -> None:
    """Runs `alexnet-exp`. A user's mistake is shown in one line each, with exit code 1."""
    show_traceback = bool(os.environ.get("HYDRA_FULL_ERROR"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands exceptions on instead of printing them
    signal.signal(signal.SIGTERM, terminate)
    try:
        app()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if show_traceback:
            raise
        sys.exit(message(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(128 + signal.SIGINT)


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def app(composed: DictConfig) -> float:
    """One job: checks the composed configuration and runs the experiment; returns val accuracy, for sweepers."""
    try:
        config = config_from(_plain(composed))
        check_reachable(config.tracking.uri)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        with silent_stderr():
            from alexnet_exp.run import run

        with _full_disk_named():
            return run(config, list(HydraConfig.get().overrides.task)).val_accuracy
    except UserError as error:
        if HydraConfig.get().mode == RunMode.RUN:
            sys.exit(message(error))
        log.error("job %s failed: %s", HydraConfig.get().job.num, "; ".join(_lines(error)))
        raise
    except Exception:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            log.exception("job %s failed", HydraConfig.get().job.num)
        raise


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(f"expected room on the disk. Received: {error}") from None


def _plain(composed: DictConfig) -> dict[str, Any]:
    try:
        return OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError("; ".join(_lines(error))) from None


def message(error: Exception) -> str:
    """A user's mistake, ours or one that Hydra found, in lines that start with `error: `."""
    return "\n".join(f"error: {line}" for line in _lines(error))


def _lines(error: Exception) -> list[str]:
    """What to tell the user, with the options where a name is unknown."""
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, received = error.missing_cfg_file.rpartition("/")
        return [f"{group}: unknown option. Options: {', '.join(error.options)}. Received: {received}"]
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, MissingMandatoryValue):
        return [f"{cause.full_key}: a value is required, {cause.full_key}=<value>. Received: none"]
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and isinstance(cause.parent_node, DictConfig):
        options = ", ".join(str(key) for key in cause.parent_node)
        key = str(cause.full_key)
        hint = f" (+{key}=... adds a layer)" if key.startswith(LAYER_TABLES) else ""
        return [f"{key}: unknown option. Options: {options}. Received: {cause.key}{hint}"]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines if isinstance(error, ConfigError) else [" ".join(lines)]


def terminate(number: int, frame: FrameType | None) -> None:
    """Handles SIGTERM as SIGINT is handled: contexts are left, and the exit code is 128 + the signal."""
    sys.exit(128 + number)
