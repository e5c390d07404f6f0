"""Shows what the cache of decoded images and activations holds, or clears it: scripts/cache.py [--clear] [FOLDER]."""

import argparse
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from alexnet_exp.checksums import remove_hashed
from alexnet_exp.cli import mistakes_in_one_line
from alexnet_exp.config.compose import compose_config
from alexnet_exp.console import headed_table, standard_output
from alexnet_exp.training.activation_store import GIGABYTE, ActivationStore, activation_store


@mistakes_in_one_line()
def main() -> None:
    config = compose_config([])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(config.paths.cache))
    parser.add_argument("--clear", action="store_true", help="remove everything; runs compute again what they need")
    arguments = parser.parse_args()
    store = activation_store(config.cache, replace(config.paths, cache=str(arguments.folder)))
    if arguments.clear:
        store.clear()
        remove_hashed(arguments.folder / "images")
        remove_hashed(arguments.folder / "precision")
    show(arguments.folder, store)


def show(folder: Path, store: ActivationStore) -> None:
    table = headed_table(str(folder))
    for column in ("what", "GB", "last used"):
        table.add_column(column, overflow="fold")
    for entry in store.entries():
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        table.add_row(entry.title, f"{entry.size / GIGABYTE:.3f}", used)
    images = sum(path.stat().st_size for path in (folder / "images").rglob("*.npy"))
    table.add_row("decoded images", f"{images / GIGABYTE:.3f}", "")
    standard_output().print(table)


if __name__ == "__main__":
    main()
