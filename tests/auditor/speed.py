"""How fast the auditor follows a log, on this machine: `python -m tests.auditor.speed [EVENTS]`.

One core. The events are the examples of docs/events.md; receivers are not part of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from proxy.audit.formats.cef import cef
from proxy.audit.formats.ecs import bulk
from proxy.audit.formats.fields import Line
from proxy.audit.formats.otlp import encoded, export
from proxy.audit.formats.splunk import hec
from proxy.audit.formats.syslog import ascii_json, framed
from proxy.audit.log import AuditLog
from proxy.auditor.census import Census
from proxy.auditor.follow import End, Follower
from proxy.detection.settings import Detection
from proxy.detection.watch import Watch
from tests.audit.examples import examples


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "audit.jsonl"
        log = AuditLog(path)
        events = list(examples().values())
        while log.status.sequence < count:
            log.write_all([e for e in events for _ in range(20)])
        total = log.status.sequence
        end = End(*log.committed, log.chain, total)
        size = path.stat().st_size // total
        print(f"{total} events of {size} bytes on average; microseconds an event:")
        read: list[Line] = []

        def follow() -> None:
            follower = Follower(path, lambda: end)
            while batch := follower.read(500, 1 << 20).lines:
                read.extend(batch)
            follower.close()

        timed("follow (read, parse, place in the chain)", follow, total)
        watch, census = Watch(Detection()), Census([])
        timed("count for metrics", lambda: census.take(read, 0), total)
        timed("detect", lambda: [watch.observe(line.event) for line in read], total)
        timed(
            "form: ocsf over syslog",
            lambda: [framed(x, ascii_json(x), "h", 1) for x in read],
            total,
        )
        timed("form: cef over syslog", lambda: [framed(x, cef(x), "h", 1) for x in read], total)
        timed("form: ecs for _bulk", lambda: [bulk(x, "i") for x in read], total)
        timed("form: splunk", lambda: [hec(x, "h", None) for x in read], total)
        timed("form: otlp, json", lambda: encoded(export(read, "h", 0), "json"), total)
        log.close()


def timed(what: str, work: Callable[[], object], count: int) -> None:
    began = time.process_time()
    work()
    print(f"  {1e6 * (time.process_time() - began) / count:6.1f}  {what}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
