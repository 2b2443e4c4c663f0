"""CPU time by who spent it, and what it lets several workers do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.cost import Cost, Meter, cost
from bench.processes import cpu_seconds, cpu_seconds_with_the_ended, family

BURN = "import time\nwhile time.process_time() < 0.2: pass"
PARENT = """
import subprocess, sys
input()
subprocess.run([sys.executable, "-c", sys.argv[1]])
print("ended", flush=True)
input()
"""


def test_time_of_ended_children_is_counted() -> None:
    """A server's session is a process that ends before it is looked at: what it used is not lost."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        meter = Meter([], parent.pid)
        parent.stdin.write(b"begin\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == b"ended\n"
        living = cpu_seconds(family(parent.pid))
        assert cpu_seconds_with_the_ended(parent.pid) - living >= 0.19
        told = meter.read()
        parent.communicate(b"\n")
    assert list(told) == ["server_cpu_s"]  # nothing is in between
    assert told["server_cpu_s"] >= 0.19
    assert cpu_seconds_with_the_ended(parent.pid) == 0


@pytest.mark.parametrize(
    ("proxy", "others", "workers", "cores", "most"),
    [
        (542.0, 250.0, 2, 2, 2 * 542 / (542 + 250)),
        (4.0, 1.0, 2, 2, 1.6),  # the others need a quarter of the proxy's time
        (1.0, 3.0, 2, 2, 1.0),  # one worker is not what the others wait for
        (1.0, 0.0, 2, 2, 2.0),
        (1.0, 0.0, 4, 2, 2.0),
        (1.0, 1.0, 2, 64, 2.0),  # cores enough: as many times as there are workers
    ],
)
def test_what_several_workers_can_do(
    proxy: float, others: float, workers: int, cores: int, most: float
) -> None:
    assert Cost(proxy, others, 1.0).possible(workers, cores) == pytest.approx(most)


def test_costs_are_of_one_transaction() -> None:
    """1.5 s, 0.3 s and 0.1 s of three parties for 1,000 transactions in one second."""
    figures = {"cpu_s": 1.5, "server_cpu_s": 0.3, "client_cpu_s": 0.1, "rate": 1e3, "count": 1e3}
    found = cost(figures)
    assert found is not None
    assert (found.proxy, found.others, found.cores) == pytest.approx((1500.0, 400.0, 1.9))
    for name in ("cpu_s", "server_cpu_s", "client_cpu_s"):
        assert cost({key: value for key, value in figures.items() if key != name}) is None
