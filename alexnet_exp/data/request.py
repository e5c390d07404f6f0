"""One request for a small file, with limits that hold whatever the server does."""

import email.utils
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

CHUNK = 1 << 16
USER_AGENT = "alexnet-exp (downloads lists of images for research)"
REDIRECTS = (301, 302, 303, 307, 308)
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
SAFE = "/%:@!$&'()*+,;=?~-._"  # what stays as it is in a path or a query


@dataclass(frozen=True)
class Limits:
    """How hard to try, and how much to take.

    Attributes:
      total: requests at once.
      per_host: requests at once to one host.
      connect: seconds until a connection stands.
      read: seconds without a byte.
      whole: seconds of one request from the connection to the last byte.
      attempts: requests of an address that fails in passing before it counts as dead.
      backoff: seconds before the second attempt, doubled for each further one.
      patience: seconds that a host may ask to wait (Retry-After) before it is given up.
      redirects: followed, to http and https alone.
      size: bytes of one file.
    """

    total: int
    per_host: int
    connect: float
    read: float
    whole: float
    attempts: int
    backoff: float
    patience: float
    redirects: int
    size: int


@dataclass(frozen=True)
class Answer:
    """Of one request: content, or where else to ask, or why not and whether to ask again."""

    content: bytes = b""
    redirect: str | None = None
    failure: str | None = None
    again: bool = False
    wait: float | None = None  # seconds, where the server says


def address_error(url: str) -> str | None:
    """Why this is no address to fetch from, or None."""
    try:
        parts = urlsplit(url)
        if parts.scheme.lower() in ("http", "https") and parts.hostname and parts.port != 0:
            return None
    except ValueError as error:
        return f"not an address ({error})"
    return "not an http or https address"


def request(url: str, limits: Limits) -> Answer:
    """One request, without retries or redirects. Proxies are those of the environment (`https_proxy`, ...)."""
    deadline = _Deadline(limits.whole)
    try:
        return _get(url, limits, deadline)
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(url, error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if deadline.passed:
            return Answer(failure=f"took longer than {limits.whole:g} s")
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        passing = isinstance(error, OSError | http.client.HTTPException) and not isinstance(
            cause, ssl.SSLCertVerificationError | http.client.InvalidURL
        )
        return Answer(failure=str(cause) or type(cause).__name__, again=passing)
    finally:
        deadline.cancel()


class _Deadline:
    """Shuts the connection of a request after so many seconds: timeouts of sockets start anew with each byte."""

    def __init__(self, seconds: float):
        self.passed = False
        self.connection: socket.socket | None = None
        self.timer = threading.Timer(seconds, self._pass)
        self.timer.daemon = True
        self.timer.start()
        self.cancel = self.timer.cancel

    def watch(self, connection: socket.socket) -> None:
        self.connection = connection
        if self.passed:
            self._pass()

    def _pass(self) -> None:
        self.passed = True
        if self.connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.connection, socket.SHUT_RDWR)  # also below TLS, whose own would wait


def _get(url: str, limits: Limits, deadline: _Deadline) -> Answer:
    headers = {"User-Agent": USER_AGENT, "Accept": "image/*,*/*;q=0.5"}
    wanted = urllib.request.Request(_quoted(url), headers=headers)
    with _opener(limits, deadline).open(wanted, timeout=limits.connect) as response:
        length: int | None = response.length
        if length is not None and length > limits.size:
            return Answer(failure=f"{length} bytes, more than {limits.size}")
        content = bytearray()
        while length is None or len(content) < length:
            chunk = response.read1(CHUNK)
            if not chunk:
                break
            content += chunk
            if len(content) > limits.size:
                return Answer(failure=f"more than {limits.size} bytes")
    if deadline.passed:
        raise TimeoutError
    if length is not None and len(content) < length:
        raise ConnectionError(f"the connection ended after {len(content)} of {length} bytes")
    return Answer(bytes(content))


def _refusal(url: str, error: urllib.error.HTTPError) -> Answer:
    if error.code in REDIRECTS and (location := error.headers.get("Location")):
        return Answer(redirect=urljoin(url, location))
    failure = f"HTTP {error.code} {error.reason}".strip()
    return Answer(failure=failure, again=error.code in TRY_AGAIN, wait=_retry_after(error.headers.get("Retry-After")))


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of seconds or a date (RFC 9110, section 10.2.3); None where it makes no sense."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _quoted(url: str) -> str:
    """The address with blanks and letters beyond ASCII encoded, as browsers do."""
    parts = urlsplit(url)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    return parts._replace(
        netloc=host, path=quote(parts.path, SAFE), query=quote(parts.query, SAFE), fragment=""
    ).geturl()


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _opener(limits: Limits, deadline: _Deadline) -> urllib.request.OpenerDirector:
    """For http and https alone, watched by the deadline. Redirects come back as errors: the caller queues them."""

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(limits.read)
            deadline.watch(self.sock)

    class TlsConnection(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(limits.read)
            deadline.watch(self.sock)

    class Handler(urllib.request.AbstractHTTPHandler):
        def http_open(self, wanted: urllib.request.Request) -> Any:
            return self.do_open(Connection, wanted)

        def https_open(self, wanted: urllib.request.Request) -> Any:
            return self.do_open(TlsConnection, wanted, context=_tls())

        http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        Handler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
