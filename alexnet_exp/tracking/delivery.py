"""A journal on its way to MLflow: in batches, off the training thread, or later."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from filelock import Timeout
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param, RunTag
from mlflow.models import Model

from alexnet_exp.errors import UserError
from alexnet_exp.tracking.journal import Journal, Record, journals, now
from alexnet_exp.tracking.reach import check_reachable, without_credentials
from alexnet_exp.tracking.store import short, use_store

log = logging.getLogger(__name__)

MOST = {"metrics": 1000, "params": 100, "tags": 100}  # MLflow takes no more in one call
GATHER_SECONDS = 1.0  # between two calls: quick epochs share one
HEARTBEAT, HEARTBEAT_SECONDS = "heartbeat", 60.0  # the tag with a run's last sign of life (ms), and how often
FAILURE, ERROR = "failure", "error"  # tags of a run that failed: the kind, and the message
LONGEST_PAUSE = 30.0  # after an outage, however long, the store is found within this time


@dataclass
class Batch:
    """One call of MLflow: values that go together, or a single record of another kind."""

    end: int
    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    other: Record | None = None

    def takes(self, record: Record) -> bool:
        kind = record["kind"]
        return kind in MOST and self.other is None and len(getattr(self, kind)) + len(record["values"]) <= MOST[kind]

    def add(self, end: int, record: Record) -> None:
        self.end = end
        match record["kind"]:
            case "metrics":
                self.metrics += _metrics(record)
            case "params" | "tags" as kind:
                getattr(self, kind).update(record["values"])
            case _:
                self.other = record


def deliver(journal: Journal, client: MlflowClient) -> None:
    """Sends what is not confirmed, in order, and notes each batch that arrived.

    A batch whose confirmation was lost is sent again. That leaves no second copy: in MLflow's databases name, step,
    timestamp and value are the key of a metric, and everything else has one place.
    """
    for batch in _batches(journal.pending()):
        _send(batch, journal, client)
        journal.confirm(batch.end)


class Sender:
    """Delivers a journal from a thread of its own while the run goes on: training never waits for the store."""

    def __init__(self, journal: Journal, client: MlflowClient):
        self._journal, self._client = journal, client
        self._news, self._closing, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Says that the journal has grown."""
        self._news.set()

    def close(self, seconds: float) -> Exception | None:
        """Delivers the rest, and gives up when the store confirms nothing for `seconds`.

        Returns:
          What keeps it from being delivered; None when it arrived whole.
        """
        self._closing.set()
        self._news.set()
        position, since = -1, time.monotonic()
        while self._thread.is_alive() and time.monotonic() - since < seconds:
            self._thread.join(0.05)
            if (reached := self._journal.position) != position:
                position, since = reached, time.monotonic()
        self._given_up.set()
        if self._thread.is_alive():
            return self._error or TimeoutError(f"nothing was confirmed in {seconds:g} s")
        return None

    def _work(self) -> None:
        failures, beat = 0, time.monotonic()
        while not self._given_up.is_set():
            self._news.wait(HEARTBEAT_SECONDS)
            self._closing.wait(GATHER_SECONDS)
            self._news.clear()
            last = self._closing.is_set()  # asked before delivering: whatever comes later is delivered by another round
            try:
                deliver(self._journal, self._client)
                if time.monotonic() - beat > HEARTBEAT_SECONDS and not last:
                    self._client.set_tag(self._journal.run_id, HEARTBEAT, str(now()))
                    beat = time.monotonic()
            except Exception as error:  # MLflow's, the network's, the disk's: all are tried again
                failures += 1
                self._error = error
                if failures == 1:
                    log.warning("the tracking store does not answer, the journal keeps everything (%s)", short(error))
                self._news.set()
                (self._given_up if last else self._closing).wait(min(2.0**failures / 2, 1.0 if last else LONGEST_PAUSE))
                continue
            if failures:
                log.info("the tracking store answers again")
            failures, self._error = 0, None
            if last:
                return


@dataclass(frozen=True)
class Delivery:
    """What became of a journal: it arrived (None), or why not."""

    run_id: str
    problem: str | None


