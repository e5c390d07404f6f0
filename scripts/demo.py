"""Transfer on handwritten digits: pretrain on 0-4, learn 5-9 from 20 images a class with each strategy.

python scripts/demo.py
"""

import shlex
import subprocess
import sys
import time

import pandas as pd
from rich.console import Console
from rich.table import Table

from alexnet_exp.config.compose import compose_config
from alexnet_exp.evaluation.compare import summarize
from alexnet_exp.tracking.store import finished_runs

SEEDS = "seed=0,1,2"


def main() -> None:
    started = time.perf_counter()
    study = time.strftime("demo-%Y%m%d-%H%M%S")
    alexnet_exp("experiment=digits_pretrain", f"run.study={study}", "run.arm=pretrain")
    pretrained = runs_of(study)["run_id"].iloc[0]
    transfer = ["-m", "experiment=digits_transfer", SEEDS, f"run.study={study}", "run.arm=${strategy.name}"]
    alexnet_exp(*transfer, "strategy=scratch")
    alexnet_exp(*transfer, "strategy=finetune,features_svm,features_mlp", "weights=run", f"weights.run_id={pretrained}")
    runs = runs_of(study)
    show(runs[runs["arm"] != "pretrain"])
    print(f"{len(runs)} runs in {time.perf_counter() - started:.0f} s, study {study}")
    print("Compare them in the MLflow UI: make ui, then http://127.0.0.1:5000, 'Model training', experiment 'alexnet'")


def alexnet_exp(*arguments: str) -> None:
    print(f"\n$ alexnet-exp {shlex.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "alexnet_exp", *arguments])
    if done.returncode:
        sys.exit(done.returncode)


def runs_of(study: str) -> pd.DataFrame:
    tracking = compose_config([]).tracking
    return finished_runs(tracking.uri, tracking.experiment, study)


def show(runs: pd.DataFrame) -> None:
    table = Table(title="Digits 5-9 from 20 images a class", title_justify="left")
    for column in ("strategy", "runs", "test accuracy", "spread (std)", "seconds"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for strategy, row in summarize(runs, "strategy").iterrows():
        values = (f"{row['n']:.0f}", f"{row['mean']:.4f}", f"{row['std']:.4f}", f"{row['seconds']:.1f}")
        table.add_row(str(strategy), *values)
    Console().print(table)


if __name__ == "__main__":
    main()
