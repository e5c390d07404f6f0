"""What a result depends on besides its configuration: code, packages, data and weights."""

import hashlib
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path

import mlflow

import alexnet_exp
from alexnet_exp.tracking.identity import NONE
from alexnet_exp.tracking.query import read_yaml

CONFIG, OVERRIDES, PACKAGES = "config/config.yaml", "config/overrides.yaml", "config/packages.yaml"  # artifacts
TAGS = ("code_sha256", "dataset_sha256", "weights_sha256")

Provenance = dict[str, str]


def code_tags() -> Provenance:
    """The commit, whether there are changes since, and the SHA-256 of the package's code itself."""
    folder = Path(alexnet_exp.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        commit, dirty = git("rev-parse", "HEAD"), str(bool(git("status", "--porcelain"))).lower()
    except (OSError, subprocess.CalledProcessError):
        commit = dirty = NONE
    return {"git_commit": commit, "git_dirty": dirty, "code_sha256": digest.hexdigest()}


def packages() -> Provenance:
    """The version of Python and of every installed package."""
    versions = {package.metadata["Name"].lower(): package.version for package in distributions()}
    return {"python": platform.python_version()} | dict(sorted(versions.items()))


def provenance(run_id: str) -> Provenance:
    """What a run has recorded of these things; of a run that is not over, what it has recorded so far."""
    tags = mlflow.get_run(run_id).data.tags
    return {name: tags[name] for name in TAGS if name in tags} | (read_yaml(run_id, PACKAGES) or {})


def changes(then: Provenance, now: Provenance) -> list[str]:
    """A line for each thing that both know and that is no longer the same."""
    both = [name for name in then if name in now]
    return [f"{name}: recorded {then[name]}, now {now[name]}" for name in both if then[name] != now[name]]
