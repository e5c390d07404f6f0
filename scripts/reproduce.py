"""Runs the reference systems and writes what they gave beside what was claimed: python scripts/reproduce.py [--quick]

What is finished already, with the configuration of today, is not run again; the table is written from MLflow, and from
the runs of other machines that are kept beside it.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from alexnet_exp.cli import check_place, mistakes_in_one_line
from alexnet_exp.config.checks import missing_files
from alexnet_exp.config.compose import compose_config
from alexnet_exp.errors import ConfigError, UserError
from alexnet_exp.tracking.store import open_store
from reproduction.claims import ARMS, CLAIMS, SYSTEMS, Claim
from reproduction.figure import courses
from reproduction.store import Plan, causes, configuration, finished_runs, plan, read_kept, write_kept
from reproduction.table import duration, facts, markdown, row

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
STUDY = {False: "reproduction", True: "reproduction-quick"}
TITLE = {False: "Reference systems, claimed and measured", True: "Reference systems, on small budgets"}
ABOUT = {
    False: "Accuracies are of the test images; `claim` says whether the mean reaches what was claimed. Intervals are "
    "over seeds (t) where n > 1, else over the test images (Wilson). Times were taken beside other work, some with "
    "pauses; that of a resumed run is its last part.",
    True: "These runs saw some of the images for a few epochs: they show that every system runs, not what it reaches.",
}


@mistakes_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(description="Run the reference systems; write claimed and measured figures.")
    parser.add_argument(
        "--only", nargs="+", default=list(SYSTEMS), metavar="NAME", help=f"{', '.join(SYSTEMS)}; or {', '.join(ARMS)}"
    )
    parser.add_argument("--quick", action="store_true", help="small budgets: minutes instead of a day")
    parser.add_argument("--dry-run", action="store_true", help="print the commands that are left to run")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table of what there is")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: docs/results/reproduction[_quick].md")
    arguments = parser.parse_args()
    try:
        sys.exit(reproduce(arguments))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on with what is left")


def reproduce(arguments: argparse.Namespace) -> int:
    """Runs what is left and writes the table; the exit code is 1 where a command failed."""
    quick, study = arguments.quick, STUDY[arguments.quick]
    output = arguments.output or RESULTS / f"reproduction{'_quick' if quick else ''}.md"
    check_place("output", output)
    plans = {name: plan(name, arm, quick) for name, arm in ARMS.items()}
    wanted = [] if arguments.table else [plans[name] for name in chosen(arguments.only)]
    tracking = compose_config([]).tracking
    experiment_id = open_store(tracking.uri, tracking.experiment)
    kept = runs_file(output)
    runs = finished_runs(experiment_id, list(plans.values()), read_kept(kept))
    left = [replace(one, values=[value for value in one.values if value not in runs[one.name].index]) for one in wanted]
    left = [one for one in left if one.values]
    commands = [[*one.command, f"run.study={study}", f"run.arm={one.name}"] for one in left]
    if arguments.dry_run:
        print("\n".join(f"alexnet-exp {shlex.join(command)}" for command in commands) or "all runs are finished")
        return 0
    check(left)
    failures = sum(alexnet_exp(command) for command in commands)
    runs = finished_runs(experiment_id, list(plans.values()), read_kept(kept))
    write_kept(kept, runs)
    write(output, quick, plans, runs, causes(experiment_id, study))
    return int(failures > 0)


def runs_file(output: Path) -> Path:
    """Where the runs of a table are kept: `reproduction/runs.jsonl` beside `reproduction.md`."""
    return output.with_suffix("") / "runs.jsonl"


def chosen(names: Sequence[str]) -> list[str]:
    """The arms of some systems, or by their own names.

    Raises:
      UserError: when a name is neither.
    """
    if unknown := [name for name in names if name not in (*SYSTEMS, *ARMS)]:
        options = ", ".join((*SYSTEMS, *ARMS))
        raise UserError(f"--only: expected systems or arms. Options: {options}. Received: {', '.join(unknown)}")
    of_systems = {arm for claim in CLAIMS if claim.system in names for arm in claim.arms}
    return [name for name in ARMS if name in names or name in of_systems]


def check(plans: Sequence[Plan]) -> None:
    """Composes every configuration before the first one runs.

    Raises:
      ConfigError: when one is wrong, or with the files that are missing for all of them.
    """
    configs = [configuration((*one.overrides, f"{one.unit}={one.values[0]}")) for one in plans]
    if missing := dict.fromkeys(line for config in configs for line in missing_files(config)):
        raise ConfigError("\n".join(missing))


def alexnet_exp(arguments: list[str]) -> bool:
    """Runs a command; whether it failed."""
    print(f"\n$ alexnet-exp {shlex.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", "alexnet_exp", *arguments]).returncode != 0


def write(
    output: Path, quick: bool, plans: dict[str, Plan], runs: dict[str, pd.DataFrame], failed: dict[str, str]
) -> None:
    claims: list[Claim] = [replace(claim, value=None) for claim in CLAIMS] if quick else CLAIMS
    rows = sorted((*(row(claim, plans, runs, failed) for claim in claims), *facts()), key=lambda cells: cells[0])
    seconds = sum(some["metrics.time/total_seconds"].sum() for some in runs.values() if len(some))
    count = sum(map(len, runs.values()))
    command = f"`python scripts/reproduce.py{' --quick' if quick else ''}`"
    about = f"Written by {command} from {count} runs of {duration(seconds)} in all. {ABOUT[quick]}"
    systems = "\n".join(f"- {name}: {text}." for name, text in SYSTEMS.items())
    page = markdown(rows, TITLE[quick], f"{about}\n\nR1 to R5 are systems that others published:\n\n{systems}")
    if figure := courses(runs):
        path = output.with_suffix(".png")
        figure.savefig(path, dpi=110)
        print(f"written: {path}")
        page += f"\n![Accuracy of R4's tasks after each epoch]({path.name})\n"
    output.write_text(page, encoding="utf-8")
    print(f"written: {output}")


if __name__ == "__main__":
    main()
