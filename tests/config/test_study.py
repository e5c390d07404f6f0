"""Every arm of every study composes, on any model, and is no other arm under another name."""

import os
from pathlib import Path

import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import science
from alexnet_exp.config.schema import Finetune, NoWeights, Scratch
from alexnet_exp.config.study import Study, arms_of, compose_study, studies
from alexnet_exp.errors import ConfigError, UserError

OTHER_MODEL = {  # with a layer that most models do not have, and weights for it
    "depth_of_cut": ["model=alexnet_small", "weights=run", "weights.run_id=abc"],
    "unfreeze_depth": ["model=alexnet_fc8", "weights=run", "weights.run_id=abc"],
    "data_size": ["model=alexnet_fc8", "weights=run", "weights.run_id=abc"],
}
ARMS = {
    "activation": 4, "batchnorm": 6, "batchnorm_dropout": 9, "data_size": 20, "depth_of_cut": 8, "dropout": 8, "lrn": 3,
    "pooling": 2, "unfreeze_depth": 8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that data_size looks for."""
    monkeypatch.setenv("ALEXNET_EXP_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet_conv1-5.npz").touch()


def composed(name: str, arms: list[str], *overrides: str) -> Study:
    return compose_study(name, arms, [0, 1], list(overrides))


def test_these_are_the_studies() -> None:
    assert {name: len(arms_of(name)) for name in studies()} == ARMS


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_composes_and_differs_from_the_others(name: str) -> None:
    study = composed(name, arms_of(name), *OTHER_MODEL.get(name, ["model=alexnet_cifar"]))
    for arm in study.arms:
        assert (arm.config.run.study, arm.config.run.arm) == (name, arm.option)
        assert arm.config.run.baseline in arms_of(name)
    jobs = [job for arm in study.arms for job in arm.jobs.values()]
    assert len(set(jobs)) == len(jobs) == 2 * ARMS[name]


def test_the_layers_are_those_of_the_model() -> None:
    norm, last = composed(
        "batchnorm_dropout", ["norm_activation_dropout", "norm_activation_last_dropout"], "model=alexnet_fc8"
    ).arms
    assert norm.config.model.norm.layers == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert [layer for layer, rate in norm.config.model.dropout.rates.items() if rate] == ["fc6", "fc7", "fc8"]
    assert [layer for layer, rate in last.config.model.dropout.rates.items() if rate] == ["head"]
    (conv5,) = composed("unfreeze_depth", ["conv5"]).arms
    assert isinstance(conv5.config.strategy, Finetune)
    assert [stage.layers for stage in conv5.config.strategy.stages] == [["head"], ["conv5", "fc6", "fc7", "head"]]


def test_scratch_ignores_the_weights_of_the_other_arms() -> None:
    weights = ["weights=run", "weights.run_id=abc"]
    scratch, finetune = composed("data_size", ["scratch_10", "finetune_10"], *weights).arms
    assert isinstance(scratch.config.strategy, Scratch)
    assert isinstance(scratch.config.weights, NoWeights)
    assert not isinstance(finetune.config.weights, NoWeights)
    assert science(compose_config([])) == science(compose_config(["strategy.ignore_weights=true", *weights]))


def test_each_seed_is_a_job_as_hydra_composes_it() -> None:
    (arm,) = compose_study("data_size", ["features_svm_10"], [3], []).arms
    assert arm.config == compose_config(["+ablation/data_size=features_svm_10", "seed=3"])
    assert arm.config.dataset.split_seed == 3


def test_the_place_of_the_data_and_of_the_weights_tells_jobs_apart() -> None:
    jobs = {
        composed("depth_of_cut", ["conv1"], *words).arms[0].jobs[0]
        for words in (
            [],
            ["weights=run", "weights.run_id=a"],
            ["weights=run", "weights.run_id=b"],
            [f"dataset.root={os.sep}"],
        )
    }
    assert len(jobs) == 4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1"], "overrides: expected settings that every job of the study shares.*Received: seed=1"),
        (["training.epochs=1,2"], r"overrides: .*Received: training\.epochs=1,2"),
        (
            ["model.norm.kind=none", "model.norm.position=after_pool", "model.norm.layers=[]"],
            "the same in none and after",
        ),
        (["+ablation/lrn=none"], r"overrides: .*Received: \+ablation/lrn=none"),
        (["model=alexnt"], r"^model: unknown option\. Options: alexnet, .*Received: alexnt \(every arm\)$"),
        (
            ["training.epochs=0", "model.norm.lrn.beta=x"],
            r"^model\.norm\.lrn\.beta: .*Received: 'x' \(every arm\)\ntraining\.epochs: .*Received: 0 \(every arm\)$",
        ),
    ],
)
def test_the_mistakes_of_all_arms_are_named_at_once(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed("lrn", ["none", "after_pooling"], *overrides)


def test_a_mistake_of_one_arm_names_the_arm() -> None:
    with pytest.raises(ConfigError, match=r"^model\.norm\.layers: .* lrn\. Received: fc6 \(arm lrn\)$"):
        composed("batchnorm", ["none", "lrn"], "model.norm.layers=[conv1,fc6]")


def test_an_unknown_study_is_named() -> None:
    with pytest.raises(UserError, match=r"^STUDY: expected .* Options: activation, batchnorm, .*Received: norm$"):
        arms_of("norm")
