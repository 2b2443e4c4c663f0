"""Splunk's HTTP Event Collector."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import orjson

from proxy.audit.formats.fields import Line
from proxy.audit.formats.splunk import hec
from proxy.audit.sinks import Sink
from proxy.auditor.sinks.post import Post, bisected
from proxy.auditor.sinks.receiver import Rejected, Unavailable

_PATH = "/services/collector/event"


class Splunk:
    """Events as JSON; the collector says 200 and code 0 when it has them all."""

    answers = True

    def __init__(self, sink: Sink) -> None:
        self._post = Post(sink, "Splunk")
        self._hostname = sink.hostname or socket.gethostname()
        self._index = sink.index

    def send(self, lines: Sequence[Line]) -> list[Rejected]:
        return bisected(self._send, lines)

    def settled(self) -> bool:
        return True

    def close(self) -> bool:
        return self._post.close()

    def _send(self, lines: Sequence[Line]) -> list[Rejected]:
        body = b"".join(hec(line, self._hostname, self._index) for line in lines)
        answer = self._post.post(_PATH, body, "application/json")
        try:
            code = orjson.loads(answer.body)["code"]
        except (ValueError, LookupError, TypeError):
            raise Unavailable("its answer is not a collector's") from None
        if code != 0:
            raise Unavailable("it answered 200 without success")
        return []
