"""Stores are opened by many at once, and an absent one is named within seconds."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient

from alexnet_exp.errors import TrackingError, UserError
from alexnet_exp.tracking.journal import journals
from alexnet_exp.tracking.query import check_weights, download_model, find_run
from alexnet_exp.tracking.reach import check_reachable, without_credentials
from alexnet_exp.tracking.registry import run_id_of
from alexnet_exp.tracking.store import use_store
from tests.tracking.servers import MlflowServer, free_port, postgres
from tests.tracking.writers import check_run, config_for, started_writers

WRITERS, EPOCHS = 8, 20


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URI of a database that nobody has opened yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh' / 'mlflow.db'}"
        return
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    if not (installed := sorted(Path("/usr/lib/postgresql").glob("*/bin"))):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with postgres(installed[-1]) as uri:
        yield uri


def test_eight_runs_start_together_on_a_fresh_store_and_lose_nothing(fresh: str, tmp_path: Path) -> None:
    config = config_for(fresh, tmp_path)
    with started_writers(WRITERS, config, tmp_path, EPOCHS, seconds=0.01) as writers:
        for writer in writers:
            writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    client = MlflowClient(fresh)
    runs = client.search_runs([client.get_experiment_by_name("alexnet").experiment_id])
    assert len(runs) == WRITERS
    for run in runs:
        check_run(client, run.info.run_id, EPOCHS)
    assert journals(tmp_path / "state") == []


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that takes connections and never says anything."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def test_a_server_that_hangs_at_the_start_is_named_within_ten_seconds(hanging: str, tmp_path: Path) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "alexnet_exp", f"tracking.uri='http://somebody:secret@{hanging}'"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert time.monotonic() - started < 10
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: tracking.uri: expected a store that answers. Received: http://{hanging} (")


@pytest.mark.parametrize(
    "uri",
    [
        f"http://127.0.0.1:{free_port()}",
        f"postgresql://somebody@127.0.0.1:{free_port()}/runs",
        "https://tracking.invalid",
        "http://127.0.0.1:port",
    ],
    ids=["refuses", "database refuses", "has no address", "is no address"],
)
def test_a_store_that_is_away_at_the_start_is_named_within_ten_seconds(uri: str) -> None:
    started = time.monotonic()
    with pytest.raises(TrackingError, match=rf"^tracking\.uri: .*Received: {without_credentials(uri)} \("):
        check_reachable(uri)
    assert time.monotonic() - started < 10


def test_credentials_are_not_shown() -> None:
    assert without_credentials("postgresql://me:secret@host:1/runs") == "postgresql://host:1/runs"
    assert without_credentials("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"


def test_the_store_in_use_is_named_without_its_credentials(tmp_path: Path) -> None:
    server = MlflowServer(tmp_path)
    try:
        use_store(server.uri.replace("//", "//somebody:secret@"))
        for ask, name in (
            (find_run, "0123"),
            (check_weights, "0123"),
            (partial(download_model, folder=tmp_path), "0123"),
            (run_id_of, "models:/nobody@champion"),
        ):
            with pytest.raises(UserError, match=rf" in {server.uri}\. .*Received: ") as raised:
                ask(name)
            assert "secret" not in str(raised.value)
    finally:
        server.stop()
        use_store(None)
