"""A sink of the configuration as a receiver."""

from __future__ import annotations

from proxy.audit.sinks import Sink
from proxy.auditor.sinks.elastic import Elastic
from proxy.auditor.sinks.otlp import Otlp
from proxy.auditor.sinks.receiver import Receiver
from proxy.auditor.sinks.splunk import Splunk
from proxy.auditor.sinks.stream import Stdout, Syslog


def receiver(sink: Sink) -> Receiver:
    """Not connected yet."""
    kinds: dict[str, type[Stdout | Syslog | Splunk | Elastic | Otlp]] = {
        "stdout": Stdout,
        "syslog": Syslog,
        "splunk": Splunk,
        "elastic": Elastic,
        "otlp": Otlp,
    }
    return kinds[sink.type](sink)
