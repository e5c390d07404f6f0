"""Public AlexNet weights in the formats in which they are published, converted to this project's.

`convert(path)` detects the format by the file's content, reads it without executing anything, checks names, shapes and
values against the network, and returns values and metadata for `write_weights`.
"""

from alexnet_exp.model.formats.convert import READERS, Conversion, Mapped, as_single_tower, convert, detect_format

__all__ = ["READERS", "Conversion", "Mapped", "as_single_tower", "convert", "detect_format"]
