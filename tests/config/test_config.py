"""Every option composes; every mistake is named in one line before TensorFlow is imported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_exp.config import to_dict
from alexnet_exp.config.compose import CONF, compose_config
from alexnet_exp.config.fingerprint import fingerprint, flatten, science
from alexnet_exp.config.geometry import minimum_input_size, output_sizes
from alexnet_exp.config.schema import Finetune
from alexnet_exp.errors import ConfigError

GROUPS = ("model", "dataset", "augmentation", "optimizer", "schedule", "weights", "strategy", "experiment")
OPTIONS = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
FILES = (  # that the options look for
    "weights.safetensors", "cifar10.zip", "dogs_vs_cats.tar", "flowers17.tar", "weights/alexnet_conv1-5.npz",
    "weights/caffenet_conv1-5.npz", "weights/bvlc_alexnet_conv1-3_conv5.npz", "bikes_vs_ships",
)  # fmt: skip
FEATURES_MLP = ("strategy=features_mlp", "weights=run", "weights.run_id=abc")
NOT_SCIENCE = (
    "run.", "tracking.", "paths.", "dataset.root", "dataset.on_bad_image", "dataset.on_leak", "dataset.near_duplicates",
    "dataset.limits.", "weights.name", "weights.kind", "weights.path", "weights.url", "weights.checksum",
    "weights.models", "weights.run_id", "strategy.ignore_weights", "evaluation.batch_size", "cache.max_gb",
)  # fmt: skip
COMPANIONS = {  # what an option needs beside it
    "weights=file": ["strategy=finetune", "weights.path={file}"],
    "weights=alexnet_imagenet": ["strategy=finetune", "model=alexnet_2012"],
    "weights=caffenet_imagenet": ["strategy=finetune", "model=caffenet"],
    "weights=bvlc_alexnet": ["strategy=finetune", "model=alexnet_2012"],
    "weights=bvlc_alexnet_partial": ["strategy=finetune", "model=alexnet_2012"],
    "weights=torchvision_imagenet": ["strategy=finetune", "model=alexnet_torchvision"],
    "weights=run": ["strategy=finetune", "weights.run_id=abc"],
    "strategy=finetune": ["weights=run", "weights.run_id=abc"],
    "strategy=features_svm": ["weights=run", "weights.run_id=abc"],
    "strategy=features_mlp": ["weights=run", "weights.run_id=abc"],
    "augmentation=krizhevsky2012": ["model=alexnet_2012"],
    "dataset=image_folder": ["dataset.root={folder}"],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_its_science_is_in_the_fingerprint(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALEXNET_EXP_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    for name in FILES:
        (tmp_path / name).touch()
    file = tmp_path / FILES[0]
    companions = [word.format(file=file, folder=tmp_path) for word in COMPANIONS.get(option, [])]
    config = compose_config([option, *companions])
    group, _, name = option.partition("=")
    if group != "experiment":
        assert getattr(config, group).name == name
    everything, hashed = flatten(to_dict(config)), flatten(science(config))
    assert hashed.items() <= everything.items()
    assert {name for name in everything.keys() - hashed.keys() if not name.startswith(NOT_SCIENCE)} == set()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["training.epochs=0"], ["training.epochs", "greater than 0", "Received: 0"]),
        (["training.epochs=1.5"], ["training.epochs", "integer", "Received: 1.5"]),
        (["optimizer.learning_rate=-1"], ["optimizer.learning_rate", "greater than 0", "Received: -1"]),
        (["optimizer.learning_rate=nan"], ["optimizer.learning_rate", "Received: nan"]),
        (
            ["training.loss=mean_squared_error", "training.label_smoothing=0.1"],
            ["training.label_smoothing: expected 0", "Received: 0.1"],
        ),
        (["training.devices=gpu"], ["training.devices: expected 'auto' or integer. Received: 'gpu'"]),
        (["model.pool=null"], ["model.pool: expected fields and their values. Received: None"]),
        (["strategy=features_svm", "strategy.c=[]"], ["strategy.c: expected at least 1 in the list. Received: []"]),
        (["run.study="], ["run.study: expected some text. Received: ''"]),
        (["model.norm.kind=bach"], ["model.norm.kind", "'batch'", "Received: 'bach'"]),
        (["model.norm.position=inside"], ["before_layer", "after_pool", "Received: 'inside'"]),
        (["model.norm.layers=[conv7]"], ["model.norm.layers", "conv5, fc6", "Received: conv7"]),
        (["+model.dropout.rates.fc9=0.5"], ["model.dropout.rates", "fc7, head", "Received: fc9"]),
        (["+model.nrom=1"], ["model.nrom", "unknown option", "norm", "Received: nrom"]),
        (
            ["+ablation/nope=none"],
            ["ablation/nope: unknown group. Options: the folders of conf/. Received: ablation/nope"],
        ),
        (["+unknown.key=1"], ["unknown", "Options: model, dataset", "Received: unknown"]),
        (["optimizer=adam", "+optimizer.nesterov=true"], ["optimizer.nesterov", "Options: name, learning_rate"]),
        (["model=alexnet", "model.input_size=66"], ["at least 67 pixels", "Received: 66"]),
        (
            ["strategy=features_svm", "weights=torchvision_imagenet", "model=caffenet"],
            ["model: expected one that weights=torchvision_imagenet fits", "alexnet_torchvision. Received: caffenet"],
        ),
        (
            ["strategy=features_svm", "weights=caffenet_imagenet", "model=caffenet", "paths.data=/nowhere"],
            ["weights.path", "/nowhere/weights/caffenet_conv1-5.npz", "put it there"],
        ),
        (["strategy=finetune"], ["weights: expected pretrained layers", "Received: none"]),
        (["weights=run", "weights.run_id=abc"], ["weights: expected none for strategy scratch"]),
        (["dataset=image_folder"], ["dataset.root", "Received: null"]),
        (["dataset=image_folder", "dataset.root=/no/such"], ["image_folder at /no/such. Received: no such file"]),
        (["dataset=cifar10", "paths.data=/no"], ["/no/cifar10.zip: put it there", "ALEXNET_EXP_DATA", "no such file"]),
        (["augmentation.load_size=16"], ["augmentation.load_size", "32", "Received: 16"]),
        (["model.conv.conv2.groups=5"], ["model.conv.conv2.groups", "divisor of 24", "Received: 5"]),
        (["model=alexnet", "model.norm.kind=batch"], ["model.norm.layers", "norm.kind=batch", "Received: []"]),
        (["optimizer.learning_rate=true"], ["optimizer.learning_rate", "Received: True"]),
        (["dataset.on_leak=ignore"], ["dataset.on_leak", "'warn' or 'error'", "Received: 'ignore'"]),
        (["dataset.near_duplicates=20"], ["dataset.near_duplicates", "16", "Received: 20"]),
        (["dataset.limits.ratio=0"], ["dataset.limits.ratio", "greater than 0", "Received: 0"]),
        (["dataset.limit_per_class=1"], ["dataset.limit_per_class", "Received: 1"]),
        (["evaluation.views=ten_crop"], ["evaluation.views", "augmentation.load_size", "Received: None"]),
        (
            ["strategy=features_svm", "evaluation.test_each_epoch=true"],
            ["evaluation.test_each_epoch: expected false for features_svm", "Received: True"],
        ),
        (["schedule.warmup_epochs=8"], ["schedule.warmup_epochs", "fewer than training.epochs, 8"]),
        (
            [*FEATURES_MLP, "strategy.epochs=3", "schedule.warmup_epochs=3"],
            ["schedule.warmup_epochs", "fewer than strategy.epochs, 3"],
        ),
        (
            [*FEATURES_MLP, "strategy.scaling=sqrt_l2", "model.activation=tanh"],
            ["strategy.scaling", "Received: sqrt_l2 with model.activation=tanh"],
        ),
        (
            [*FEATURES_MLP, "strategy.cut=pool5", "strategy.scaling=sqrt_l2", "model.norm.position=after_activation"],
            ["strategy.scaling", "Received: sqrt_l2 with model.norm.position=after_activation in conv5"],
        ),
        (["model.norm.lrn.size=4"], ["model.norm.lrn.size", "odd", "Received: 4"]),
        (
            [
                *("strategy=finetune", "weights=run", "weights.run_id=a", "weights.fresh=[head,fc7]"),
                "strategy.stages=[{layers: [head], epochs: 1, learning_rate: 0.1}]",
            ],
            ["strategy.stages", "Received: none with fc7"],
        ),
        (["seed=-1"], ["seed", "Received: -1"]),
        (["model.dropout.rates.fc6=1.0"], ["model.dropout.rates.fc6", "less than 1", "Received: 1.0"]),
    ],
)
def test_mistakes_are_named(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config(overrides)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_no_part_of_the_strategy_uses_is_not_checked() -> None:
    compose_config([*FEATURES_MLP, "schedule.warmup_epochs=10", "strategy.epochs=20"])
    compose_config(["strategy=features_svm", "weights=run", "weights.run_id=abc", "schedule.warmup_epochs=10"])
    before_and_after = ["strategy.scaling=sqrt_l2", "model.norm.position=after_activation"]
    compose_config([*FEATURES_MLP, *before_and_after, "strategy.cut=conv5"])
    compose_config([*FEATURES_MLP, *before_and_after, "strategy.cut=pool5", "model.norm.kind=none"])


def test_the_home_folder_is_known_by_its_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    config = compose_config(["dataset=image_folder", "dataset.root='~/photos'", "paths.cache='~/cache'"])
    assert (config.dataset.root, config.paths.cache) == (f"{tmp_path}/photos", f"{tmp_path}/cache")


def test_unknown_layers_of_strategies_are_named() -> None:
    run = ["weights=run", "weights.run_id=abc"]
    with pytest.raises(ConfigError, match=r"strategy\.cut: .*pool5.*Received: pool3"):
        compose_config(["strategy=features_svm", "strategy.cut=pool3", *run])
    with pytest.raises(ConfigError, match=r"strategy\.stages\.0\.layers: .*Received: fc8"):
        compose_config(["strategy=finetune", "strategy.stages=[{layers: [fc8], epochs: 1, learning_rate: 0.1}]", *run])


@pytest.mark.parametrize(
    ("model", "order"),
    [
        ("alexnet_cifar", ["head", "fc8", "fc7", "fc6", "conv5", "conv4", "conv3", "conv2", "conv1"]),
        ("krizhevsky2012_cifar10", ["head", "conv4", "conv3", "conv2", "conv1"]),
    ],
)
def test_fine_tuning_goes_layer_by_layer_whatever_the_model(model: str, order: list[str]) -> None:
    config = compose_config(["strategy=finetune", "weights=run", "weights.run_id=abc", f"model={model}"])
    assert isinstance(config.strategy, Finetune)
    assert [stage.layers for stage in config.strategy.stages] == [order[: n + 1] for n in range(len(order))]


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config(["training.epochs=0", "model.activation=relo", "seed=-1"])
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["training.epoch=1"],
        ["+a.b=1"],
        ["model=alexnt"],
        ["model=null"],
        ["+ablation/nope=none"],
        ["--cfg", "job"],
        ["--help"],
    ],
)
def test_the_command_line_answers_without_tensorflow(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["alexnet-exp", *{arguments!r}]
from alexnet_exp.cli import main
try:
    main()
finally:
    heavy = {"tensorflow", "keras", "mlflow", "sklearn", "matplotlib", "pandas"}
    print("heavy imports:", sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "heavy imports: []" in done.stdout
    if arguments[0].startswith("--"):
        assert done.returncode == 0
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "Options: " in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_output_sizes_of_the_2012_network() -> None:
    assert output_sizes(compose_config(["model=alexnet"]).model) == {
        "conv1": 55,
        "pool1": 27,
        "conv2": 27,
        "pool2": 13,
        "conv3": 13,
        "conv4": 13,
        "conv5": 13,
        "pool5": 6,
    }
    assert minimum_input_size(compose_config(["model=alexnet"]).model) == 67


@pytest.mark.parametrize(
    ("file", "before", "after", "changes"),
    [
        ("config.yaml", "seed: 0", "seed: 1", True),
        ("config.yaml", "epochs: 8", "epochs: 9", True),
        ("config.yaml", "restore_best: false", "restore_best: true", True),
        ("config.yaml", "- optimizer: adam", "- optimizer: adamw", True),
        ("model/alexnet_small.yaml", "{fc6: 0.25", "{fc6: 0.26", True),
        ("dataset/digits.yaml", "val_fraction: 0.1", "val_fraction: 0.2", True),
        ("schedule/cosine.yaml", "warmup_epochs: 0", "warmup_epochs: 2", True),
        ("config.yaml", "study: null", "study: renamed", False),
        ("config.yaml", "if_exists: reuse", "if_exists: resume", False),
        ("config.yaml", "ALEXNET_EXP_CACHE,.cache", "ALEXNET_EXP_CACHE,elsewhere", False),
        ("config.yaml", "max_gb: 20.0", "max_gb: 1.0", False),
        ("config.yaml", "experiment: null", "override hydra/launcher: basic", False),
    ],
)
def test_an_edited_default_changes_the_fingerprint_where_it_changes_the_science(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, before: str, after: str, changes: bool
) -> None:
    conf = shutil.copytree(CONF, tmp_path / "conf")
    content = (conf / file).read_text()
    assert before in content
    (conf / file).write_text(content.replace(before, after, 1))
    original = fingerprint(compose_config([]), "d", None)
    monkeypatch.setattr("alexnet_exp.config.compose.CONF", conf)
    assert (fingerprint(compose_config([]), "d", None) != original) == changes


@pytest.mark.parametrize(
    "override", ["seed=1", "model.norm.momentum=0.5", "training.batch_size=64", "dataset.resize=crop", "optimizer=sgd"]
)
def test_the_fingerprint_changes_with_the_science(override: str) -> None:
    assert fingerprint(compose_config([override]), "d", None) != fingerprint(compose_config([]), "d", None)


@pytest.mark.parametrize(
    "override",
    [
        "run.study=s", "run.name=n", "tracking.experiment=e", "paths.cache=c", "evaluation.batch_size=7",
        "dataset.on_leak=error", "dataset.on_bad_image=skip", "dataset.near_duplicates=4",
        "dataset.limits.megapixels=7",
    ],
)  # fmt: skip
def test_the_fingerprint_ignores_everything_else(override: str) -> None:
    assert fingerprint(compose_config([override]), "d", None) == fingerprint(compose_config([]), "d", None)


def test_the_fingerprint_changes_with_data_and_weights() -> None:
    config = compose_config([])
    assert len({fingerprint(config, "d", None), fingerprint(config, "e", None), fingerprint(config, "d", "w")}) == 3
