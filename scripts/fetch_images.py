"""Downloads the images of a data set from lists of addresses, one list for each class.

python scripts/fetch_images.py bikes.txt ships.txt --output data/bikes_vs_ships --train 100 --val 50
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from alexnet_exp.cli import mistakes_in_one_line
from alexnet_exp.data.fetch import REPORT, Collection, fetch_images, read_lists
from alexnet_exp.data.request import Limits
from alexnet_exp.errors import DataError


@mistakes_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(
        description="Download images into class folders, as dataset=image_folder reads them. Run it again to resume.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "lists",
        nargs="+",
        type=Path,
        metavar="URLS.txt",
        help="one http or https address a line; the name is the class",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="DIR/<class>/, or DIR/{train,val}/<class>/")
    add("--train", type=count, metavar="N", help="images of each class for DIR/train (with --val)")
    add("--val", type=count, metavar="N", help="images of each class for DIR/val (with --train)")
    add("--total", type=count, default=16, metavar="N", help="requests at once")
    add("--per-host", type=count, default=2, metavar="N", help="requests at once to one host")
    add("--seconds", type=count, default=60, metavar="N", help="for one image")
    add("--attempts", type=count, default=3, metavar="N", help="at an address that fails in passing")
    add("--megabytes", type=count, default=20, metavar="N", help="most of one file")
    add("--megapixels", type=count, default=50, metavar="N", help="most of one image")
    arguments = parser.parse_args()
    if (arguments.train is None) != (arguments.val is None):
        parser.error("expected --train and --val, or neither")
    try:
        fetch(arguments)
    except KeyboardInterrupt:
        sys.exit("interrupted: run it again to resume")


def fetch(arguments: argparse.Namespace) -> None:
    lists = read_lists(arguments.lists)
    parts = {"train": arguments.train, "val": arguments.val} if arguments.train else {}
    limits = Limits(
        total=arguments.total,
        per_host=arguments.per_host,
        connect=10,
        read=20,
        whole=arguments.seconds,
        attempts=arguments.attempts,
        backoff=1,
        patience=60,
        redirects=5,
        size=arguments.megabytes * 1_000_000,
    )
    images = fetch_images(lists, arguments.output, parts, limits, arguments.megapixels * 1_000_000)
    show(list(lists), images, arguments.output)
    wanted = sum(parts.values())
    for name in lists:
        found = sum(link.class_name == name for link in images.files)
        if found < max(1, wanted):
            raise DataError(f"{name}: expected {wanted or 'some'} images; give more addresses. Received: {found}")


def show(classes: list[str], images: Collection, output: Path) -> None:
    table = Table("class")
    for column in ("images", "new", "no image", "doubles"):
        table.add_column(column, justify="right")
    for name in classes:
        skipped = [images.is_double(link) for link in images.skipped if link.class_name == name]
        there = sum(link.class_name == name for link in images.files)
        table.add_row(name, str(there), str(images.new[name]), str(skipped.count(False)), str(skipped.count(True)))
    console = Console()
    console.print(table)
    if images.skipped:
        console.print(f"why there is no image: {output / REPORT}", soft_wrap=True, markup=False, highlight=False)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number above zero. Received: {text}")
    return int(text)


if __name__ == "__main__":
    main()
