"""The machine: cores that this process may use, and memory that it takes."""

import os
import time
from pathlib import Path

_FRESH = 0.05
"""Seconds for which a measurement of memory holds: one takes as long as a small batch."""

_inherited = 0
"""Bytes of the parent that this process, if it was forked, shares."""

_last = (0.0, 0)
"""When memory was measured, and what it was."""


def n_cores() -> int:
    """Count the cores that this process and its workers may use: its affinity, its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(usable, _container_cores()))


def n_threads() -> int:
    """Count the threads in which this process may compute: OMP_NUM_THREADS may allow fewer."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_cores(), int(limit)) if limit.isdigit() and int(limit) else n_cores()


def _container_cores() -> int:
    """Cores that the container is given, rounded up; many if it is not limited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return 2**16


def told(file: str) -> dict[str, str]:
    """Read what a file in /proc says, line by line; nothing on a system that has none."""
    try:
        lines = Path("/proc", file).read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in lines)


def private_memory() -> int:
    """Bytes that belong to this process, memory shared with its workers included, or 0.

    Pages of files that are mapped do not count: the system takes them back when it needs them.
    Nor does what a forked process was born with.
    """
    return max(0, _resident() - _inherited)


def recent_memory() -> int:
    """Return `private_memory` as of now, or a twentieth of a second ago."""
    global _last
    now = time.monotonic()
    if now - _last[0] > _FRESH:
        _last = now, private_memory()
    return _last[1]


def _resident() -> int:
    """Bytes of anonymous and shared memory, 0 where the system does not tell."""
    sizes = told("self/status")
    return 1024 * sum(int(sizes.get(n, "0").split()[0]) for n in ("RssAnon", "RssShmem"))


def _born() -> None:
    """Note what the parent had."""
    global _inherited, _last
    _inherited, _last = _resident(), (0.0, 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_born)
