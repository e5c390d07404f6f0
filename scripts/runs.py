"""Looks after runs: python scripts/runs.py sync

sync delivers what a tracking store has missed of runs that ended, or were killed, while it was away.
"""

import argparse
import sys
from pathlib import Path

from alexnet_exp.config.compose import compose_config
from alexnet_exp.tracking.delivery import sync


def main() -> None:
    config = compose_config([])
    parser = argparse.ArgumentParser(description="Look after runs.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("sync", help="deliver what the tracking store has missed")
    command.add_argument(
        "--state", type=Path, default=Path(config.paths.state), help="folder of journals (%(default)s)"
    )
    command.set_defaults(run=lambda arguments: deliver(arguments.state, config.tracking.uri))
    arguments = parser.parse_args()
    sys.exit(arguments.run(arguments))


def deliver(state: Path, uri: str | None) -> int:
    deliveries = sync(state, uri)
    for delivery in deliveries:
        print(f"{delivery.run_id}  {delivery.problem or 'delivered'}")
    if not deliveries:
        print(f"nothing to deliver in {state}")
    return int(any(delivery.problem for delivery in deliveries))


if __name__ == "__main__":
    main()
