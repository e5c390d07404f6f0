"""Checksums of files, and a JSON file that seals the folder it lies in."""

import hashlib
import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from alexnet_exp.errors import WeightsError, one_line


def json_sha256(content: Any) -> str:
    """Of plain dicts, lists and scalars, whatever the order of the keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def remove_hashed(folder: Path) -> int:
    """Removes what is named by the first half of a `json_sha256`; what a job is writing, and all else, stays.

    Returns:
      How many were removed.
    """
    removed = 0
    for entry in folder.glob("*"):
        if re.match(r"[0-9a-f]{32}(\.|$)", entry.name) and entry.suffix != ".lock":
            with suppress(Timeout), FileLock(entry.with_suffix(".lock"), timeout=0):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                removed += 1
    return removed


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sealed(path: Path, settings: dict[str, Any]) -> None:
    """Writes settings as JSON, with the SHA-256 of each file that lies beside."""
    path.write_text(json.dumps({"settings": settings, "sha256": _beside(path)}, indent=2))


def read_sealed(path: Path) -> dict[str, Any]:
    """The settings of `write_sealed`, once the files beside are those that it saw.

    Raises:
      WeightsError: names the file that is missing, came later, or differs.
    """
    try:
        content = json.loads(path.read_bytes())
        settings, recorded = dict(content["settings"]), dict(content["sha256"])
        received = _beside(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path}: expected the settings of a model and the checksums of its files. Received: {one_line(error)}"
        ) from None
    for name in sorted(recorded.keys() | received.keys()):
        if received.get(name) != recorded.get(name):
            raise WeightsError(
                f"{path.parent / name}: expected the SHA-256 that was recorded, {recorded.get(name, 'none')}. "
                f"Received: {received.get(name, 'no such file')}"
            )
    return settings


def _beside(path: Path) -> dict[str, str]:
    return {file.name: file_sha256(file) for file in sorted(path.parent.iterdir()) if file != path}
