"""Whether a tracking store answers: asked before MLflow and TensorFlow are imported, so that the answer is quick."""

import socket
import threading
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from alexnet_exp.errors import TrackingError

PROBE_SECONDS = 5.0
PORTS = {"postgresql": 5432, "mysql": 3306}


def check_reachable(uri: str | None) -> None:
    """Finds out in seconds that a server refuses, hangs or has no address; MLflow's own retries take minutes.

    Args:
      uri: of a tracking server or a database. One without a host (a file, None) is not asked.

    Raises:
      TrackingError: when there is no answer within `PROBE_SECONDS`. Any answer will do, an error too.
    """
    if not urlsplit(uri or "").netloc:
        return
    address = without_credentials(str(uri))
    problems: list[str | None] = []
    # a thread of its own: no timeout of sockets bounds the look-up of a name
    probe = threading.Thread(target=lambda: problems.append(_problem(address)), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    problem = problems[0] if problems else f"no answer in {PROBE_SECONDS:.0f} s"
    if problem:
        raise TrackingError(f"tracking.uri: expected a store that answers. Received: {address} ({problem})")


def without_credentials(uri: str) -> str:
    """The URI without `user:password@`."""
    place = urlsplit(uri).netloc
    return uri.replace(f"//{place}", f"//{place.rpartition('@')[2]}", 1)


def _problem(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        scheme = parts.scheme.partition("+")[0]
        if scheme in ("http", "https"):
            urlopen(f"{address.rstrip('/')}/health", timeout=PROBE_SECONDS).close()
        elif port := parts.port or PORTS.get(scheme):
            socket.create_connection((parts.hostname, port), PROBE_SECONDS).close()
    except HTTPError:
        return None
    except URLError as error:
        return str(error.reason)
    except (OSError, ValueError, HTTPException) as error:
        return str(error)
    return None
