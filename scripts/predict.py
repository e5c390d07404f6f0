"""Classifies images with the model of a run: python scripts/predict.py RUN_ID photos/ [--top 3] [--csv predictions.csv]

RUN_ID is the id of a run or models:/<name>@champion; then files, folders, or - for a list of them on standard input.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from alexnet_exp.cli import check_place, mistakes_in_one_line
from alexnet_exp.config.compose import compose_config
from alexnet_exp.console import silent_stderr
from alexnet_exp.errors import UserError, printable
from alexnet_exp.tracking.query import open_existing


@mistakes_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(description="Classify images with the model of a run.")
    parser.add_argument("model", metavar="RUN_ID", help="id of a run, or models:/<name>@champion")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for a list on standard input")
    parser.add_argument("--top", type=int, default=1, metavar="N", help="classes to print for each image (%(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all probabilities there instead of printing")
    parser.add_argument(
        "--grid", type=Path, metavar="FILE", help="draw up to 32 of the images with their classes, as PNG"
    )
    parser.add_argument(
        "--gradcam", type=Path, metavar="DIR", help="write what speaks for the class of each image there"
    )
    arguments = parser.parse_args()
    sys.exit(predict(arguments))


def predict(arguments: argparse.Namespace) -> int:
    """Returns the exit code: 1 when there were files that could not be read."""
    check(arguments)
    config = compose_config([])
    open_existing(config.tracking.uri)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_stderr():
        from alexnet_exp import prediction as by

    fitted = by.load_classifier(arguments.model)
    paths = by.image_paths(listed(arguments.paths))
    sample, unreadable = by.Sample(), 0
    with ExitStack() as stack:
        table = None
        if arguments.csv:
            file = stack.enter_context(by.whole_file(arguments.csv))
            table = stack.enter_context(by.csv_table(file, fitted.class_names))
        for result in by.classify(fitted, paths, config.evaluation.batch_size, bool(arguments.gradcam)):
            if isinstance(result, by.Unreadable):
                unreadable += 1
                print(f"{printable(result.path)}: unreadable ({result.reason})", file=sys.stderr)
                continue
            sample.add(result)
            if result.explanation is not None:
                caption = result.caption(fitted.class_names, by.CAPTION_LENGTH)
                by.write_explanation(arguments.gradcam, sample.seen, result.path, result.explanation, caption)
            if table:
                table(result)
            else:
                print(by.line(result, fitted.class_names, arguments.top))
        if not sample.seen:
            raise UserError(f"expected images. Received: {unreadable} unreadable files")
    if arguments.grid:
        arguments.grid.write_bytes(sample.grid(fitted.class_names))
    written = [f", written: {path}" for path in (arguments.csv, arguments.grid, arguments.gradcam) if path]
    print(f"{sample.seen} images classified, {unreadable} files unreadable{''.join(written)}", file=sys.stderr)
    return int(unreadable > 0)


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError for what can be known before the model is loaded."""
    if arguments.top < 1:
        raise UserError(f"--top: expected at least 1. Received: {arguments.top}")
    for name in ("csv", "grid", "gradcam"):
        if path := getattr(arguments, name):
            check_place(name, path)
    if arguments.grid and arguments.grid.suffix != ".png":
        raise UserError(f"--grid: expected a .png file. Received: {arguments.grid}")


def listed(paths: list[str]) -> Iterator[str]:
    """The paths, with the lines of standard input in place of `-`."""
    for path in paths:
        if path == "-":
            yield from (os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer if line.strip())
        else:
            yield path


if __name__ == "__main__":
    main()
