"""Files from public addresses: resumed, verified, and never half there."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from filelock import FileLock

from alexnet_exp.console import progress_bar
from alexnet_exp.errors import UserError

TIMEOUT = 30  # seconds without an answer
CHUNK = 1 << 20


def fetch(path: Path, url: str | None, checksum: str | None) -> Path:
    """Makes sure that a file is there and is the right one. Of several processes one downloads, the others wait.

    Args:
      path: of the file.
      url: from which a missing file is downloaded, http or https; a download that broke off is resumed.
      checksum: `algorithm:hexdigest`, where the first digits of the digest are enough; None takes any content.

    Returns:
      `path`.

    Raises:
      UserError: when the file is missing and cannot be had, or its checksum differs.
    """
    if path.is_file():
        verify(path, checksum)
        return path
    if path.is_dir():
        raise UserError(f"expected a file at {path}. Received: a folder")
    if url is None:
        raise UserError(f"expected a file at {path}: put it there. Received: no such file")
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.is_file():
                _download(url, partial)
                _settle(partial, path, checksum)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"expected a file at {path}: put it there, from {url}. Received: no such file ({error})"
        ) from None
    return path


def verify(path: Path, checksum: str | None) -> None:
    """Compares a file with `algorithm:hexdigest`.

    Raises:
      UserError: when they differ.
    """
    if checksum is None:
        return
    algorithm, _, expected = checksum.partition(":")
    try:
        with path.open("rb") as file:
            received = hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: expected a file that can be read. Received: {error.strerror}") from None
    if not received.startswith(expected):
        raise UserError(f"{path}: expected the {algorithm} checksum {expected}. Received: {received}")


def _settle(partial: Path, path: Path, checksum: str | None) -> None:
    try:
        verify(partial, checksum)
    except UserError:
        partial.unlink()
        raise
    partial.replace(path)


def _download(url: str, partial: Path) -> None:
    """Downloads what `partial` does not have yet; all of it where the server does not go on from there."""
    have = partial.stat().st_size if partial.exists() else 0
    try:
        answer = _ask(url, have)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":  # all of it is there
            return
        answer = _ask(url, 0)
    resumed, part = answer.status == http.client.PARTIAL_CONTENT, answer.headers.get("Content-Range", "")
    if resumed and not part.startswith(f"bytes {have}-"):
        answer.close()
        answer, resumed = _ask(url, 0), False
    with answer, progress_bar() as bar:
        length = part.rpartition("/")[2] if resumed else answer.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        task = bar.add_task(f"downloading {partial.stem}", total=total, completed=have if resumed else 0)
        with partial.open("ab" if resumed else "wb") as file:
            while chunk := answer.read1(CHUNK):  # what has arrived: it is kept when no more comes
                file.write(chunk)
                bar.update(task, advance=len(chunk))
    if total is not None and partial.stat().st_size < total:
        raise OSError(f"the connection ended after {partial.stat().st_size} of {total} bytes; run again to resume")


def _ask(url: str, start: int) -> Any:
    """The answer of the server, from the byte `start`."""
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except ValueError as error:  # of an address that is none
        raise OSError(str(error)) from None
