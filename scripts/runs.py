"""Looks after runs: python scripts/runs.py sync | promote RUN_ID --name NAME | repeat RUN_ID

sync     delivers what a tracking store has missed of runs that ended, or were killed, while it was away
promote  registers a run's model and makes it the champion of its name, unless the champion is better
repeat   runs a recorded configuration again, warns of what has changed since, and compares the metrics
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from alexnet_exp.cli import message
from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import compose_config
from alexnet_exp.console import silent_stderr
from alexnet_exp.errors import UserError
from alexnet_exp.tracking.delivery import sync
from alexnet_exp.tracking.query import open_existing
from alexnet_exp.tracking.registry import promote


def main() -> None:
    config = compose_config([])
    parser = argparse.ArgumentParser(description="Look after runs.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("sync", help="deliver what the tracking store has missed")
    command.add_argument(
        "--state", type=Path, default=Path(config.paths.state), help="folder of journals (%(default)s)"
    )
    command.set_defaults(run=lambda arguments: deliver(arguments.state, config.tracking.uri))
    command = commands.add_parser("promote", help="make a run's model the champion, models:/<name>@champion")
    command.add_argument("run_id", metavar="RUN_ID")
    command.add_argument("--name", required=True, help="of the registered model")
    command.add_argument("--force", action="store_true", help="also when the champion is better")
    command.set_defaults(run=lambda arguments: promote_run(arguments, config))
    command = commands.add_parser("repeat", help="run it again and compare the metrics; exit code 1 if they differ")
    command.add_argument("run_id", metavar="RUN_ID")
    command.set_defaults(run=lambda arguments: repeat_run(arguments.run_id, config))
    arguments = parser.parse_args()
    try:
        sys.exit(arguments.run(arguments))
    except UserError as error:
        sys.exit(message(error))


def deliver(state: Path, uri: str | None) -> int:
    deliveries = sync(state, uri)
    for delivery in deliveries:
        print(f"{delivery.run_id}  {delivery.problem or 'delivered'}")
    if not deliveries:
        print(f"nothing to deliver in {state}")
    return int(any(delivery.problem for delivery in deliveries))


def promote_run(arguments: argparse.Namespace, config: RunConfig) -> int:
    open_existing(config.tracking.uri)
    promotion = promote(arguments.run_id, arguments.name, arguments.force)
    instead = f", instead of run {promotion.before}" if promotion.before not in (None, arguments.run_id) else ""
    print(f"{promotion.address} is version {promotion.version}, run {arguments.run_id}{instead}")
    return 0


def repeat_run(run_id: str, config: RunConfig) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    open_existing(config.tracking.uri)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_stderr():
        from alexnet_exp.repetition import repeat

    repetition = repeat(run_id, config)
    for name, (before, after) in repetition.different.items():
        print(f"{name}: {before} in run {run_id}, {after} in run {repetition.run_id}")
    same = repetition.compared - len(repetition.different)
    print(f"{same} of {repetition.compared} metrics came out the same to the last bit, run {repetition.run_id}")
    return int(bool(repetition.different))


if __name__ == "__main__":
    main()
