"""How many cores this process may use."""

import os


def cores() -> int:
    """Its part of the cores where a launcher divides them (`OMP_NUM_THREADS`), else all that the system gives it."""
    part = os.environ.get("OMP_NUM_THREADS", "")
    if part.isdigit() and int(part):
        return int(part)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
