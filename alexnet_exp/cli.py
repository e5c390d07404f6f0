"""The command line: compose, check, hand over, exit code. TensorFlow is imported only when an experiment starts."""

import errno
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from alexnet_exp import tuning
from alexnet_exp.config import config_from
from alexnet_exp.config.compose import CONF, plain
from alexnet_exp.config.explain import explain, is_mistake
from alexnet_exp.config.resolvers import register_resolvers
from alexnet_exp.console import one_line_a_run, silent_stderr
from alexnet_exp.errors import ConfigError, UserError, one_line
from alexnet_exp.sweep import failures, job_settings, record_failure, show_failures
from alexnet_exp.tracking.reach import check_reachable

log = logging.getLogger(__name__)


def main() -> None:
    """Runs `alexnet-exp`. A user's mistake is shown in one line each, with exit code 1."""
    try:
        code = launch()
    finally:
        show_failures(shlex.join(["alexnet-exp", *sys.argv[1:]]))
    if code:
        sys.exit(code)


def launch() -> int | str:
    """Runs the jobs of the command line; returns the exit code, or what to say with exit code 1.

    Raises:
      SystemExit: when a signal ends it, or with `run.fail_fast` a failing job.
    """
    show_traceback = os.environ.get("HYDRA_FULL_ERROR", "")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands exceptions on instead of printing them
    signal.signal(signal.SIGTERM, terminate)
    register_resolvers()
    try:
        app()
    except KeyboardInterrupt:
        interrupted()
    except Exception as error:
        if {_cause(error), str(error)} & {failure.cause for failure in failures()}:  # a job of a sweep told it
            return 1
        if show_traceback or not is_mistake(error):
            raise
        return message(error)
    finally:
        os.environ["HYDRA_FULL_ERROR"] = show_traceback
    return 0


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def app(composed: DictConfig) -> float:
    """One job: checks the composed configuration and runs the experiment; returns val accuracy, for sweepers.

    Launchers call it in processes of their own, and pickle what it raises.
    """
    signal.signal(signal.SIGTERM, terminate)
    _prepare_terminal(HydraConfig.get())
    try:
        config = config_from(_plain(composed))
        check_reachable(config.tracking.uri)
        if not log.isEnabledFor(logging.DEBUG):
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        with silent_stderr():
            from alexnet_exp.run import Pruned, run

        try:
            with _full_disk_named():
                return run(config, list(HydraConfig.get().overrides.task), _is_hopeless(config.run.trial)).val_accuracy
        except Pruned as pruned:
            return pruned.val_accuracy
    except UserError as error:
        if HydraConfig.get().mode == RunMode.RUN:
            sys.exit(message(error))
        log.error("job %s failed: %s", HydraConfig.get().job.num, _cause(error))
        _failed(_cause(error), composed.run.fail_fast)
        raise
    except Exception as error:
        if HydraConfig.get().mode == RunMode.RUN:
            raise
        log.exception("job %s failed", HydraConfig.get().job.num)
        _failed(_cause(error), composed.run.fail_fast)
        raise RuntimeError(_cause(error)) from None


def _is_hopeless(trial: int | None) -> Callable[[int, float], bool] | None:
    """What a trial of Optuna asks after each epoch; None for any other job."""
    if trial is None or HydraConfig.get().mode == RunMode.RUN:
        return None
    sweeper = HydraConfig.get().sweeper
    return tuning.watched(sweeper.study, sweeper.storage, trial, instantiate(sweeper.pruner))


def _cause(error: Exception) -> str:
    return "; ".join(explain(error)) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"


def _failed(cause: str, fail_fast: bool) -> None:
    record_failure(cause)
    if fail_fast:
        sys.exit(1)  # Hydra lets it end the sweep


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(f"expected room on the disk. Received: {error}") from None


def _prepare_terminal(settings: HydraConf) -> None:
    if settings.verbose is True:  # Hydra raises the root logger alone
        logging.getLogger("alexnet_exp").setLevel(logging.DEBUG)
    elif settings.mode == RunMode.MULTIRUN:
        alone = settings.launcher["_target_"].endswith(".BasicLauncher")
        one_line_a_run(" ".join([f"#{settings.job.num}", *job_settings()]), shares_terminal=not alone)


def _plain(composed: DictConfig) -> dict[str, Any]:
    try:
        return plain(composed)
    except OmegaConfBaseException as error:
        raise ConfigError("; ".join(explain(error))) from None


def message(error: Exception) -> str:
    """A user's mistake, ours or one that Hydra found, in lines that start with `error: `."""
    return "\n".join(f"error: {line}" for line in explain(error))


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """Ends a script at a user's mistake (exit code 1) or at Ctrl-C without a traceback; decorates its `main`."""
    try:
        yield
    except KeyboardInterrupt:
        interrupted()
    except Exception as error:
        if not is_mistake(error) and not isinstance(error, OSError):
            raise
        sys.exit(message(error))


def check_place(option: str, path: Path) -> None:
    """Raises UserError where there is no folder for the file that an option of a script names."""
    if not path.absolute().parent.is_dir():
        raise UserError(f"--{option}: expected a place in a folder that exists. Received: {path}")


def interrupted() -> NoReturn:
    """Ends the process as Ctrl-C does, in one line."""
    sys.stderr.write("interrupted\n")
    sys.exit(128 + signal.SIGINT)


def terminate(number: int, frame: FrameType | None) -> None:
    """Handles SIGTERM as SIGINT is handled: contexts are left, and the exit code is 128 + the signal."""
    sys.exit(128 + number)
