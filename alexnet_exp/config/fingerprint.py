"""The identity of an experiment: everything that changes its result, and nothing else."""

from typing import Any

from alexnet_exp.checksums import json_sha256
from alexnet_exp.config.load import to_dict
from alexnet_exp.config.schema import RunConfig

NOT_SCIENCE = ("run", "tracking", "paths")
# Where data and weights lie, and which of them are refused or not read: what is in them has digests of its own.
NOT_CONTENT = {
    "dataset": ("root", "on_bad_image", "on_leak", "near_duplicates", "limits"),
    "weights": ("name", "kind", "path", "url", "checksum", "models", "run_id"),
    "strategy": ("ignore_weights",),
}


def science(config: RunConfig) -> dict[str, Any]:
    """The part of the configuration that decides the result, without where things are kept or checked for."""
    sections = {name: value for name, value in to_dict(config).items() if name not in NOT_SCIENCE}
    for section, keys in NOT_CONTENT.items():
        sections[section] = {key: value for key, value in sections[section].items() if key not in keys}
    del sections["evaluation"]["batch_size"], sections["cache"]["max_gb"]
    return sections


def config_sha256(config: RunConfig) -> str:
    """SHA-256 over the scientific configuration and the places of data and weights: known before they are read."""
    weights = {key: value for key, value in to_dict(config.weights).items() if key in ("name", "path", "run_id")}
    return json_sha256({"config": science(config), "dataset": config.dataset.root, "weights": weights})


def fingerprint(config: RunConfig, dataset_sha256: str, weights_sha256: str | None) -> str:
    """SHA-256 over the scientific configuration and the content of the data and of the weight file."""
    identity = {"config": science(config), "dataset": dataset_sha256, "weights": weights_sha256}
    return json_sha256(identity)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one level of dotted names; lists stay values."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
