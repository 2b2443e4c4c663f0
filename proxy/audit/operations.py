"""Operations logs: what the proxy does, for those who run it, on stderr. [io]

They never hold a value, whoever writes them. Ours say a constant sentence and fields whose names are
on a list; a field that is not is named and withheld. What libraries log is text with anything in it
(asyncio quotes the repr of a task with its arguments, sqlglot the SQL), so of that we keep who spoke, from
which line, how loud, and the exception as `failure` shows it. Uncaught exceptions, warnings and Python's
own complaints about lost ones go the same way instead of to stderr as they are.

Call `configure` first thing in a process: before it, structlog prints everything.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final, Literal, TextIO

import orjson
import structlog

from proxy.audit.failure import describe, in_one_line
from proxy.audit.text import REASON_CAP, clean

Style = Literal["json", "console"]

_WHO_AND_WHERE: Final = (
    "session login client host port database path file line key pid worker workers signal side"
)
_WHAT: Final = "event table column columns role roles command kind state step status method mode setting sink detector"
_WHY: Final = (
    "reason problem fix hint sqlstate rule"  # phrases of ours, or the system's for an errno
)
_HOW_MUCH: Final = (
    "rows cells bytes size count limit attempt attempts sessions seconds milliseconds lost since"
)
_WHICH: Final = "version policy_version keys_fingerprint catalog_version previous server_version"
_HOW: Final = "level logger site"

FIELDS: Final = frozenset(" ".join((_WHO_AND_WHERE, _WHAT, _WHY, _HOW_MUCH, _WHICH, _HOW)).split())
"""Names of fields whose values are shown. Their values are ours to keep free of secrets."""

_LIBRARY_MESSAGES: Final = (
    "Task exception was never retrieved",
    "Future exception was never retrieved",
    "Task was destroyed but it is pending!",
    "Exception in callback",
    "Unhandled exception in client_connected_cb",
    "Fatal error on transport",
    "Fatal read error on",
    "Fatal write error on",
    "SSL handshake failed",
    "SSL error in data received",
    "socket.accept() out of system resource",
    "Unhandled error in exception handler",
    "Exception in default exception handler",
    "unhandled exception during asyncio.run() shutdown",
)
"""Constant beginnings of asyncio's messages: kept because they help, cut because of what follows."""
_WITHHELD_MESSAGE: Final = "a library's message, withheld"
_ITEMS: Final = 32

EventDict = dict[str, Any]


def configure(style: Style = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """Route everything that this process logs through the redaction, to `stream` (stderr)."""
    sink = _Sink(stream if stream is not None else sys.stderr)
    minimum = logging.getLevelNamesMapping()[level.upper()]
    render = _as_json if style == "json" else _as_console
    structlog.configure(
        processors=[
            lambda logger, level, event: render(redacted({**event, **logger.named, "level": level}))
        ],
        wrapper_class=_logger_class(minimum),
        logger_factory=lambda *name: _Logger(sink, *name[:1]),
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    handler = _LibraryRecords(sink, render)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(minimum, logging.INFO))  # libraries' debug lines say nothing once withheld
    logging.captureWarnings(capture=True)
    _catch_what_python_prints()


class _Sink:
    """Lines to a stream. A stream that is gone takes no one down with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        try:
            with self._lock:
                self._stream.write(text + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            return


class _Logger:
    """What `structlog.get_logger(name)` writes to."""

    def __init__(self, sink: _Sink, name: str = "") -> None:
        self.named = {"logger": name} if name else {}
        # structlog calls the level's name
        self.debug = self.info = self.warning = self.error = self.critical = sink.line


def _logger_class(minimum: int) -> type[structlog.BoundLoggerBase]:
    """structlog's filtering logger, but positional arguments never reach the text."""

    def method(name: str, number: int) -> Callable[..., None]:
        def log(self: structlog.BoundLoggerBase, event: str, *args: object, **fields: Any) -> None:
            if number >= minimum:
                if args:
                    fields["args"] = None  # unknown, so named and withheld
                self._proxy_to_logger(name, event, **fields)

        return log

    def exception(self: Any, event: str, *args: object, **fields: Any) -> None:
        self.error(event, *args, exc_info=fields.pop("exc_info", True), **fields)

    methods: dict[str, object] = {
        name: method(name, getattr(logging, name.upper()))
        for name in ("debug", "info", "warning", "error", "critical")
    }
    return type("Logger", (structlog.BoundLoggerBase,), methods | {"exception": exception})


def redacted(event: EventDict) -> EventDict:
    """What of `event` may be shown; the rest only by name."""
    shown: EventDict = {"timestamp": _now()}
    error = _exception(event.pop("exc_info", None))
    withheld = []
    for name, value in event.items():
        if name in FIELDS and _is_plain(value):
            shown[name] = _plain(value)
        else:
            withheld.append(clean(str(name), 64))
    if withheld:
        shown["withheld"] = sorted(withheld)[:_ITEMS]
    if error is not None:
        shown["failure"] = describe(error)
    return shown


def _exception(exc_info: object) -> BaseException | None:
    """What logging and structlog accept as `exc_info`: an exception, a triple, or True for the current."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_plain(item) and not isinstance(item, (list, tuple)) for item in value)
    return value is None or isinstance(value, (str, bool, int, float, PurePath))


def _plain(value: Any) -> Any:
    if isinstance(value, (str, PurePath)):
        return clean(str(value), REASON_CAP)
    if isinstance(value, int) and value.bit_length() > 53:
        return str(value)  # no JSON reader is bound to keep more
    if isinstance(value, (set, frozenset)):
        value = sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value[:_ITEMS]]
        return items if len(value) <= _ITEMS else [*items, f"…(+{len(value) - _ITEMS})"]
    return value


def _now() -> str:
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def _as_json(event: EventDict) -> str:
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return orjson.dumps(first | event, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str).decode()


def _as_console(event: EventDict) -> str:
    rest = dict(event)
    line = f"{rest.pop('timestamp')} {rest.pop('level'):<8} {rest.pop('event', '')}"
    failure = rest.pop("failure", None)
    for name, value in rest.items():
        shown = ",".join(map(str, value)) if isinstance(value, list) else value
        line += f"  {name}={shown}"
    return f"{line}  [{in_one_line(failure)}]" if failure else line


class _LibraryRecords(logging.Handler):
    """Records of the standard library's logging: nothing of ours comes that way."""

    def __init__(self, sink: _Sink, render: Callable[[EventDict], str]) -> None:
        super().__init__()
        self._sink = sink
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        message = record.msg if isinstance(record.msg, str) else ""
        known = (start for start in _LIBRARY_MESSAGES if message.startswith(start))
        event = {
            "event": next(known, _WITHHELD_MESSAGE),
            "level": record.levelname.lower(),
            "logger": record.name,
            "site": "/".join(PurePath(record.pathname).parts[-2:]) + f":{record.lineno}",
            "exc_info": record.exc_info,
        }
        self._sink.line(self._render(redacted(event)))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """logging would print the record's arguments to stderr."""
        self._sink.line(f"a record of {clean(record.name)} could not be logged")


def _catch_what_python_prints() -> None:
    log = structlog.get_logger()

    def uncaught(kind: type[BaseException], error: BaseException | None, _: object) -> None:
        if kind is KeyboardInterrupt:
            log.warning("interrupted")
        else:
            log.critical("uncaught exception", exc_info=error)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            log.critical("uncaught exception in a thread", exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        log.error("exception that could not be raised", exc_info=args.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
