"""The images, and what happens to them on the way to the network."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from alexnet_exp.config.schema.fields import Count, Fraction, NonNegative, Positive, frozen

ClassName = Annotated[str, Field(coerce_numbers_to_str=True)]


def _has_one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    if groups != 1:
        raise ValueError(f"a regular expression with one group in parentheses, found {groups}")
    return pattern


@frozen
class Limits:
    """What an archive or an image may be at most before it is refused as a bomb.

    Attributes:
      files: in an archive.
      gigabytes: of all its files when unpacked.
      ratio: of the unpacked size to the packed size, of a file in a .zip and of the whole of a compressed .tar.
      megapixels: of an image.
    """

    files: Count
    gigabytes: Positive
    ratio: Positive
    megapixels: Positive


@frozen
class DatasetConfig:
    """Images and how they are split."""

    name: str
    source: Literal["digits", "images"]
    root: str | None
    classes: Annotated[list[ClassName], Field(min_length=2)] | None
    limit_per_class: Annotated[int, Field(strict=True, ge=2)] | None
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(strict=True, ge=0)]
    group_pattern: Annotated[str, AfterValidator(_has_one_group)] | None
    resize: Literal["squash", "crop"]
    on_bad_image: Literal["error", "skip"]
    on_leak: Literal["warn", "error"]
    near_duplicates: Annotated[int, Field(strict=True, ge=0, le=16)] | None
    limits: Limits


@frozen
class AugmentationConfig:
    """Random transformations of the training images."""

    name: str
    load_size: Count | None
    flip: bool
    rotation: Annotated[float, Field(ge=0, le=180)]
    shear: Annotated[float, Field(ge=0, lt=1.5)]
    zoom: Fraction
    shift: Fraction
    pca_color: NonNegative
    views: Count | None

    @property
    def resamples(self) -> bool:
        """Whether pixels are interpolated, not only mirrored and cropped."""
        return bool(self.rotation or self.shear or self.zoom or self.shift)
