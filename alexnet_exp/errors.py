"""Mistakes that a user can mend. They are shown as one line without a traceback."""

import re

from pydantic import ValidationError

UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)  # control characters, not UTF-8


def one_line(error: Exception) -> str:
    """The message of a library's error without line breaks; of a schema's, each field with what is wrong with it."""
    if isinstance(error, ValidationError):
        found = [(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
        return "; ".join(f"{field}: {message}" if field else message for field, message in found)
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    """Names of files, or out of files, without what would do something to a terminal."""
    return UNPRINTABLE.sub("?", text)


class UserError(Exception):
    """What was expected, the options, and what was received."""


class ConfigError(UserError):
    """The composed configuration does not describe an experiment."""


class DataError(UserError):
    """The images are missing, unreadable or too few."""


class TrackingError(UserError):
    """The tracking store does not answer, or a run's state cannot be kept."""


class RunIsLive(TrackingError):
    """Another process works on the same experiment."""


class DeviceError(UserError):
    """The machine does not have the devices that training asks for."""


class TrainingDiverged(UserError):
    """The loss is no longer finite."""


class WeightsError(UserError):
    """The pretrained weights are missing, damaged or do not fit the model."""