def sync(state: Path, uri: str | None) -> list[Delivery]:
    """Delivers all journals below a state folder that are not delivered yet; those of live runs are left alone.

    Args:
      state: the folder of journals.
      uri: the configured store. A journal goes to its own; this gives the credentials, which journals do not keep.
    """
    deliveries = []
    for journal in journals(state):
        with contextlib.suppress(Timeout), journal.held():
            if journal.delivered:
                remove_finished(journal)  # its process was killed before it could
                continue
            problem = None
            try:
                deliver(journal, _client_of(journal, uri))
                remove_finished(journal)
            except Exception as error:  # one journal that cannot be delivered does not hold up the others
                problem = str(error) if isinstance(error, UserError) else short(error)
            deliveries.append(Delivery(journal.run_id, problem))
    return deliveries


def remove_finished(journal: Journal) -> None:
    """Removes the journal of a run that is over and was delivered; one that can be resumed keeps it."""
    if journal.over and journal.delivered:
        journal.delete()


def _client_of(journal: Journal, uri: str | None) -> MlflowClient:
    store = journal.store
    if uri and without_credentials(uri) == store:
        store = uri
    check_reachable(store)
    return MlflowClient(use_store(store))


def _batches(pending: Iterable[tuple[int, Record]]) -> Iterator[Batch]:
    batch = None
    for end, record in pending:
        if batch and not batch.takes(record):
            yield batch
            batch = None
        batch = batch or Batch(end)
        batch.add(end, record)
    if batch:
        yield batch


def _send(batch: Batch, journal: Journal, client: MlflowClient) -> None:
    run_id, record = journal.run_id, batch.other
    if record is None:
        params = [Param(name, value) for name, value in batch.params.items()]
        client.log_batch(run_id, batch.metrics, params, [RunTag(name, value) for name, value in batch.tags.items()])
        return
    match record["kind"]:
        case "artifact":
            parent = PurePosixPath(record["path"]).parent
            client.log_artifact(
                run_id, str(journal.artifacts / record["path"]), None if parent.name == "" else str(parent)
            )
        case "model":
            _send_model(journal.folder / record["path"], journal, client)
        case "status" if record["status"] == "RUNNING":
            client.update_run(run_id, "RUNNING")
            for tag in {FAILURE, ERROR} & client.get_run(run_id).data.tags.keys():
                client.delete_tag(run_id, tag)
        case "status":
            client.set_terminated(run_id, record["status"], record["timestamp"])


def _send_model(folder: Path, journal: Journal, client: MlflowClient) -> None:
    """What `mlflow.pyfunc.log_model` does with a saved model, in steps that can be repeated."""
    run = client.get_run(journal.run_id)
    source = f"source_run_id = '{journal.run_id}' AND name = '{folder.name}'"
    models = client.search_logged_models([run.info.experiment_id], source)
    logged = (
        models[0]
        if models
        else client.create_logged_model(run.info.experiment_id, folder.name, journal.run_id, params=run.data.params)
    )
    if logged.model_id not in [output.model_id for output in run.outputs.model_outputs]:
        client.log_outputs(journal.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    saved = Model.load(str(folder))
    saved.run_id, saved.model_id, saved.model_uuid = journal.run_id, logged.model_id, logged.model_id
    saved.artifact_path = logged.artifact_location
    saved.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    client.log_batch(journal.run_id, _test_metrics(journal, logged.model_id))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _test_metrics(journal: Journal, model_id: str) -> list[Metric]:
    """The points on the test images once more, now as the model's: MLflow's list of models shows them."""
    records = [record for record in journal.records() if record["kind"] == "metrics"]
    points = [point for record in records for point in _metrics(record, model_id)]
    return [point for point in points if point.key.startswith("test/")]


def _metrics(record: Record, model_id: str | None = None) -> list[Metric]:
    timestamp, step = record["timestamp"], record["step"]
    return [Metric(name, value, timestamp, step, model_id=model_id) for name, value in record["values"].items()]
