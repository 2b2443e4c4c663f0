"""What the kernel says about processes: CPU seconds and memory, of a process and all its children. [io]

CPU is `utime + stime` of /proc/PID/stat (proc(5)), in ticks of 1/100 s: rounds are long enough for that. Memory is
the proportional set size (PSS) of /proc/PID/smaps_rollup: pages that processes share are divided among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024


def family(pid: int) -> list[int]:
    """The process and its descendants, as they are now."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields:
                parents[int(entry)] = int(fields[1])
    found = [pid]
    for parent in found:
        found.extend(child for child, its in parents.items() if its == parent)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def cpu_seconds_with_the_ended(pid: int) -> float:
    """Of a process, its descendants, and those that it has waited for: a server ends one process per session."""
    while True:
        ended = _ticks_of_the_ended(pid)
        living = cpu_seconds(family(pid))
        if _ticks_of_the_ended(pid) == ended:  # none went from one sum to the other meanwhile
            return living + ended / TICKS


def _ticks_of_the_ended(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[13]) + int(fields[14]) if fields else 0


def memory_bytes(pids: Iterable[int]) -> int:
    """Proportional set size of these processes together."""
    return sum(_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids)


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident set size: cheaper to read than `memory_bytes`, for sampling."""
    return sum(_field(Path(f"/proc/{pid}/status"), "VmRSS:") for pid in pids)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (the name before them may hold blanks); [] when it ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith(name)), 0)
