"""Studies of Optuna: opened, resumed after a kill, and told of trials. Optuna is an extra."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from alexnet_exp.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

SQLITE = "sqlite:///"
RETRY_OF, PRUNED = "retry_of", "pruned"  # attributes of a trial


@contextmanager
def opened(name: str, storage: str, sampler: Any) -> "Iterator[Study]":
    """A study that is made or goes on; what a killed sweep left running is queued once more.

    Raises:
      ConfigError: when another sweep uses the file.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _alone(storage):
        study = optuna.create_study(
            study_name=name, storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
        )
        _queue_abandoned(study)
        yield study


def settled(study: "Study") -> "list[FrozenTrial]":
    """The trials that have an end of their own."""
    trials = study.get_trials(deepcopy=False)
    retried = _retried(trials)
    return [trial for trial in trials if trial.state.is_finished() and trial.number not in retried]


def tell(study: "Study", number: int, accuracy: float | None) -> None:
    """Ends a trial; without an accuracy it has failed."""
    from optuna.trial import TrialState

    if accuracy is None:
        study.tell(number, state=TrialState.FAIL)
    elif PRUNED in study.trials[number].user_attrs:
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, accuracy)


def watched(name: str, storage: str, number: int, pruner: Any) -> Callable[[int, float], bool]:
    """What a job asks after each epoch, with its number and the accuracy on val: whether its trial is hopeless."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=name, storage=storage, pruner=pruner)
    trial = optuna.trial.Trial(study, study.trials[number]._trial_id)

    def is_hopeless(epoch: int, accuracy: float) -> bool:
        trial.report(accuracy, epoch)
        hopeless: bool = trial.should_prune()
        if hopeless:
            trial.set_user_attr(PRUNED, epoch)
        return hopeless

    return is_hopeless


@contextmanager
def _alone(storage: str) -> Iterator[None]:
    """Keeps other sweeps away from a file: each would take the trials of the other for abandoned."""
    with ExitStack() as held:
        if storage.startswith(SQLITE):
            file = Path(storage.removeprefix(SQLITE))
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(FileLock(f"{file}.lock", timeout=0))
            except Timeout:
                raise ConfigError(
                    f"hydra.sweeper.storage: expected one that no other sweep is using. Received: {storage}"
                ) from None
        yield


def _queue_abandoned(study: "Study") -> None:
    from optuna.trial import TrialState, create_trial

    retried = _retried(study.trials)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        if trial.number not in retried:  # a kill may come between the two
            again = create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={RETRY_OF: trial.number},
                system_attrs=trial.system_attrs,
            )
            study.add_trial(again)
        study.tell(trial.number, state=TrialState.FAIL)


def _retried(trials: "list[FrozenTrial]") -> set[int]:
    return {trial.user_attrs[RETRY_OF] for trial in trials if RETRY_OF in trial.user_attrs}
