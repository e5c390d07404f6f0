"""What a measurement gets, what it gives, and what is to be reached."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SIGN = {"least": ">=", "most": "<="}


@dataclass(frozen=True)
class Setting:
    """How to measure: `folder` is shared by all measurements of one call and removed at its end."""

    quick: bool
    folder: Path

    @property
    def seconds(self) -> float:
        """How long the two sides of a row take turns."""
        return 6.0 if self.quick else 40.0

    @property
    def cache(self) -> Path:
        """Where the precision that suits a network is remembered."""
        return self.folder / "cache"


@dataclass(frozen=True)
class Measured:
    """A ratio (or a value in the goal's unit), and how it came about."""

    value: float
    details: str


class NotMeasured(Exception):
    """What the measurement needs is not there."""


@dataclass(frozen=True)
class Goal:
    """A row to be measured.

    Attributes:
      name: for `--only`.
      function: `module.function` of this package.
      what: is measured against what.
      target: of the ratio, or of the value in `unit`.
      at: whether the value is to be at `least` or at `most` the target.
    """

    name: str
    function: str
    what: str
    target: float
    at: Literal["least", "most"]
    unit: str = ""

    def row(self, measured: Measured, seconds: float) -> "Row":
        value = measured.value
        met = value >= self.target if self.at == "least" else value <= self.target
        return Row(self.name, self.what, value, self.target, self.at, self.unit, met, measured.details, seconds)

    def without_value(self, reason: str, seconds: float) -> "Row":
        return Row(self.name, self.what, None, self.target, self.at, self.unit, None, reason, seconds)


@dataclass(frozen=True)
class Row:
    """A row of the table; `ratio` and `met` are None where it could not be measured, `details` says why."""

    name: str
    what: str
    ratio: float | None
    target: float
    at: str
    unit: str
    met: bool | None
    details: str
    seconds: float

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        value = "-" if self.ratio is None else f"{self.ratio:.3g} {self.unit}".strip()
        met = {True: "met", False: "missed", None: "not measured"}[self.met]
        target = f"{SIGN[self.at]} {self.target:g} {self.unit}".strip()
        return self.name, value, target, met, f"{self.seconds:.0f} s", f"{self.what}: {self.details}"
