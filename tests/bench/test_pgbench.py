"""What pgbench 18.4 said, recorded, is read right."""

from __future__ import annotations

import pytest

from bench.pgbench import NoTransaction, PgbenchFailed, milliseconds, percentiles, summary

SAID = """\
pgbench (18.4)
transaction type: /dev/stdin
scaling factor: 1
query mode: prepared
number of clients: 2
number of threads: 1
maximum number of tries: 1
number of transactions per client: 3
number of transactions actually processed: 6/6
number of failed transactions: 0 (0.000%)
latency average = 0.547 ms
initial connection time = 11.739 ms
tps = 3658.536585 (without initial connection time)
"""
RECONNECTING = """\
number of transactions actually processed: 6
number of failed transactions: 0 (0.000%)
latency average = 10.699 ms
average connection time = 4.762 ms
tps = 186.927534 (including reconnection times)
"""
LOG = """\
0 1 670 0 1795399252 525367
0 2 33 0 1795399252 525422
0 3 24 0 1795399252 525447
1 1 1153 0 1795399252 526238
1 2 27 0 1795399252 526269
1 3 24 0 1795399252 526294
"""


def test_the_summary() -> None:
    assert summary(SAID) == {"rate": 3658.536585, "count": 6.0}
    assert summary(RECONNECTING) == {"rate": 186.927534, "count": 6.0}


def test_failed_transactions_are_no_figure() -> None:
    """A side whose transactions fail is not fast."""
    with pytest.raises(PgbenchFailed, match="2 transactions failed"):
        summary(SAID.replace("transactions: 0", "transactions: 2"))
    with pytest.raises(PgbenchFailed, match="no figures"):
        summary("pgbench: error: Run was aborted due to an error in thread 0")


def test_a_time_in_which_nothing_ended_is_no_figure() -> None:
    """As pgbench 18.4 says it: there is no tps line then."""
    with pytest.raises(NoTransaction):
        summary("duration: 1 s\nnumber of transactions actually processed: 0\n")


def test_the_log_of_transactions() -> None:
    """Microseconds in the third field, milliseconds here."""
    times = milliseconds(LOG.splitlines())
    assert times == [0.67, 0.033, 0.024, 1.153, 0.027, 0.024]
    assert percentiles(times) == {"p50_ms": 0.027, "p99_ms": 1.153}
    assert percentiles([]) == {}
