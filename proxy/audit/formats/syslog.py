"""RFC 5424 messages over a stream, each with its length in front (RFC 6587, 3.4.1; RFC 5425, 4.3).

    1234 <108>1 2026-11-23T09:48:44.120Z host sealgate 4711 statement.read [meta sequenceId="58"] MSG

MSG is ASCII, so it needs no byte order mark and means the same to a receiver of any encoding: in JSON other characters
are written as \\uXXXX. `sequenceId` is the number of the event in its chain, from 1 again after 2147483647 (RFC 5424, 7.3.1).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from proxy.audit.formats.fields import Line, milliseconds, number

LOG_AUDIT: Final = 13  # facility
_SEVERITIES: Final = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1}  # severity_id: informational ... alert
_NOTICE: Final = 5
_UNPRINTABLE: Final = re.compile(r"[^!-~]")
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def framed(line: Line, message: str, hostname: str, process: int) -> bytes:
    """One message. `message` is a line in some form; what is not ASCII in it has to be JSON."""
    header = (
        f"<{8 * LOG_AUDIT + _SEVERITIES.get(number(line.event, 'severity_id') or 0, _NOTICE)}>1 "
        f"{timestamp(milliseconds(line.event))} {_name(hostname, 255)} sealgate {process} "
        f"{_name(line.code, 32)} {_meta(line)} "
    )
    data = header.encode("ascii") + message.encode("ascii", "replace")
    return b"%d %b" % (len(data), data)


def ascii_json(line: Line) -> str:
    """The line in ASCII. In JSON what is beyond stands in strings only, where \\uXXXX means the same."""
    return _BEYOND_ASCII.sub(_escaped, line.raw.decode("utf-8", "replace"))


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def timestamp(moment: int) -> str:
    """Epoch milliseconds by RFC 3339, in UTC."""
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds")[:-6] + "Z"


def _meta(line: Line) -> str:
    sequence = number(line.event, "metadata", "sequence")
    if sequence is None or sequence < 1:
        return "-"
    return f'[meta sequenceId="{(sequence - 1) % 2147483647 + 1}"]'


def _name(text: str, cap: int) -> str:
    return _UNPRINTABLE.sub("?", text)[:cap] or "-"
