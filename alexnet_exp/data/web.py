"""Many small files from the web at once, politely: few requests to one host, retries that wait, few redirects."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from alexnet_exp.data.request import Answer, Limits, address_error, request

Key = TypeVar("Key", bound=Hashable)


class Unusable(ValueError):
    """What came is not what was wanted; asking again would not help."""


@dataclass(frozen=True)
class _Job(Generic[Key]):
    key: Key
    url: str
    failed: int = 0
    redirects: int = 0
    due: float = 0.0

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.lower()


@dataclass
class _Queue(Generic[Key]):
    """The jobs that are not running: ready ones by host, and those that rest before another attempt."""

    ready: dict[str, deque[_Job[Key]]] = field(default_factory=lambda: defaultdict(deque))
    resting: list[_Job[Key]] = field(default_factory=list)
    quiet: dict[str, float] = field(default_factory=dict)  # host -> when it wants to be asked again

    def __bool__(self) -> bool:
        return bool(self.resting) or any(self.ready.values())

    def take(self, busy: Counter[str], limits: Limits) -> Iterator[_Job[Key]]:
        """The jobs to start now; `busy` counts the running ones of each host and is kept up to date."""
        now = time.monotonic()
        for job in self.resting:
            if job.due <= now:
                self.ready[job.host].append(job)
        self.resting = [job for job in self.resting if job.due > now]
        for host, jobs in self.ready.items():
            while (
                jobs and self.quiet.get(host, 0) <= now and busy[host] < limits.per_host and busy.total() < limits.total
            ):
                busy[host] += 1
                yield jobs.popleft()

    def seconds_to_next(self) -> float | None:
        """Until a job that rests now, or whose host wants to be left alone, may start; None when there is none."""
        now = time.monotonic()
        times = [job.due for job in self.resting]
        times += [until for host, until in self.quiet.items() if self.ready[host] and until > now]
        return max(0.0, min(times) - now) if times else None


def fetch_many(
    addresses: dict[Key, str], accept: Callable[[Key, bytes], None], limits: Limits
) -> Iterator[tuple[Key, str | None]]:
    """Fetches files and hands each to `accept` in a thread of its own.

    Args:
      addresses: what to fetch, under names of the caller's.
      accept: is called with the name and the content; raises `Unusable` where it does not want it.
      limits: see there.

    Yields:
      Each name once, as soon as it is done, with the reason why there is no file, or None.
    """
    queue: _Queue[Key] = _Queue()
    for key, url in addresses.items():
        if reason := address_error(url):
            yield key, reason
        else:
            queue.ready[_Job(key, url).host].append(_Job(key, url))
    running: dict[Future[Answer], _Job[Key]] = {}
    busy: Counter[str] = Counter()
    with ThreadPoolExecutor(limits.total) as pool:
        while queue or running:
            for job in queue.take(busy, limits):
                running[pool.submit(_attempt, job, accept, limits)] = job
            pause = queue.seconds_to_next()
            if not running:
                time.sleep(pause or 0)
                continue
            for future in wait(running, pause, FIRST_COMPLETED).done:
                job = running.pop(future)
                busy[job.host] -= 1
                answer = future.result()
                if not _requeue(queue, job, answer, limits):
                    yield job.key, _reason(job, answer, limits)


def _attempt(job: _Job[Key], accept: Callable[[Key, bytes], None], limits: Limits) -> Answer:
    answer = request(job.url, limits)
    if answer.failure is None and answer.redirect is None:
        try:
            accept(job.key, answer.content)
        except Unusable as error:
            return Answer(failure=str(error))
    return replace(answer, content=b"")


def _requeue(queue: _Queue[Key], job: _Job[Key], answer: Answer, limits: Limits) -> bool:
    """Queues what has to be asked once more; False when the job is done or dead."""
    if _reason(job, answer, limits) is not None:
        return False
    if answer.redirect is not None:
        job = replace(job, url=answer.redirect, redirects=job.redirects + 1)
        queue.ready[job.host].appendleft(job)
        return True
    if answer.again:
        now = time.monotonic()
        if answer.wait is not None:
            queue.quiet[job.host] = max(now + answer.wait, queue.quiet.get(job.host, 0))
        due = now + (limits.backoff * 2**job.failed if answer.wait is None else answer.wait)
        queue.resting.append(replace(job, failed=job.failed + 1, due=due))
        return True
    return False


def _reason(job: _Job[Key], answer: Answer, limits: Limits) -> str | None:
    """Why the job ends without a file; None when it has one, or goes on."""
    if answer.redirect is not None:
        if job.redirects >= limits.redirects:
            return f"more than {limits.redirects} redirects"
        if reason := address_error(answer.redirect):
            return f"redirects to {answer.redirect}: {reason}"
        return None
    if not answer.again:
        return answer.failure
    if (answer.wait or 0) > limits.patience:
        return f"{answer.failure}, asks to wait {answer.wait:.0f} s"
    if job.failed + 1 >= limits.attempts:
        return f"{answer.failure}, {limits.attempts} times"
    return None
