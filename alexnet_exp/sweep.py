"""What became of the jobs of a sweep: Hydra itself tells of the first failure alone."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from alexnet_exp.console import headed_table

FAILURE = "failure.json"  # in the folder of a job
VARIED = "ALEXNET_EXP_VARIED"  # in the environment, which launchers hand on: the keys that differ between jobs


class Sweeps(Callback):
    """Remembers the sweeps of this process: where they keep their jobs, and what differs between those."""

    folders: ClassVar[list[Path]] = []

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        self.folders.append(Path(config.hydra.sweep.dir).absolute())
        overrides = OverridesParser.create().parse_overrides(config.hydra.overrides.task)
        varied = {override.get_key_element() for override in overrides if override.is_sweep_override()}
        os.environ[VARIED] = " ".join(sorted(varied.union(os.environ.get(VARIED, "").split())))


@dataclass(frozen=True)
class Failure:
    """A job that failed: its number, what is its own and why."""

    job: int
    overrides: list[str]
    cause: str


def job_settings() -> list[str]:
    """The overrides of the job that calls, without those that all jobs of its sweep have."""
    varied = os.environ.get(VARIED, "").split()
    words = HydraConfig.get().overrides.task
    return [word for word in words if not varied or word.partition("=")[0] in varied]


def record_failure(cause: str) -> None:
    """Leaves a note in the folder of the job that calls."""
    hydra = HydraConfig.get()
    failure = Failure(int(hydra.job.num), job_settings(), cause)
    Path(hydra.runtime.output_dir, FAILURE).write_text(json.dumps(asdict(failure)))


def failures() -> list[Failure]:
    """The jobs that failed in the sweeps of this process."""
    files = [file for folder in Sweeps.folders for file in folder.glob(f"*/{FAILURE}")]
    found = [Failure(**json.loads(file.read_text())) for file in files]
    return sorted(found, key=lambda failure: failure.job)


def show_failures(again: str) -> None:
    """Prints a table of the jobs that failed, if any, and the command that runs them again, on standard error."""
    if not (found := failures()):
        return
    table = headed_table(f"failed jobs: {len(found)}")
    table.add_column("job", justify="right")
    table.add_column("settings", overflow="fold")
    table.add_column("cause", overflow="fold")
    for failure in found:
        table.add_row(str(failure.job), Text(" ".join(failure.overrides)), Text(failure.cause))
    console = Console(stderr=True)
    console.print(table)
    console.print(f"again, without what is finished: {again}", markup=False, highlight=False, soft_wrap=True)
