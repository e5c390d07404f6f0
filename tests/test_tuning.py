"""A study of Optuna goes on after a kill, is used by one sweep at a time, and prunes."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from alexnet_exp import tuning
from alexnet_exp.errors import ConfigError
from alexnet_exp.tracking.store import MLRUNS
from hydra_plugins.optuna_sweeper import OptunaSweeper

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -e '.[optuna]'")


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'optuna.db'}"


def test_what_a_killed_sweep_left_is_tried_once_more(storage: str) -> None:
    space = {"rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)}
    with tuning.opened("study", storage, None) as study:
        done, failed, abandoned = (study.ask(space) for _ in range(3))
        tuning.tell(study, done.number, 0.5)
        tuning.tell(study, failed.number, None)
    for _ in range(2):  # the second sweep is killed as well
        with tuning.opened("study", storage, None) as study:
            assert [trial.number for trial in tuning.settled(study)] == [0, 1]
            again = study.ask(space)
            assert again.params == abandoned.params
            assert again.number > abandoned.number
    with tuning.opened("study", storage, None) as study:
        again = study.ask(space)
        tuning.tell(study, again.number, 0.7)
        assert [trial.number for trial in tuning.settled(study)] == [0, 1, again.number]
        assert study.best_trial.params == abandoned.params
        assert study.ask(space).params != abandoned.params


def test_two_sweeps_do_not_share_a_study(storage: str) -> None:
    with (
        tuning.opened("study", storage, None),
        pytest.raises(ConfigError, match=r"^hydra\.sweeper\.storage: expected one that no other sweep is using"),
        tuning.opened("study", storage, None),
    ):
        pass


@pytest.mark.parametrize("uri", [None, f"sqlite:///{MLRUNS}/mlflow.db"])
def test_a_study_does_not_write_into_the_store_of_mlflow(uri: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MLRUNS.parent)
    sweeper = OptunaSweeper("study", "sqlite:///mlruns/mlflow.db", None, None, n_trials=1, n_jobs=1)
    sweeper.config = OmegaConf.create({"tracking": {"uri": uri}})
    with pytest.raises(ConfigError, match=r"^hydra\.sweeper\.storage: expected another than MLflow's"):
        sweeper.sweep([])


def test_a_trial_below_the_median_is_pruned(storage: str) -> None:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
    with tuning.opened("study", storage, None) as study:
        for accuracy in (0.8, 0.9):
            trial = study.ask()
            is_hopeless = tuning.watched("study", storage, trial.number, pruner)
            assert not is_hopeless(0, accuracy)
            tuning.tell(study, trial.number, accuracy)
        trial = study.ask()
        is_hopeless = tuning.watched("study", storage, trial.number, pruner)
        assert is_hopeless(0, 0.1)
        tuning.tell(study, trial.number, 0.1)
        last = study.trials[-1]
        assert (last.state, last.value, last.intermediate_values) == (optuna.trial.TrialState.PRUNED, 0.1, {0: 0.1})
