"""The images, and what happens to them on the way to the network."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from alexnet_exp.config.schema.fields import Count, Fraction, Name, NonNegative, Place, Positive, frozen


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
      files: number of files in an archive.
      gigabytes: of all files of an archive when unpacked.
      ratio: of the unpacked size to the packed size, of a file in a .zip and of the whole of a compressed .tar.
      megapixels: of an image.
    """

    files: Count
    gigabytes: Positive
    ratio: Positive
    megapixels: Positive


@frozen
class DatasetConfig:
    """Images and how they are split.

    Attributes:
      name: what it is called in MLflow.
      source: the digits that are built in, or images of class folders.
      root: of `images`: a folder or an archive (.zip, .tar, .tar.gz) of class folders, with or without train, val and
        test folders above them.
      classes: keeps these classes alone, in this order; null keeps all.
      limit_per_class: images of a class that train has and val is cut from; test stays whole, as a val part of the
        data's own does.
      val_fraction: of the images to learn from, where the data has no val part of its own.
      test_fraction: of all images, where the data has no test part of its own.
      split_seed: decides the split, whatever the run's seed.
      group_pattern: a regular expression; images in whose paths its one group finds the same stay in one part.
      resize: how images become squares: `squash` them, or `crop` the centre.
      on_bad_image: unreadable images are an `error`, or `skip` counts and logs them.
      on_leak: what train, val and test share is a warning or an error.
      near_duplicates: a number also finds shared images that differ a little: in so many of the 64 bits of a pHash.
      limits: what is larger is refused.
    """

    name: str
    source: Literal["digits", "images"]
    root: Place | None
    classes: Annotated[list[Name], Field(min_length=2)] | None
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
    """Random transformations of the training images.

    Attributes:
      name: what it is called in MLflow.
      load_size: images are loaded at this size and cropped to the model's input, at random in training and at the
        centre otherwise; null loads them at the model's input size.
      flip: mirrors left to right, half of the time.
      rotation: degrees, uniform in +-.
      shear: radians, uniform in +-.
      zoom: fraction, uniform in 1 +-, for width and height separately.
      shift: fraction of the image, uniform in +-, for width and height separately.
      pca_color: standard deviation of the noise along the principal components of the training images' colours.
      views: null draws anew in each epoch; with a number, the draws of so many epochs repeat, and frozen layers see
        each of them once.
    """

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
