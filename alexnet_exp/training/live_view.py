"""What a terminal shows while a stage trains."""

import logging
import time
from datetime import timedelta
from typing import Any

import keras
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from alexnet_exp.console import terminal

log = logging.getLogger(__name__)


class LiveView(keras.callbacks.Callback):
    """Stage, epoch, speed and time left; rate, losses and accuracies. It leaves one line when the stage is over.

    Args:
      stage: its name.
      epochs: of the stage.
      steps: of an epoch.
      examples: of an epoch.
    """

    def __init__(self, stage: str, epochs: int, steps: int, examples: int):
        super().__init__()
        self.stage, self.epochs, self.steps, self.examples = stage, epochs, steps, examples
        self.logs: dict[str, Any] = {}  # of the running epoch
        self.val: dict[str, Any] = {}  # of the last one
        self.best, self.best_epoch = 0.0, 0
        self.epoch = self.done = self.done_here = 0
        self.rate, self.started, self.epoch_started = 0.0, time.perf_counter(), time.perf_counter()
        self.live = Live(get_renderable=self.render, console=terminal(), refresh_per_second=5, transient=True)

    def on_train_begin(self, logs: Any = None) -> None:
        self.started = time.perf_counter()
        self.live.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.done, self.epoch_started = epoch, 0, time.perf_counter()
        self.rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.done_here += batch + 1 - self.done
        self.done, self.logs = batch + 1, logs or {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.val = logs or {}
        if self.val["val_accuracy"] > self.best:
            self.best, self.best_epoch = self.val["val_accuracy"], epoch + 1

    def on_train_end(self, logs: Any = None) -> None:
        self.stop()
        seconds = time.perf_counter() - self.started
        best = f"best val accuracy {self.best:.4f} in epoch {self.best_epoch}"
        log.info("%s: %d epochs in %.1f s  %s  %s", self.stage, self.epoch + 1, seconds, self._metrics(), best)

    def stop(self) -> None:
        """Takes the view away, also when training failed."""
        self.live.stop()

    def render(self) -> Group:
        """Two lines of the terminal's width."""
        seconds = time.perf_counter() - self.started
        total = (self.epochs - self.epoch) * self.steps - self.done
        left = timedelta(seconds=round(total * seconds / self.done_here)) if self.done_here else "-:--:--"
        speed = self.examples * self.done / self.steps / max(time.perf_counter() - self.epoch_started, 1e-3)
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        bar = ProgressBar(total=self.steps, completed=self.done)
        title = f"[bold]{self.stage}[/bold]  epoch {self.epoch + 1}/{self.epochs}"
        line.add_row(title, bar, f"{speed:.0f} images/s  {left} left")
        return Group(line, Text(f"rate {self.rate:.2g}  {self._metrics()}", no_wrap=True, overflow="ellipsis"))

    def _metrics(self) -> str:
        parts = []
        for name in ("loss", "accuracy"):
            train, val = (
                f"{logs[key]:.4f}" if key in logs else "-"
                for logs, key in ((self.logs, name), (self.val, f"val_{name}"))
            )
            parts.append(f"{name} {train} (val {val})")
        return "  ".join(parts)
