"""The MLflow UI as `make ui` opens it, in a real browser: a sweep is grouped, compared and read.

Screenshots are kept in $SCREENSHOTS.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import pytest
from mlflow.entities import Run
from PIL import Image

from alexnet_exp.tracking.store import use_store
from tests.conftest import REPO
from tests.tracking.servers import free_port

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]

POSITIONS = ("before_activation", "after_pool")
SWEEP = (
    "-m", "training.epochs=3", "training.precision=float32", "dataset.limit_per_class=20", "seed=0,1",
    f"model.norm.position={','.join(POSITIONS)}", "run.study=placement", "run.arm=${model.norm.position}",
)  # fmt: skip
SETTINGS = {  # of the UI, in the browser: without the panel of an assistant
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',  # for the pages that are not opened by their address
}
SLOW = 30_000  # milliseconds that a page may take on a busy machine


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Run]]:
    """The runs of a small sweep."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        subprocess.run([sys.executable, "-m", "alexnet_exp", *SWEEP], check=True)
        use_store(os.environ["MLFLOW_TRACKING_URI"])
        yield mlflow.search_runs(search_all_experiments=True, output_format="list")


@pytest.fixture(scope="module")
def address(sweep: list[Run]) -> Iterator[str]:
    """What `scripts/ui.py` prints."""
    command = [sys.executable, str(REPO / "scripts" / "ui.py"), str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stderr
        try:
            line = server.stdout.readline()
            while "Application startup complete" not in server.stderr.readline():
                assert server.poll() is None
            yield line.split()[-1]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate()


@pytest.fixture
def page(address: str) -> Iterator["sync_api.Page"]:
    """The page at the address; whatever the browser asks for, it asks this machine."""
    hosts = set()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(SLOW)
        page.add_init_script("".join(f"localStorage.setItem({k!r}, {v!r});" for k, v in SETTINGS.items()))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(address)
        page.get_by_text("4 matching runs").wait_for()
        yield page
        browser.close()
    assert hosts <= {"127.0.0.1", None}  # None: what the page itself holds, such as blob:


def keep(page: "sync_api.Page", name: str) -> None:
    """Keeps a screenshot, with few colours: a small file."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        image.quantize(128, dither=Image.Dither.NONE).save(Path(folder) / f"{name}.png", optimize=True)


def toggle_group(page: "sync_api.Page", tag: str) -> None:
    page.get_by_role("button", name=re.compile("^Group by")).click()
    page.get_by_role("menuitemcheckbox", name=tag, exact=True).click()
    page.keyboard.press("Escape")


def test_arms_are_grouped_into_bands_over_seeds(page: "sync_api.Page") -> None:
    for name, values in (("study", ["placement"]), ("strategy", ["scratch"]), ("arm", POSITIONS)):
        toggle_group(page, name)
        for value in values:
            page.get_by_text(f"Group: {value}").wait_for()
        if name != "arm":
            toggle_group(page, name)
    page.set_viewport_size({"width": 1440, "height": 1120})
    page.locator("label:has(input[type=radio])").nth(1).click()
    page.get_by_placeholder("Search metric charts").fill("^val/(accuracy|loss)$|^test/accuracy$")
    page.get_by_text("val/accuracy").wait_for()
    bands = "() => [...document.querySelectorAll('.js-plotly-plot')].some(plot => plot.data.some(t => t.fill))"
    page.wait_for_function(bands)
    keep(page, "mlflow_groups")


def test_runs_are_compared(page: "sync_api.Page", sweep: list[Run]) -> None:
    for place in (0, 2):  # more previews than three leave no room for the list of files
        page.get_by_role("checkbox", name="Press Space to toggle row selection").nth(place).check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    keep(page, "mlflow_parameters")
    compared = sorted(
        (run for run in sweep if run.info.run_id in page.url), key=lambda run: page.url.index(run.info.run_id)
    )
    assert len(compared) == 2
    for name in ("model.norm.position", "seed"):
        row = page.get_by_role("row", name=re.compile(f"^{name} ")).first.inner_text()
        assert row.split() == [name, *(run.data.params[name] for run in compared)]
    metrics = page.inner_text("body").split("\nMetrics\n")[-1].split("\nArtifacts\n")[0].split()
    assert "test/accuracy" in metrics
    for run in compared:
        assert f"{run.data.metrics['test/accuracy']:.3f}".rstrip("0") in metrics
    page.get_by_text("overview.png").click()
    page.wait_for_function("() => [...document.images].filter(image => image.naturalWidth >= 880).length >= 2")
    page.get_by_text("Artifacts", exact=True).scroll_into_view_if_needed()
    keep(page, "mlflow_figures")


def test_a_run_says_what_it_is_and_shows_its_figures(page: "sync_api.Page", sweep: list[Run]) -> None:
    page.get_by_role("link", name="scratch-digits-seed1").first.click()
    page.get_by_text(re.compile("^python scripts/runs.py repeat")).wait_for()
    assert page.locator("strong", has_text="scratch").is_visible()
    keep(page, "mlflow_run")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("confusion_matrix.png").click()
    page.wait_for_function("() => [...document.images].some(image => image.naturalWidth > 400)")
    keep(page, "mlflow_artifacts")
