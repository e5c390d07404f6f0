"""What became of the jobs of a sweep: Hydra itself tells of the first failure alone."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from alexnet_exp.console import headed_table

FAILURE = "failure.json"  # in the folder of a job


class SweepFolders(Callback):
    """Remembers where the sweeps of this process keep their jobs, on whatever machine those run."""

    found: ClassVar[list[Path]] = []

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        self.found.append(Path(config.hydra.sweep.dir).absolute())


@dataclass(frozen=True)
class Failure:
    """A job that failed: its number, its overrides and why."""

    job: int
    overrides: list[str]
    cause: str


def record_failure(cause: str) -> None:
    """Leaves a note in the folder of the job that calls."""
    hydra = HydraConfig.get()
    failure = Failure(int(hydra.job.num), list(hydra.overrides.task), cause)
    Path(hydra.runtime.output_dir, FAILURE).write_text(json.dumps(asdict(failure)))


def failures() -> list[Failure]:
    """The jobs that failed in the sweeps of this process."""
    files = [file for folder in SweepFolders.found for file in folder.glob(f"*/{FAILURE}")]
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
