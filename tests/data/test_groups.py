"""Images of one patient are on one side; without a pattern the splits are what they always were."""

import hashlib
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.data.files import ImageFile
from alexnet_exp.data.groups import assign_parts, groups_of
from alexnet_exp.errors import ConfigError, DataError
from alexnet_exp.tracking.query import read_predictions
from tests.conftest import Compose

PATTERN = r"(patient\d+)"
OVERRIDE = f"dataset.group_pattern='{PATTERN}'"


def dataset(root: Path, *overrides: str) -> DatasetConfig:
    return compose_config(["dataset=image_folder", f"dataset.root={root}", *overrides]).dataset


def film(path: Path, seed: int, deep: bool) -> None:
    """A grey stand-in of a chest X-ray: two dark lungs, noise, 16 or 8 bits."""
    y, x = np.mgrid[-1:1:24j, -1:1:20j]
    lungs = np.exp(-((np.abs(x) - 0.45) ** 2 / 0.05 + y**2 / 0.4))
    grey = np.clip(0.8 - 0.6 * lungs + np.random.default_rng(seed).normal(0, 0.05, x.shape), 0, 1)
    pixels = np.round(grey * 65535).astype(np.uint16) if deep else np.round(grey * 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """18 patients with one to four views each; every third one changes from normal to pneumonia."""
    root, seed = tmp_path / "films", 0
    for patient in range(18):
        for view in range(1 + patient % 4):
            ill = patient % 2 if patient % 3 else view % 2
            name = f"patient{patient:05d}_study1_view{view}.png"
            film(root / ("pneumonia" if ill else "normal") / name, seed, deep=patient % 2 == 0)
            seed += 1
    return root


def grouped(root: Path, *overrides: str) -> Splits:
    return load_splits(dataset(root, OVERRIDE, *overrides), 16, root.parent / "cache")


def groups_by_part(splits: Splits) -> list[set[str]]:
    return [set(groups_of(part.ids, PATTERN).values()) for part in (splits.train, splits.val, splits.test)]


def digest(ids: list[str]) -> str:
    return hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], ["74fc0fdf0c1eac56", "fb3aa7c1337ec8e1", "0c9749dc964658ed"]),
        (
            ["dataset.limit_per_class=20", "dataset.classes=['5','3']", "dataset.split_seed=1"],
            ["9c72857f8a6e8e5c", "01fd666aff188d9b", "bae8f9d49e8a685f"],
        ),
    ],
)
def test_splits_without_a_pattern_never_change(tmp_path: Path, overrides: list[str], expected: list[str]) -> None:
    splits = load_splits(compose_config(overrides).dataset, 8, tmp_path)
    assert [digest(part.ids) for part in (splits.train, splits.val, splits.test)] == expected


