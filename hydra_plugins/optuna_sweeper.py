"""Hydra's sweeper for Optuna, `hydra/sweeper=optuna`: Hydra finds its plugins in packages of this name."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from alexnet_exp import tuning
from alexnet_exp.errors import ConfigError, UserError

if TYPE_CHECKING:  # an extra
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Asks Optuna for settings, has Hydra's launcher try them, and tells Optuna the accuracy on val.

    The plugin hydra-optuna-sweeper wants an Optuna of 2022, counts the trials of each command alone, and never prunes.
    """

    def __init__(self, study: str | None, storage: str, sampler: Any, pruner: Any, n_trials: int, n_jobs: int):
        self.study, self.storage, self.sampler = study, storage, sampler  # the pruner is for the jobs
        self.n_trials, self.n_jobs = n_trials, n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        assert self.config is not None
        if self.study is None:
            raise ConfigError("run.study: expected a name, under which the study goes on. Received: null")
        from alexnet_exp.tracking.store import full_uri  # not above: MLflow takes seconds, and Hydra loads all plugins

        if full_uri(self.storage) == full_uri(self.config.tracking.uri):
            raise ConfigError(f"hydra.sweeper.storage: expected another than MLflow's. Received: {self.storage}")
        overrides = OverridesParser.create().parse_overrides(arguments)
        fixed = [f"{one.input_line}" for one in overrides if not one.is_sweep_override()]
        space = {one.get_key_element(): _distribution(one) for one in overrides if one.is_sweep_override()}
        self.validate_batch_is_legal([[*fixed, *(f"{name}={_any_of(values)}" for name, values in space.items())]])
        with tuning.opened(self.study, self.storage, self.sampler) as study:
            while (left := self.n_trials - len(tuning.settled(study))) > 0:
                self._try([study.ask(space) for _ in range(min(left, self.n_jobs))], study, fixed, space)
            _sum_up(study)

    def _try(self, trials: "list[Trial]", study: "Study", fixed: list[str], names: Iterable[str]) -> None:
        jobs = [
            [*fixed, *(f"{name}={trial.params[name]}" for name in names), f"run.trial={trial.number}"]
            for trial in trials
        ]
        assert self.launcher is not None
        results = self.launcher.launch(jobs, initial_job_idx=trials[0].number)
        for trial, result in zip(trials, results, strict=True):
            tuning.tell(study, trial.number, result.return_value if result.status == JobStatus.COMPLETED else None)


def _distribution(override: Override) -> "BaseDistribution":
    """What the value of an override may become: an interval of numbers, or one of some values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep = override.value()
    if not isinstance(sweep, IntervalSweep):
        return CategoricalDistribution(list(override.sweep_iterator(transformer=Transformer.encode)))
    whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
    return (IntDistribution if whole else FloatDistribution)(sweep.start, sweep.end, log="log" in sweep.tags)


def _any_of(values: "BaseDistribution") -> Any:
    return values.low if hasattr(values, "low") else values.choices[0]


def _sum_up(study: "Study") -> None:
    """Says what is best.

    Raises:
      UserError: when trials have failed, as other sweeps end when jobs did.
    """
    trials = tuning.settled(study)
    states = [trial.state.name.lower() for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    log.info("study %s: %d trials (%s)", study.study_name, len(trials), counts)
    if "complete" in states:
        best = study.best_trial
        log.info("best: trial %d, val/accuracy %.4f with %s", best.number, best.value, best.params)
    if failed := [str(trial.number) for trial, state in zip(trials, states, strict=True) if state == "fail"]:
        raise UserError(f"trials failed: {', '.join(failed)}; their runs have the tag trial and the cause")
