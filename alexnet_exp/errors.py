"""Mistakes that a user can mend. They are shown as one line without a traceback."""


def one_line(error: Exception) -> str:
    """The message of a library's error without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    """The text with control characters as escapes: names out of a file would steer the terminal that shows them."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


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
