"""One MLflow run from its beginning, new or resumed, to an honest status."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from logging.handlers import MemoryHandler
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from alexnet_exp.config import RunConfig, to_dict
from alexnet_exp.config.fingerprint import config_sha256, flatten, science
from alexnet_exp.config.schema import RunWeights
from alexnet_exp.errors import RunIsLive, TrackingError, TrainingDiverged
from alexnet_exp.tracking.delivery import ERROR, FAILURE, HEARTBEAT, remove_finished
from alexnet_exp.tracking.identity import (
    CONFIG_SHA256,
    FINGERPRINT,
    PLACE,
    earlier_run,
    note_reuse,
    part_in_study,
    place,
)
from alexnet_exp.tracking.journal import Journal, now
from alexnet_exp.tracking.note import NOTE, note
from alexnet_exp.tracking.provenance import CONFIG, OVERRIDES, PACKAGES, code_tags, packages
from alexnet_exp.tracking.store import short, store_in_use
from alexnet_exp.tracking.tracker import Tracker

log = logging.getLogger(__name__)

SCENARIOS = {
    "scratch": "training from scratch",
    "finetune": "layer-wise fine-tuning",
    "features_svm": "feature extraction",
    "features_mlp": "feature extraction",
}
RUN_LOG = "run.log"
UNDELIVERED = (
    "run %s is complete in %s, but its store does not answer (%s); when it does: python scripts/runs.py sync --state %s"
)


@dataclass(frozen=True)
class Finished:
    """A run that has finished the same experiment: its id, its study, and the last value of each metric."""

    run_id: str
    study: str
    metrics: dict[str, float]


class TrackedRun:
    """A context in which a run begins, and ends FINISHED, FAILED (an exception) or KILLED (interrupted).

    What fails before it begins is a FAILED run too. From the beginning on the store may go away: what it misses is
    delivered when it is back, or by `scripts/runs.py sync`.
    """

    def __init__(self, config: RunConfig, experiment_id: str, overrides: list[str]):
        self._config, self._experiment_id, self._overrides = config, experiment_id, overrides
        self._client, self._stack = MlflowClient(), ExitStack()
        self._log = RunLog()
        self._tracker: Tracker | None = None

    def __enter__(self) -> "TrackedRun":
        self._stack.enter_context(self._log)
        return self

    def begin(self, config: RunConfig, fingerprint: str | None = None) -> Tracker | Finished:
        """Begins the run, or resumes one of the same experiment.

        Args:
          config: with all that was left open settled.
          fingerprint: of the experiment; None begins a run that nobody can reuse.

        Returns:
          Where `run.if_exists` allows it, the finished run of the same experiment: then there is nothing to do.

        Raises:
          RunIsLive: when another process works on it.
          TrackingError: when the store takes no run, or the state cannot be written.
        """
        state = _state_folder(config)
        # of two processes that start at once, the second finds the run of the first
        with FileLock(state / ".lock"), _store_errors():
            earlier = None
            if fingerprint:
                earlier = earlier_run(self._client, self._experiment_id, fingerprint, config.run.if_exists, state)
            if earlier and earlier.info.status == "FINISHED":
                job = config_sha256(self._config)
                note_reuse(earlier.info.run_id, earlier.data.tags, part_in_study(self._config), job)
                return Finished(earlier.info.run_id, earlier.data.tags["study"], earlier.data.metrics)
            journal = Journal(state / (earlier.info.run_id if earlier else self._new_run(config, fingerprint, state)))
            try:
                self._stack.enter_context(journal.held())
                self._tracker = tracker = Tracker(journal, self._client)
            except Timeout:
                raise RunIsLive(f"expected a run that no process works on. Received: {journal.run_id}") from None
            except OSError as full:
                self._tell_directly(journal.run_id, "FAILED", full)
                raise TrackingError(f"paths.state: expected room for a journal. Received: {full}") from None
        self._log.write_to(journal.artifacts / RUN_LOG)
        if earlier:
            log.info("resumes run %s, which is %s", journal.run_id, earlier.info.status)
            tracker.resume(**self._place_in_study())
        if not journal.has("params"):
            self._log_config(tracker, config)
        return tracker

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            if self._tracker is None and isinstance(error, Exception) and not isinstance(error, TrackingError):
                with suppress(TrackingError):
                    self.begin(self._config)
            if self._tracker:
                self._end(self._tracker, error)

    def _end(self, tracker: Tracker, error: BaseException | None) -> None:
        status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
        try:
            if isinstance(error, Exception):
                self._log.write_traceback(error)
                failure = "diverged" if isinstance(error, TrainingDiverged) else type(error).__name__
                tracker.tag(**{FAILURE: failure, ERROR: f"{type(error).__name__}: {error}"})
            tracker.end(status, RUN_LOG)
        except OSError as full:  # no room for the journal: the store is told without it
            log.warning("the journal cannot be written (%s)", short(full))
            self._tell_directly(tracker.run_id, status, error or full)
        if status == "FINISHED" or tracker.journal.over:
            shutil.rmtree(tracker.checkpoints, ignore_errors=True)
        if problem := tracker.close(self._config.tracking.flush_seconds):
            journal = tracker.journal
            log.warning(UNDELIVERED, journal.run_id, journal.folder, short(problem), journal.folder.parent)
        else:
            remove_finished(tracker.journal)

    def _place_in_study(self) -> dict[str, str]:
        """Of the configuration as it was composed: the same whatever machine settles it."""
        return part_in_study(self._config) | {CONFIG_SHA256: config_sha256(self._config)}

    def _tell_directly(self, run_id: str, status: str, error: BaseException) -> None:
        with suppress(MlflowException):
            self._client.set_tag(run_id, FAILURE, type(error).__name__)
            self._client.set_tag(run_id, ERROR, f"{type(error).__name__}: {error}")
            self._client.set_terminated(run_id, status)

    def _new_run(self, config: RunConfig, fingerprint: str | None, state: Path) -> str:
        name = config.run.name or f"{config.strategy.name}-{config.dataset.name}-seed{config.seed}"
        tags = _tags(config) | self._place_in_study() | {PLACE: place(state), HEARTBEAT: str(now())}
        tags |= {FINGERPRINT: fingerprint} if fingerprint else {}
        run = self._client.create_run(self._experiment_id, run_name=name, tags=resolve_tags(tags))
        return str(run.info.run_id)

    def _log_config(self, tracker: Tracker, config: RunConfig) -> None:
        settings = to_dict(config)
        settings["tracking"]["uri"] = None  # it may hold a password
        tracker.log_yaml(CONFIG, settings)
        tracker.log_yaml(OVERRIDES, self._overrides)
        tracker.log_yaml(PACKAGES, packages())
        tracker.log_text("config/command.txt", " ".join(sys.argv))
        tracker.tag(**{NOTE: note(config, tracker.run_id)})
        tracker.log_params(flatten(science(config)))


class RunLog(MemoryHandler):
    """Keeps the package's log until there is a file for it, and writes it there from then on."""

    def __init__(self) -> None:
        super().__init__(capacity=100_000, flushLevel=logging.CRITICAL + 1)
        self._logger = logging.getLogger("alexnet_exp")

    def __enter__(self) -> "RunLog":
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        if self.target:
            with suppress(OSError):
                self.target.close()
        self.close()

    def write_to(self, file: Path) -> None:
        handler = logging.FileHandler(file)
        handler.handleError = _nothing  # type: ignore[method-assign]
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self.setTarget(handler)
        self.flush()
        self.flushLevel = logging.NOTSET

    def write_traceback(self, error: BaseException) -> None:
        """Of what ends the run; the terminal shows one line."""
        found = (type(error), error, error.__traceback__)
        self.handle(self._logger.makeRecord(__name__, logging.ERROR, __file__, 0, "the run failed", (), found))


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise TrackingError(
            f"tracking.uri: expected a store that takes a new run. Received: {store_in_use()} ({short(error)})"
        ) from None


def _nothing(record: logging.LogRecord) -> None:
    """A disk that is full: the journal finds out, and says so."""


def _state_folder(config: RunConfig) -> Path:
    folder = Path(config.paths.state).absolute()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise TrackingError(f"paths.state: expected a folder that can be written. Received: {folder}")
    return folder


def _tags(config: RunConfig) -> dict[str, str]:
    tags = {
        "scenario": SCENARIOS[config.strategy.name],
        "strategy": config.strategy.name,
        "dataset": config.dataset.name,
        "model": config.model.name,
        "weights": config.weights.name,
        "protocol": "test each epoch" if config.evaluation.test_each_epoch else "test once",
        "seed": str(config.seed),
    }
    if isinstance(config.weights, RunWeights):
        tags["weights_run_id"] = config.weights.run_id
    return tags | code_tags()
