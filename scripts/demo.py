"""Transfer on handwritten digits: pretrain on 0-4, learn 5-9 from 20 images a class with each strategy.

python scripts/demo.py
"""

import shlex
import subprocess
import sys
import time

from alexnet_exp.cli import mistakes_in_one_line
from alexnet_exp.comparison import Question, compare_runs
from alexnet_exp.config.compose import compose_config
from alexnet_exp.evaluation.tables import show
from alexnet_exp.tracking.query import find_runs, open_experiment, run_filter

SEEDS = "seed=0,1,2"


@mistakes_in_one_line()
def main() -> None:
    started = time.perf_counter()
    study = time.strftime("demo-%Y%m%d-%H%M%S")
    alexnet_exp("experiment=digits_pretrain", f"run.study={study}", "run.arm=pretrain")
    tracking = compose_config([]).tracking
    experiment_id = open_experiment(tracking.uri, tracking.experiment)
    pretrained = find_runs(experiment_id, run_filter(study))["run_id"].iloc[0]
    transfer = ["-m", "experiment=digits_transfer", SEEDS, f"run.study={study}", "run.arm=${strategy.name}"]
    alexnet_exp(*transfer, "strategy=scratch")
    alexnet_exp(*transfer, "strategy=finetune,features_svm,features_mlp", "weights=run", f"weights.run_id={pretrained}")
    print("\nDigits 5-9 from 20 images a class")
    show(compare_runs(experiment_id, Question(study, filter="tags.arm != 'pretrain'", baseline="scratch"))[1])
    print(f"{time.perf_counter() - started:.0f} s, study {study}; as a report: scripts/compare.py {study} --html FILE")
    print("Compare them in the MLflow UI: make ui")


def alexnet_exp(*arguments: str) -> None:
    print(f"\n$ alexnet-exp {shlex.join(arguments)}", flush=True)
    again = "run.if_exists=rerun"  # an earlier demo's runs belong to its own study
    done = subprocess.run([sys.executable, "-m", "alexnet_exp", *arguments, again])
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
