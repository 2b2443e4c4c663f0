"""Events of Splunk's HTTP Event Collector ("Format events for HTTP Event Collector", Splunk documentation)."""

from __future__ import annotations

import orjson

from proxy.audit.formats.fields import Line, milliseconds, text


def hec(line: Line, hostname: str, index: str | None) -> bytes:
    """One event; several are written one behind the other. The line of the log stays as it is, byte for byte."""
    moment = milliseconds(line.event)
    fields = {"code": line.code, "uid": text(line.event, "metadata", "uid", cap=128)}
    more = {"fields": fields, "host": hostname, "source": "sealgate", "sourcetype": "sealgate:ocsf"}
    if index is not None:
        more["index"] = index
    head = b'{"time":%d.%03d,"event":' % divmod(moment, 1000)
    return head + line.raw + b"," + orjson.dumps(more)[1:]
