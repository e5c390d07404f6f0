"""The table says what the runs gave; what is finished with today's configuration is not run again."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType

import mlflow
import pandas as pd
import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.errors import ConfigError, UserError
from tests.conftest import REPO, TINY

Record = Callable[..., str]


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    import reproduce

    return reproduce


@pytest.fixture
def record(store: str, reproduce: ModuleType) -> Record:
    """Leaves a run in the store with the parameters of these overrides."""
    from reproduction.store import parameters

    mlflow.set_tracking_uri(store)

    def leave(
        overrides: list[str],
        status: str = "FINISHED",
        experiment_id: str = "0",
        others: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        with mlflow.start_run(experiment_id=experiment_id) as run:
            mlflow.log_params(parameters(tuple(overrides)) | others)
        mlflow.MlflowClient().set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    return leave


def finished(reproduce: ModuleType, *overrides: str) -> dict[int, str]:
    """The ids of the runs that count for a configuration, by seed."""
    from reproduction.store import Plan, finished_runs, read_kept

    runs = finished_runs("0", [Plan("arm", "seed", overrides, range(2))], read_kept(Path("none")))["arm"]
    return runs["run_id"].to_dict()


def test_a_run_counts_while_the_configuration_is_what_it_was(reproduce: ModuleType, record: Record) -> None:
    first = record(["seed=0", "training.precision=float32"])
    record(["seed=1"], status="FAILED")
    other = record(["seed=1", "model=alexnet", "training.epochs=13"])
    assert finished(reproduce, "training.epochs=8") == {0: first}
    assert finished(reproduce, "training.precision=bfloat16") == {}
    assert finished(reproduce, "model=alexnet", "training.epochs=13") == {1: other}
    again = record(["seed=0"])
    assert finished(reproduce) == {0: again}


def test_the_constants_that_weights_bring_do_not_count(reproduce: ModuleType, record: Record) -> None:
    transfer = ["experiment=r4_finetune", "seed=0"]
    found = record(transfer, others={"model.preprocess.scale": "0.5", "model.norm.lrn.k": "1.5"})
    record(transfer, others={"model.dense.fc6": "5"})
    record(["experiment=r4_scratch", "seed=0"], others={"model.norm.lrn.k": "1.5"})
    assert finished(reproduce, "experiment=r4_finetune") == {0: found}
    assert finished(reproduce, "experiment=r4_scratch") == {}


def test_nothing_is_found_in_an_empty_store(reproduce: ModuleType, store: str) -> None:
    mlflow.set_tracking_uri(store)
    assert finished(reproduce) == {}


def cells(
    reproduce: ModuleType, runs: dict[str, pd.DataFrame], measure: str, value: float, failed: object = None
) -> dict:
    from reproduction import claims, store, table

    claim = claims.Claim("R9", "what", "claimed", value, tuple(runs), getattr(claims, measure), "none")
    plans = {name: store.Plan(name, "seed", (f"arm={name}",), range(3)) for name in runs}
    return dict(zip(table.COLUMNS, table.row(claim, plans, runs, failed or {}), strict=True))


def accuracies(*values: float) -> pd.DataFrame:
    metrics = {"test/accuracy": list(values), "test/accuracy_low": 0.4, "test/accuracy_high": 0.6}
    return pd.DataFrame(metrics | {"time/total_seconds": 90.0}).add_prefix("metrics.")


def test_a_row_over_seeds(reproduce: ModuleType) -> None:
    row = cells(reproduce, {"a": accuracies(0.5, 0.6, 0.7)}, "accuracy", 0.8)
    assert (row["measured"], row["std"], row["n"]) == ("0.600", "0.100", "3")
    assert row["95 % interval"] == "0.352 to 0.848"  # 4.303 * 0.1 / sqrt(3) on either side
    assert row["claim"] == "within the interval"
    assert row["time of a run"] == "90 s"
    assert row["command"] == "`alexnet-exp -m arm=a seed=0,1,2`"


def test_the_interval_of_accuracies_ends_at_one(reproduce: ModuleType) -> None:
    assert cells(reproduce, {"a": accuracies(0.5, 0.9)}, "accuracy", 0.8)["95 % interval"] == "0.000 to 1.000"
    runs = {"a": accuracies(0.0, 0.0), "b": accuracies(0.5, 0.9)}
    row = cells(reproduce, runs, "difference", 0.8)
    assert row["95 % interval"] == "-3.241 to 1.841"  # 12.706 * 0.2 on either side


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "reached"), (0.55, "within the interval"), (0.7, "not reached")])
def test_a_row_of_one_run_has_the_interval_of_its_images(reproduce: ModuleType, value: float, verdict: str) -> None:
    row = cells(reproduce, {"a": accuracies(0.5)}, "accuracy", value)
    assert (row["measured"], row["std"], row["n"], row["95 % interval"]) == ("0.500", "-", "1", "0.400 to 0.600")
    assert row["claim"] == verdict


def test_differences_are_paired_by_seed(reproduce: ModuleType) -> None:
    row = cells(reproduce, {"a": accuracies(0.5, 0.9), "b": accuracies(0.4, 0.79, 0.1)}, "difference", 0.2)
    assert (row["measured"], row["n"]) == ("0.105", "2")
    assert row["claim"] == "not reached"
    row = cells(reproduce, {"a": accuracies(0.5), "b": accuracies(0.4)}, "difference", 0.2)
    assert (row["n"], row["95 % interval"], row["claim"]) == ("1", "-", "-")


def test_seeds_without_spread_have_no_interval(reproduce: ModuleType) -> None:
    row = cells(reproduce, {"a": accuracies(0.1 + 0.2, 0.3, 0.3)}, "accuracy", 0.31)
    assert (row["measured"], row["std"], row["n"]) == ("0.300", "0.000", "3")
    assert (row["95 % interval"], row["claim"]) == ("-", "-")


def test_a_claim_without_runs_says_so_and_why(reproduce: ModuleType) -> None:
    empty = accuracies()
    assert cells(reproduce, {"a": empty}, "accuracy", 0.5)["measured"] == "not measured yet"
    assert cells(reproduce, {"a": empty}, "accuracy", 0.5, {"a": "why"})["measured"] == "failed: why"


@pytest.mark.parametrize(("course", "epochs"), [([0.5, 0.7, 0.8], 2.5), ([0.75], 1.0), ([0.2, 0.74], None)])
def test_epochs_to_the_target_are_interpolated(
    reproduce: ModuleType, course: list[float], epochs: float | None
) -> None:
    from reproduction.claims import crossing

    assert crossing(course) == pytest.approx(epochs or float("nan"), nan_ok=True)


def test_the_ratio_of_epochs_comes_from_the_courses(reproduce: ModuleType) -> None:
    courses = {"fast": [0.5, 1.0], "slow": [0.25, 0.5, 0.5, 0.75]}
    runs = {name: accuracies(0.5).assign(**{"course.train/accuracy": [course]}) for name, course in courses.items()}
    row = cells(reproduce, runs, "epochs_ratio", 6.0)
    assert row["measured"] == f"{4 / 1.5:.3f}"


def test_runs_count_without_the_store_they_were_made_in(
    reproduce: ModuleType, record: Record, store: str, tmp_path: Path
) -> None:
    from reproduction.store import Plan, finished_runs, read_kept, write_kept

    client = mlflow.MlflowClient()
    run_id = record(["seed=0", "training.epochs=3"])
    for step, value in enumerate((0.5, 0.7, 0.8)):
        client.log_metric(run_id, "train/accuracy", value, step=step)
    plans = [Plan("arm", "seed", ("training.epochs=3",), range(3))]
    kept = tmp_path / "page" / "runs.jsonl"
    first = finished_runs("0", plans, read_kept(kept))
    write_kept(kept, first)

    client.delete_run(run_id)
    again = finished_runs("0", plans, read_kept(kept))
    assert again["arm"].at[0, "run_id"] == run_id
    assert again["arm"].at[0, "course.train/accuracy"] == [0.5, 0.7, 0.8]
    other = record(["seed=1", "training.epochs=3"])
    write_kept(kept, finished_runs("0", plans, read_kept(kept)))
    assert list(read_kept(kept)["run_id"]) == [run_id, other]
    assert finished_runs("0", [Plan("arm", "seed", ("training.epochs=4",), range(3))], read_kept(kept))["arm"].empty

    repeated = record(["seed=0", "training.epochs=3"])
    write_kept(kept, finished_runs("0", plans, read_kept(kept)))
    assert list(read_kept(kept)["run_id"]) == [other, repeated]


def test_runs_stay_in_the_table_where_their_data_is_not(
    reproduce: ModuleType, record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from reproduction import store

    experiment_id = mlflow.create_experiment(compose_config([]).tracking.experiment)
    run_id = record(["experiment=r4_scratch", "seed=0"], experiment_id=experiment_id)
    for name, value in (("accuracy", 0.8), ("accuracy_low", 0.7), ("accuracy_high", 0.9)):
        mlflow.MlflowClient().log_metric(run_id, f"test/{name}", value)
    mlflow.MlflowClient().log_metric(run_id, "time/total_seconds", 90.0)
    page = tmp_path / "page.md"
    arguments = Namespace(only=["R4"], quick=False, dry_run=False, table=True, output=page)
    assert reproduce.reproduce(arguments) == 0
    kept = store.read_kept(reproduce.runs_file(page))

    monkeypatch.setenv("ALEXNET_EXP_DATA", str(tmp_path / "nothing"))
    store.configuration.cache_clear()
    assert reproduce.reproduce(arguments) == 0
    pd.testing.assert_frame_equal(store.read_kept(reproduce.runs_file(page)), kept)
    assert len(kept) == 1
    assert reproduce.reproduce(Namespace(**vars(arguments) | {"table": False, "only": ["r4_scratch"]})) == 0
    with pytest.raises(ConfigError, match=r"^dataset\.root: expected the folder or archive of dogs_vs_cats"):
        reproduce.reproduce(Namespace(**vars(arguments) | {"table": False}))


def test_every_row_has_a_recipe_and_every_recipe_a_row(reproduce: ModuleType) -> None:
    from reproduction.claims import ARMS, CLAIMS

    assert {name for claim in CLAIMS for name in claim.arms} == set(ARMS)
    assert {claim.system for claim in CLAIMS} | {"R5"} == reproduce.SYSTEMS.keys()


def test_what_is_to_run_is_chosen_by_system_or_arm(reproduce: ModuleType) -> None:
    assert reproduce.chosen(["R3", "r2_cifar10"]) == ["r2_cifar10", "r3_bikes_vs_ships", "r3_bikes_vs_ships_slow"]
    with pytest.raises(UserError, match=r"^--only: .*R4, R5, paper, r1_flowers17.*Received: R7$"):
        reproduce.chosen(["R3", "R7"])


def test_the_sizes_of_the_networks_are_those_published(reproduce: ModuleType) -> None:
    from reproduction.table import facts

    rows = [" ".join(row) for row in facts()]
    assert "62,380,346 parameters 62,380,346 parameters" in rows[0]
    assert "60,965,224 parameters" in rows[1]
    assert rows[2].count("55, 27, 27, 13, 13, 13, 13, 6") == 2


def test_what_is_left_runs_and_the_table_tells_what_failed(
    reproduce: ModuleType, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alexnet_exp.run import run
    from reproduction.claims import Arm, Claim, accuracy

    few = (*TINY, "dataset.limit_per_class=20")
    arms = {"good": Arm(few, (), repeats=1), "bad": Arm((*few, "optimizer.learning_rate=1e20"), (), repeats=1)}
    claims = [Claim("R1", name, "0.1", 0.1, (name,), accuracy, "none") for name in arms]
    commands = []

    def in_this_process(command: list[str]) -> bool:
        commands.append(command)
        try:
            run(compose_config(command), command)
        except UserError:
            return True
        return False

    for name, value in {"ARMS": arms, "CLAIMS": claims, "alexnet_exp": in_this_process}.items():
        monkeypatch.setattr(reproduce, name, value)
    page = tmp_path / "page.md"
    arguments = Namespace(only=["R1"], quick=False, dry_run=False, table=False, output=page)
    assert reproduce.reproduce(arguments) == 1
    assert [command[-1] for command in commands] == ["run.arm=good", "run.arm=bad"]
    good, bad = (line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| R1"))
    assert 0 < float(good[3]) < 1
    assert bad[3].startswith("failed: TrainingDiverged: optimizer.learning_rate")
    assert reproduce.reproduce(arguments) == 1
    assert [command[-1] for command in commands[2:]] == ["run.arm=bad"]
