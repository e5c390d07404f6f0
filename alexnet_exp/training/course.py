"""One stage of training that another process may have begun: what is left of it, and the state it goes on from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from alexnet_exp.config.schema import TrainingConfig
from alexnet_exp.training.checkpoint import Arrays, Checkpoints, Progress

log = logging.getLogger(__name__)

STATE = {  # what Keras' callbacks remember from epoch to epoch
    "EarlyStopping": ("wait", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
}


@dataclass(frozen=True)
class Stage:
    """One stage of training: its name, the numbers of its epochs in the run, and its learning rate."""

    name: str
    epochs: range
    learning_rate: float


class Course:
    """The course of a stage, kept in a checkpoint after each epoch.

    Attributes:
      history: the metrics of its epochs so far.
      epochs: the numbers of those that are left.
      ended: whether nothing is left to do; the network is then as the stage, or a later one, left it.
    """

    def __init__(
        self, stage: Stage, network: keras.Model, training: TrainingConfig, checkpoints: Checkpoints | None = None
    ):
        """Takes up what a checkpoint has of the stage.

        Args:
          stage: all of it.
          network: the whole network, also where a part of it trains; its variables are restored.
          checkpoints: of the run; None keeps nothing.
        """
        self._stage, self._network, self._training, self._checkpoints = stage, network, training, checkpoints
        self._found = checkpoints.take_up(_shapes(network), training.restore_best) if checkpoints else None
        known = checkpoints.history if checkpoints else []
        self.history = [entry for entry in known if entry["stage"] == stage.name]
        self.epochs = stage.epochs[len(self.history) :]
        self.ended = False
        if not self.history:
            self._release()
        if self._found:
            progress = self._found.progress
            self.ended = progress.ended or progress.stage != stage.name
            _assign(_variables([network]), self._found.network)
            if progress.ended and training.restore_best:
                _assign(_weights(network), self._found.best)

    def restore(self, trained: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Puts optimizer and callbacks into the state of the last epoch; Keras resets both when `fit` begins.

        Args:
          trained: what Keras fits: the network, a part of it, or a copy on several devices.
          callbacks: those of `fit`.
        """
        if self._found is None:
            return
        _assign(_variables([trained]), self._found.network)
        _assign(_numbered(trained.optimizer), self._found.optimizer)
        for callback in callbacks:
            for name, value in self._found.progress.callbacks.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
            if isinstance(callback, keras.callbacks.EarlyStopping) and self._training.restore_best:
                callback.best_weights = [self._found.best[name] for name in _weights(trained)]
        log.info("%s goes on after epoch %d/%d", self._stage.name, len(self.history), len(self._stage.epochs))
        self._release()

    def keep(self, trained: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Writes a checkpoint of the epoch that is the last of `history`, while training goes on."""
        if self._checkpoints is None:
            return
        earlier = [entry for entry in self._checkpoints.history if entry["stage"] != self._stage.name]
        ended = trained.stop_training or len(self.history) == len(self._stage.epochs)
        remembered = {
            kind: {name: getattr(callback, name) for name in STATE[kind]}
            for callback in callbacks
            if (kind := type(callback).__name__) in STATE
        }
        progress = Progress(self._stage.name, ended, self._best(), [*earlier, *self.history], remembered)
        variables = _variables([self._network, trained])
        self._checkpoints.save(progress, _values(variables), _values(_numbered(trained.optimizer)))

    def _release(self) -> None:
        self._found = None
        if self._checkpoints:
            self._checkpoints.release()

    def _best(self) -> int:
        """The number of the best epoch; of equal ones the first, as in early stopping."""
        sign = 1 if self._training.monitor == "val/accuracy" else -1
        return int(max(self.history, key=lambda entry: sign * entry[self._training.monitor])["epoch"])


def _variables(networks: list[keras.Model]) -> dict[str, keras.Variable]:
    """All variables by `layer/variable`; a later network's take the place of an earlier one's."""
    return {
        f"{layer.name}/{variable.name}": variable
        for network in networks
        for layer in network.layers
        for variable in layer.variables
    }


def _weights(network: keras.Model) -> dict[str, keras.Variable]:
    """Those of `network.get_weights`, in its order: without the state of random generators."""
    return {f"{layer.name}/{variable.name}": variable for layer in network.layers for variable in layer.weights}


def _numbered(optimizer: keras.Optimizer) -> dict[str, keras.Variable]:
    return {str(number): variable for number, variable in enumerate(optimizer.variables)}


def _shapes(network: keras.Model) -> dict[str, tuple[int, ...]]:
    return {name: tuple(variable.shape) for name, variable in _variables([network]).items()}


def _values(variables: dict[str, keras.Variable]) -> Arrays:
    return {name: np.asarray(variable.numpy()) for name, variable in variables.items()}


def _assign(variables: dict[str, keras.Variable], values: Arrays) -> None:
    for name, variable in variables.items():
        variable.assign(values[name])
