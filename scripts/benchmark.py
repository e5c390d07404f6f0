"""How close to the machine's limit this is, as ratios measured in one go: python scripts/benchmark.py [--quick]

Each row is measured in a process of its own, one after the other. The exit code is 0 whatever the ratios are.
"""

import argparse
import json
import logging
import os
import platform
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from pathlib import Path

from rich.console import Console
from rich.table import Table

from alexnet_exp.console import silent_stderr
from benchmarks.rows import Goal, Measured, NotMeasured, Row, Setting

GOALS = [
    Goal("fit", "training.whole_fit", "whole fit / bare steps, 227 pixels", 0.95, "least"),
    Goal("peak", "training.matrix_peak", "training step / matrix product, by FLOPs", 0.80, "least"),
    Goal("towers", "training.two_towers", "two towers / one, by FLOPs", 0.85, "least"),
    Goal("keras_float32", "references.keras_float32", "epoch / ImageDataGenerator's, 32 pixels", 0.60, "most"),
    Goal("keras_auto", "references.keras_auto", "epoch / ImageDataGenerator's, 32 pixels", 0.50, "most"),
    Goal("finetune", "transfer.all_rounds", "eight rounds of fine-tuning / plain Keras", 0.65, "most"),
    Goal("finetune_dense", "transfer.first_rounds", "first three rounds / plain Keras", 0.25, "most"),
    Goal("svm", "transfer.second_svm", "second SVM on the same features / first", 0.10, "most"),
    Goal("pytorch", "references.pytorch", "training step / eager PyTorch, images/s", 1.2, "least"),
    Goal("pipeline_32", "pipeline.cifar", "pipeline alone / training step, images/s", 1.2, "least"),
    Goal("pipeline_227", "pipeline.photos_227", "pipeline alone / training step, images/s", 1.2, "least"),
    Goal("run_small", "overhead.small_run", "a run outside of fit, small network", 3, "most", "s"),
    Goal("run_227", "overhead.run_227", "a run outside of fit, 227 pixels", 8, "most", "s"),
    Goal("memory", "overhead.memory_growth", "growth over jobs 5 to 20 in one process", 100, "most", "MB"),
    Goal("streaming", "pipeline.streaming", "peak memory, data larger than the limit", 4, "most", "GB"),
]
NAMES = [goal.name for goal in GOALS]
PRELOADED = ["tensorflow", "alexnet_exp.strategy"]  # imported once for all rows, before each row's process is forked
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "mlflow", "torch")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how close to the machine's limit this is, as ratios.")
    parser.add_argument("--quick", action="store_true", help="a few minutes: fewer rounds, smaller batches")
    parser.add_argument("--output", type=Path, metavar="FILE", help="writes machine and rows as JSON")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that processes and files go
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console()
    described = machine()
    started = time.perf_counter()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for goal in GOALS:
            if goal.name not in arguments.only:
                continue
            with console.status(f"{goal.name}: {goal.what}"):
                rows.append(measured_row(goal, Setting(arguments.quick, Path(folder))))
            if not console.is_terminal:
                print("  ".join(rows[-1].cells), flush=True)
            if arguments.output:
                content = {"machine": described, "quick": arguments.quick, "rows": [asdict(row) for row in rows]}
                arguments.output.write_text(json.dumps(content, indent=2) + "\n")
    if console.is_terminal:
        console.print(table(rows))
    met, measured = sum(row.met is True for row in rows), sum(row.met is not None for row in rows)
    print(f"{met} of {measured} measured rows met, {time.perf_counter() - started:.0f} s in all")


def measured_row(goal: Goal, setting: Setting) -> Row:
    """Measures in a fresh process; what goes wrong there is said in the row."""
    started = time.perf_counter()
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with silent_stderr():
        ensure_running()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(goal.function, setting, sender), daemon=True)
    process.start()
    sender.close()
    try:
        measured = receiver.recv()
    except EOFError:
        process.join()
        measured = f"the process ended with code {process.exitcode}"
    finally:
        process.kill()  # TensorFlow takes seconds to leave
        process.join()
    seconds = time.perf_counter() - started
    return goal.row(measured, seconds) if isinstance(measured, Measured) else goal.without_value(measured, seconds)


def measure(function: str, setting: Setting, sender: Connection) -> None:
    """Calls `module.function` of `benchmarks` in a process of its own and sends what it measured, or why not."""
    for chatty in ("alexnet_exp", "tensorflow"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    module, _, name = function.rpartition(".")
    try:
        with silent_stderr():
            measurement = getattr(import_module(f"benchmarks.{module}"), name)
        sender.send(measurement(setting))
    except NotMeasured as reason:
        sender.send(str(reason))
    except Exception as error:  # the other rows go on
        sender.send(f"{type(error).__name__}: {error}")


def table(rows: list[Row]) -> Table:
    found = Table("name", "value", "target", "", "took", "what", title="Benchmark", title_justify="left")
    for row in rows:
        found.add_row(*row.cells, style=None if row.met else "yellow")
    return found


def machine() -> dict[str, str | int | float]:
    """What the ratios are measured on, and what else it is doing (`load`, of the last minute)."""
    description: dict[str, str | int | float] = {
        "processor": _proc("cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count() or 1,
        "bfloat16": bool({"avx512_bf16", "amx_bf16"} & set(_proc("cpuinfo", "flags").split())),
        "memory_gb": round(int((_proc("meminfo", "MemTotal") or "0 kB").split()[0]) / 1e6, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            description[package] = version(package)
        except PackageNotFoundError:
            continue
    return description


def _proc(file: str, field: str) -> str:
    """A field of /proc/<file>; empty where there is none."""
    try:
        lines = Path("/proc", file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


if __name__ == "__main__":
    main()
