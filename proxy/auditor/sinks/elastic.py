"""Elasticsearch's _bulk API. A document's _id is the event's uid: what is sent again is there already (409)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from proxy.audit.formats.ecs import bulk
from proxy.audit.formats.fields import Line
from proxy.audit.sinks import Sink
from proxy.auditor.sinks.post import Post, Refused, bisected, uid
from proxy.auditor.sinks.receiver import Rejected, Unavailable

DATA_STREAM: Final = "logs-sealgate.audit-default"
_PATH: Final = "/_bulk?filter_path=errors,items.*.status"
_THERE_ALREADY: Final = 409
_NOT_UNDERSTOOD: Final = "its answer is not Elasticsearch's"


class Elastic:
    """One request creates a batch of documents; the answer has a status for each."""

    answers = True

    def __init__(self, sink: Sink) -> None:
        self._post = Post(sink, "ApiKey")
        self._index = sink.index or DATA_STREAM

    def send(self, lines: Sequence[Line]) -> list[Rejected]:
        return bisected(self._send, lines)

    def settled(self) -> bool:
        return True

    def close(self) -> bool:
        return self._post.close()

    def _send(self, lines: Sequence[Line]) -> list[Rejected]:
        body = b"".join(bulk(line, self._index) for line in lines)
        answer = self._post.post(_PATH, body, "application/x-ndjson")
        statuses = _statuses(answer.body, len(lines))
        later = [status for status in statuses if not _final(status)]
        if later:
            raise Unavailable(f"it answered {later[0]} to {len(later)} of {len(lines)} events")
        refused = [
            Rejected(1, f"it answered {status}", (uid(line),))
            for line, status in zip(lines, statuses, strict=True)
            if not _taken(status)
        ]
        if len(refused) == len(lines):
            raise Refused(refused[0].reason)
        return refused


def _taken(status: int) -> bool:
    return 200 <= status < 300 or status == _THERE_ALREADY


def _final(status: int) -> bool:
    """400 is about the document; anything else (429, 403 of an index that is full) may be otherwise tomorrow."""
    return _taken(status) or status == 400


def _statuses(body: bytes, count: int) -> list[int]:
    """Of each document. Raises Unavailable."""
    try:
        answer: Any = orjson.loads(body)
        found = [int(item["create"]["status"]) for item in answer["items"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Unavailable(_NOT_UNDERSTOOD) from None
    if len(found) != count:
        raise Unavailable(_NOT_UNDERSTOOD)
    return found
