"""An ablation study from its folder in `conf/ablation/`: every arm with every seed, composed and checked."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from alexnet_exp.config.compose import CONF, plain
from alexnet_exp.config.explain import explain
from alexnet_exp.config.fingerprint import config_sha256
from alexnet_exp.config.load import config_from
from alexnet_exp.config.schema import RunConfig
from alexnet_exp.errors import ConfigError, UserError

ABLATIONS = CONF / "ablation"


@dataclass(frozen=True)
class Arm:
    """One setting of a study.

    Attributes:
      option: the name of its file, for `+ablation/<study>=<option>`.
      config: its first job.
      jobs: seed -> `config_sha256` of the job.
    """

    option: str
    config: RunConfig
    jobs: dict[int, str]


@dataclass(frozen=True)
class Study:
    """The arms of a study, and what the user changed in all of them."""

    name: str
    arms: list[Arm]
    overrides: list[str]


def studies() -> list[str]:
    """The names of all studies."""
    return sorted(folder.name for folder in ABLATIONS.iterdir() if folder.is_dir())


def arms_of(study: str) -> list[str]:
    """The names of the files of a study's arms.

    Raises:
      UserError: when there is no such study.
    """
    if study not in studies():
        raise UserError(
            f"STUDY: expected a folder of conf/ablation. Options: {', '.join(studies())}. Received: {study}"
        )
    return sorted(path.stem for path in (ABLATIONS / study).glob("*.yaml"))


def compose_study(name: str, arms: Sequence[str], seeds: Sequence[int], overrides: list[str]) -> Study:
    """Composes and checks every job of a study.

    Hydra composes each arm once, which takes a tenth of a second; from seed to seed one value changes.

    Args:
      name: of the study.
      arms: names of files in its folder.
      seeds: that every arm runs with.
      overrides: Hydra's, of every arm.

    Raises:
      ConfigError: with a line for each thing that is wrong, and the arms that it is wrong in; also where the overrides
        make two arms the same.
    """
    _refuse_sweeps(name, overrides)
    composed: list[Arm] = []
    errors: dict[str, list[str]] = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for arm in arms:
            try:
                composed.append(_compose_arm(name, arm, seeds, overrides))
            except (UserError, HydraException, OmegaConfBaseException) as error:
                for line in explain(error):
                    errors.setdefault(line, []).append(arm)
    if errors:
        raise ConfigError("\n".join(f"{line} ({_which(found, arms)})" for line, found in errors.items()))
    _refuse_twins(composed)
    return Study(name, composed, overrides)


def _refuse_twins(arms: list[Arm]) -> None:
    same: dict[frozenset[str], list[str]] = {}
    for arm in arms:
        same.setdefault(frozenset(arm.jobs.values()), []).append(arm.option)
    if twins := [" and ".join(options) for options in same.values() if len(options) > 1]:
        raise ConfigError(
            f"overrides: expected settings that leave the arms different. Received: the same in {'; '.join(twins)}"
        )


def _refuse_sweeps(study: str, overrides: list[str]) -> None:
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.is_sweep_override() or override.key_or_group in ("seed", f"ablation/{study}"):
            raise ConfigError(
                "overrides: expected settings that every job of the study shares; its arms and seeds vary, "
                f"see --arms and --seeds. Received: {override.input_line}"
            )


def _compose_arm(study: str, arm: str, seeds: Sequence[int], overrides: list[str]) -> Arm:
    composed = compose("config", overrides=[f"+ablation/{study}={arm}", *overrides])
    configs = []
    for seed in seeds:
        composed.seed = seed
        configs.append(config_from(plain(composed)))
    return Arm(arm, configs[0], {config.seed: config_sha256(config) for config in configs})


def _which(found: list[str], arms: Sequence[str]) -> str:
    return "every arm" if len(found) == len(arms) else f"{'arm' if len(found) == 1 else 'arms'} {', '.join(found)}"
