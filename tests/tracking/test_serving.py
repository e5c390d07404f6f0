"""The logged model behind HTTP: the answers of predict, a clear 400 for what is no image, many clients at once."""

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import numpy as np
import pandas as pd
import pytest
import uvicorn
from mlflow.pyfunc import scoring_server
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.run import run
from tests.conftest import TINY
from tests.tracking.servers import START_SECONDS, free_port

CLIENTS = 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a run's model in MLflow."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        config = compose_config([*TINY, "dataset.limit_per_class=20"])
        yield f"runs:/{run(config, []).run_id}/model"


@pytest.fixture(scope="module", params=["thread", pytest.param("process", marks=pytest.mark.faults)])
def server(model: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves the model as `mlflow models serve` does: its server in a thread of ours, or the command itself."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    if request.param == "thread":
        app = scoring_server.init(mlflow.pyfunc.load_model(model))
        served = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        thread = threading.Thread(target=served.run)
        thread.start()
        wait_for(address)
        yield address
        served.should_exit = True
        thread.join()
    else:
        log = tmp_path_factory.mktemp("log") / "serve.log"
        words = ["models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)]
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words],
                stdout=file,
                stderr=file,
                start_new_session=True,
                env=os.environ
                | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},  # MLflow calls uvicorn
            )
        try:
            wait_for(address)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        assert "Traceback" not in log.read_text()


def wait_for(address: str) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), urlopen(f"{address}/ping", timeout=1):
            return
        assert time.monotonic() < until
        time.sleep(0.05)


def ask(address: str, images: Any, key: str = "inputs") -> tuple[int, Any]:
    """Status and content of the answer."""
    request = Request(
        f"{address}/invocations", json.dumps({key: images}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urlopen(request, timeout=60) as response:
            return response.status, json.load(response)["predictions"]
    except HTTPError as error:
        return error.code, json.load(error)


def png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def test_files_and_pixels_have_the_same_answer(server: str, model: str, images: np.ndarray) -> None:
    expected = mlflow.pyfunc.load_model(model).predict(images)
    files = [png(image) for image in images]
    for content, key in ((files, "inputs"), (images.tolist(), "inputs"), (files, "instances"), (
        [{"image": file} for file in files], "dataframe_records",
    )):  # fmt: skip
        status, answer = ask(server, content, key)
        assert status == 200, answer
        pd.testing.assert_frame_equal(pd.DataFrame(answer).astype(np.float32), expected)
    assert list(answer[0]) == [str(digit) for digit in range(10)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["AAAA"], "image 0: expected an image file in base64. Received: unknown format"),
        (["abc"], "image 0: expected an image file in base64. Received: Incorrect padding"),
        ([[[1, 2], [3]]], "image 0: expected pixels [32, 32, 3] from 0 to 255, or an image file in base64. Received: "),
        (np.zeros((1, 8, 8, 3), int).tolist(), "image 0: expected pixels [32, 32, 3] from 0 to 255, or an image file"),
        (np.full((1, 32, 32, 3), 256).tolist(), "image 0: expected pixels [32, 32, 3] from 0 to 255, or an image file"),
        (np.full((1, 32, 32, 3), 0.5).tolist(), "image 0: expected pixels [32, 32, 3] from 0 to 255, or an image file"),
        ([None], "image 0: expected pixels [32, 32, 3] from 0 to 255, or an image file in base64. Received: object []"),
    ],
)
def test_what_is_no_image_is_a_clear_400(server: str, content: Any, message: str) -> None:
    status, answer = ask(server, content)
    assert status == 400
    assert answer["message"].startswith(message)
    assert "stack_trace" not in answer
    assert len(answer["message"]) < 200


def test_a_truncated_file_among_good_ones_is_named(server: str, images: np.ndarray) -> None:
    good = png(images[0])
    status, answer = ask(server, [good, good[: len(good) // 2 // 4 * 4]])
    assert status == 400
    assert answer["message"].startswith("image 1: expected an image file in base64. Received: ")


def test_ten_clients_at_once_get_their_own_answers(server: str, images: np.ndarray) -> None:
    contents = [[png(np.roll(images[0], number, axis=0))] for number in range(CLIENTS)]
    alone = [ask(server, content) for content in contents]
    assert len({json.dumps(answer) for _, answer in alone}) == CLIENTS
    with ThreadPoolExecutor(CLIENTS) as clients:
        together = list(clients.map(lambda content: ask(server, content), contents * 3))
    assert together == alone * 3
