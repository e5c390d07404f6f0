"""Mistakes that a user can mend. They are shown as one line without a traceback."""


class UserError(Exception):
    """What was expected, the options, and what was received."""


class ConfigError(UserError):
    """The composed configuration does not describe an experiment."""


class DataError(UserError):
    """The images are missing, unreadable or too few."""


class DeviceError(UserError):
    """The machine does not have the devices that training asks for."""


class TrainingDiverged(UserError):
    """The loss is no longer finite."""


class WeightsError(UserError):
    """The pretrained weights are missing, damaged or do not fit the model."""
