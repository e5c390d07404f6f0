"""Converts public AlexNet weights to this project's format: python scripts/convert_weights.py SOURCE --output FILE"""

import argparse
import os
import signal
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alexnet_exp.checksums import file_sha256
from alexnet_exp.cli import mistakes_in_one_line, terminate
from alexnet_exp.console import silent_stderr
from alexnet_exp.errors import WeightsError, printable


@mistakes_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(description="Convert public AlexNet weights to a checked safetensors file.")
    parser.add_argument("source", type=Path, metavar="SOURCE", help=".npz, .npy, .caffemodel, .pth or .h5")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .safetensors file to write")
    parser.add_argument("--single-tower", action="store_true", help="block-diagonal kernels, for model=alexnet")
    parser.add_argument("--licence", metavar="TEXT", help="the licence that the publisher states")
    parser.add_argument("--source", dest="publisher", metavar="TEXT", help="who published the weights, and where")
    arguments = parser.parse_args()
    convert_file(arguments)


def convert_file(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_stderr():
        from alexnet_exp.model.formats import Conversion, convert
        from alexnet_exp.model.weight_files import write_weights

    output: Path = arguments.output
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise WeightsError(f"--output: expected a .safetensors file in a folder that exists. Received: {output}")
    conversion: Conversion = convert(
        arguments.source, arguments.publisher, arguments.licence, single_tower=arguments.single_tower
    )
    if output.exists() and output.samefile(arguments.source):
        raise WeightsError(f"--output: expected another file than the source. Received: {output}")
    signal.signal(signal.SIGTERM, terminate)  # nothing half written
    write_weights(output, conversion.values, conversion.metadata)

    metadata = conversion.metadata
    title = Text(printable(f"{arguments.source.name} -> model={metadata.network}"))
    table = Table("layer", "source", "shape", "dtype", title=title)
    for row in conversion.mapped:
        table.add_row(row.target, row.source, "x".join(map(str, row.shape)), row.dtype)
    console = Console()
    console.print(table)
    for layer, reason in conversion.left_out.items():
        console.print(f"left out: {layer} ({reason})", markup=False, highlight=False)
    console.print(
        f"{printable(str(output))}\nsha256 {file_sha256(output)}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


if __name__ == "__main__":
    main()