def test_a_patient_is_on_one_side(films: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = grouped(films)
    train, val, test = groups_by_part(splits)
    assert len(train) + len(val) + len(test) == len(train | val | test) == 18
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == len(list(films.rglob("*.png")))
    assert "more than one part" not in caplog.text
    assert grouped(films).fingerprint == splits.fingerprint
    assert groups_by_part(grouped(films, "dataset.split_seed=1"))[2] != test
    plain = load_splits(dataset(films), 16, films.parent / "cache")
    assert groups_by_part(plain)[0] & groups_by_part(plain)[2]


def test_films_of_patients_go_through_a_whole_run(films: Path, store: str, tiny: Compose) -> None:
    from alexnet_exp.run import run

    result = run(tiny("dataset=image_folder", f"dataset.root={films}", OVERRIDE, "evaluation.test_each_epoch=true"), [])
    stored = mlflow.get_run(result.run_id)
    assert stored.data.params["dataset.group_pattern"] == PATTERN
    assert stored.data.tags["protocol"] == "test each epoch"
    course = mlflow.MlflowClient().get_metric_history(result.run_id, "test/accuracy")
    assert [point.step for point in course] == [0, 1]  # after the epoch, and at the end
    assert stored.data.metrics["test/accuracy"] == course[-1].value == result.metrics["accuracy"]
    (tested,) = read_predictions([result.run_id]).values()
    patients = set(groups_of(tested["id"].tolist(), PATTERN).values())
    others = {path.name[:12] for path in films.rglob("*.png")} - patients
    assert len(patients | others) == 18
    assert len(tested) == sum(path.name[:12] in patients for path in films.rglob("*.png"))


def test_16_bit_and_8_bit_films_look_alike(films: Path) -> None:
    train = grouped(films).train
    assert train.take(slice(None)).std(axis=-1).max() == 0
    means = train.take(slice(None)).mean(axis=(1, 2, 3))
    assert means.min() > 150
    assert means.max() < 185


def many(patients: int, classes: str = "abc") -> list[ImageFile]:
    """Patients of one to nine images; every fifth one has images of all classes."""
    rng = np.random.default_rng(0)
    files = []
    for patient in range(patients):
        for image in range(rng.integers(1, 10)):
            name = classes[image % len(classes)] if patient % 5 == 0 else classes[patient % len(classes)]
            files.append(ImageFile(f"{name}/patient{patient}_{image}.png", name, None))
    return sorted(files, key=lambda file: file.name)


@pytest.mark.parametrize("seed", range(3))
def test_every_class_has_its_share(tmp_path: Path, seed: int) -> None:
    files = many(300)
    config = dataset(tmp_path, OVERRIDE, f"dataset.split_seed={seed}")
    counts = Counter((file.class_name, file.part) for file in assign_parts(files, config))
    for name in "abc":
        total = sum(file.class_name == name for file in files)
        assert counts[name, "test"] / total == pytest.approx(config.test_fraction, abs=0.01)
        learned = total - counts[name, "test"]
        assert counts[name, "val"] / learned == pytest.approx(config.val_fraction, abs=0.01)


def test_chosen_classes_have_the_same_parts(tmp_path: Path, films: Path) -> None:
    whole = {file.name: file.part for file in assign_parts(many(60), dataset(tmp_path, OVERRIDE))}
    some = assign_parts(many(60), dataset(tmp_path, OVERRIDE, "dataset.classes=[c,a]"))
    assert {file.name: file.part for file in some} == whole
    test = grouped(films, "dataset.classes=[pneumonia,normal]").test
    assert sorted(test.ids) == sorted(grouped(films).test.ids)


def test_limit_per_class_leaves_the_test_images_alone(tmp_path: Path) -> None:
    whole = assign_parts(many(90), dataset(tmp_path, OVERRIDE))
    limited, less = (
        assign_parts(many(90), dataset(tmp_path, OVERRIDE, f"dataset.limit_per_class={n}")) for n in (30, 15)
    )
    test = [{file.name for file in some if file.part == "test"} for some in (whole, limited, less)]
    assert test[0] == test[1] == test[2]
    learned = [{file.name for file in some if file.part != "test"} for some in (limited, less)]
    assert learned[1] < learned[0]
    assert Counter(name[0] for name in learned[0]) == {"a": 30, "b": 30, "c": 30}
    groups = [
        {file.name.split("_")[0][2:] for file in limited if file.part == part} for part in ("train", "val", "test")
    ]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_three_groups_a_class_are_enough_and_two_are_too_few(tmp_path: Path) -> None:
    files = [
        ImageFile(f"{name}/patient{10 * number + patient}_{image}.png", name, None)
        for number, name in enumerate("ab")
        for patient in range(3)
        for image in range(20)
    ]
    for fraction in (0.05, 0.6):
        config = dataset(tmp_path, OVERRIDE, f"dataset.test_fraction={fraction}")
        assert len({(file.class_name, file.part) for file in assign_parts(files, config)}) == 6
    fewer = [file for file in files if not file.name.startswith("b/patient12")]
    with pytest.raises(DataError, match="class b: expected at least 3 groups"):
        assign_parts(fewer, dataset(tmp_path, OVERRIDE))


def test_own_folders_are_kept_and_a_patient_on_two_sides_is_warned_of(
    films: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in sorted(films.rglob("*.png")):
        patient = int(path.name[7:12])
        part = "test" if patient < 5 else "train"
        (films / part / path.parent.name).mkdir(parents=True, exist_ok=True)
        path.rename(films / part / path.parent.name / path.name)
    for name in ("normal", "pneumonia"):
        (films / name).rmdir()
    train, val, test = groups_by_part(grouped(films))
    assert test == {f"patient{number:05d}" for number in range(5)}
    assert val
    assert not train & val
    assert "more than one part" not in caplog.text
    film(films / "train" / "normal" / "patient00003_study2_view0.png", 99, deep=True)
    splits = grouped(films)
    assert "1 of 18 groups are in more than one part, the first: patient00003 in train and test" in caplog.text
    assert "train/normal/patient00003_study2_view0.png" in splits.train.ids  # not moved to a third side


def test_an_image_that_does_not_match_is_named(films: Path) -> None:
    film(films / "normal" / "scan7.png", 99, deep=False)
    with pytest.raises(DataError, match=r"group_pattern: expected \(patient.*Received: normal/scan7\.png"):
        grouped(films)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(patient", "dataset.group_pattern: expected a regular expression"),
        ("patient", "with one group in parentheses, found 0"),
        ("(a)(b)", "with one group in parentheses, found 2"),
    ],
)
def test_patterns_have_one_group(tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dataset(tmp_path, f"dataset.group_pattern='{pattern}'")
    assert words in str(caught.value)
    assert f"Received: '{pattern}'" in str(caught.value)


def test_digits_have_no_groups() -> None:
    with pytest.raises(ConfigError, match=r"group_pattern: expected null for the digits"):
        compose_config([OVERRIDE])
