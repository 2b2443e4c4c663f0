"""OpenTelemetry: logs over OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any, Final

from proxy.audit.formats.fields import Line
from proxy.audit.formats.otlp import encoded, export, rejected_by
from proxy.audit.sinks import Sink
from proxy.auditor.sinks.post import Post, bisected
from proxy.auditor.sinks.receiver import Rejected, Unavailable

_PATH: Final = "/v1/logs"


class Otlp:
    """An export request a batch; a collector may take a part of it, without saying which."""

    answers = True

    def __init__(self, sink: Sink) -> None:
        self._post = Post(sink, "Bearer")
        self._encoding = sink.encoding
        self._hostname = sink.hostname or socket.gethostname()

    def send(self, lines: Sequence[Line]) -> list[Rejected]:
        return bisected(self._send, lines)

    def settled(self) -> bool:
        return True

    def close(self) -> bool:
        return self._post.close()

    def _send(self, lines: Sequence[Line]) -> list[Rejected]:
        request: dict[str, Any] = export(lines, self._hostname, time.time_ns() // 1_000_000)
        try:
            body, content_type = encoded(request, self._encoding)
        except ImportError:
            raise Unavailable('encoding = "protobuf" needs the extra sealgate[otlp]') from None
        answer = self._post.post(_PATH, body, content_type)
        try:
            count = rejected_by(answer.body, self._encoding)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Unavailable("its answer is not a collector's") from None
        return [Rejected(min(count, len(lines)), "it took a part of the batch")] if count else []
