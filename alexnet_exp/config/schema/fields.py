"""Types of single values, and the decorator of all schemas."""

import os
from typing import Annotated, Literal, TypeVar, cast, dataclass_transform

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

Count = Annotated[int, Field(strict=True, gt=0)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = Annotated[list[Finite], Field(min_length=3, max_length=3)]
Name = Annotated[str, Field(coerce_numbers_to_str=True, min_length=1)]  # YAML reads 3 and 0.01 as numbers
Place = Annotated[str, AfterValidator(os.path.expanduser)]  # of a file or folder; ~ is the home of the user
Position = Literal["before_layer", "before_activation", "after_activation", "after_pool"]
Metric = Literal["train/loss", "train/accuracy", "val/loss", "val/accuracy"]

Schema = TypeVar("Schema")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def frozen(schema: type[Schema]) -> type[Schema]:
    """A frozen dataclass that checks its values and takes no others; all arguments by name."""
    checked = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(schema)
    return cast("type[Schema]", checked)
