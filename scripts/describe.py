"""Prints the layers of a network with sizes and costs: python scripts/describe.py model=alexnet [key=value ...]"""

import argparse
import csv
import io
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from alexnet_exp.cli import mistakes_in_one_line
from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.layer_table import Layer, layer_table
from alexnet_exp.errors import UserError

IMAGENET_CLASSES = 1000
SUFFIXES = (".csv", ".md", ".svg", ".png")
COLUMNS = ("layer", "output", "kernel", "stride", "groups", "parameters", "multiply-adds", "activations")


@mistakes_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(
        description="Print the layers of a network: sizes, parameters, and for one image and a forward pass the "
        "multiply-adds (of convolutions and dense layers) and the memory of the activations (float32)."
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for alexnet-exp: model=alexnet_2012 ...")
    parser.add_argument("--classes", type=int, default=IMAGENET_CLASSES, help="width of the softmax (%(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"also write {', '.join(SUFFIXES)} (a drawing)")
    arguments = parser.parse_args()
    describe(arguments)


def describe(arguments: argparse.Namespace) -> None:
    if arguments.classes < 1:
        raise UserError(f"--classes: expected at least 1. Received: {arguments.classes}")
    output: Path | None = arguments.output
    if output and (output.suffix not in SUFFIXES or not output.parent.is_dir()):
        raise UserError(
            f"--output: expected a file in a folder that exists. Options: {', '.join(SUFFIXES)}. Received: {output}"
        )
    model = compose_config(arguments.overrides, to_run=False).model
    layers = layer_table(model, arguments.classes)
    print_table(f"{model.name}, {arguments.classes} classes", layers)
    if output:
        write(output, f"{model.name}, {arguments.classes} classes", layers)


def print_table(title: str, layers: list[Layer]) -> None:
    console = Console()
    if console.is_terminal:
        console.print(rich_table(title, layers, box.HEAVY_HEAD))
    else:
        print(plain(rich_table(title, layers, None)), end="")
    print(f"{sum(layer.neurons for layer in layers):,} neurons (outputs of convolutions and dense layers)")


def write(path: Path, title: str, layers: list[Layer]) -> None:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS[:-1], "activation_bytes"])
            writer.writerows(numbers(layer) for layer in layers)
    elif path.suffix == ".md":
        path.write_text(plain(rich_table("", layers, box.MARKDOWN)).strip() + "\n")
    else:
        from alexnet_exp.evaluation.drawing import draw_network

        parameters, multiply_adds, _ = totals(layers)
        heading = f"{title}: {parameters:,} parameters, {short(multiply_adds)} multiply-adds"
        draw_network(heading, layers).savefig(path, dpi=150, facecolor="white")


def rich_table(title: str, layers: list[Layer], style: box.Box | None) -> Table:
    table = Table(title=title or None, title_justify="left", box=style)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "layer" else "right", no_wrap=True)
    for layer in layers:
        values = numbers(layer)
        table.add_row(*map(str, values[:5]), *(f"{value:,}" if value else "" for value in values[5:7]), size(values[7]))
    parameters, multiply_adds, activations = totals(layers)
    if style is not box.MARKDOWN:
        table.add_section()
    table.add_row("total", "", "", "", "", f"{parameters:,}", f"{multiply_adds:,}", size(activations))
    return table


def numbers(layer: Layer) -> tuple[str, str, int | str, int | str, int | str, int, int, int]:
    window = (layer.kernel or "", layer.stride or "", layer.groups if layer.kind == "conv" else "")
    shape = "x".join(map(str, layer.output))
    return (layer.name, shape, *window, layer.parameters, layer.multiply_adds, layer.activation_bytes)


def totals(layers: list[Layer]) -> tuple[int, int, int]:
    return (
        sum(layer.parameters for layer in layers),
        sum(layer.multiply_adds for layer in layers),
        sum(layer.activation_bytes for layer in layers),
    )


def size(count: int) -> str:
    return f"{count / 1024:,.1f} KiB" if count else ""


def short(count: int) -> str:
    return f"{count / 1e9:.2f} billion" if count >= 1e9 else f"{count / 1e6:.0f} million"


def plain(table: Table) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


if __name__ == "__main__":
    main()
