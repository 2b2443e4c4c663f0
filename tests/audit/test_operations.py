"""Operations logs, from a process of their own: everything it says, searched for canaries."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.operations import FIELDS

CANARY = "canary-078-05-1120"
PRELUDE = f"""
import asyncio, logging, sys, threading, warnings
import structlog
from proxy.audit import operations
operations.configure(style=sys.argv[1], level=sys.argv[2])
log = structlog.get_logger()
CANARY = {CANARY!r}
"""


def run(program: str, style: str = "json", level: str = "info", *options: str) -> list[str]:
    """Lines that a process writes to stderr; nothing may be on stdout, no canary anywhere."""
    done = subprocess.run(
        [sys.executable, *options, "-c", PRELUDE + program, style, level],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    assert CANARY not in done.stderr
    return done.stderr.splitlines()


def events(program: str, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(program, "json", "info", *options)]


def test_ours_are_a_sentence_and_known_fields() -> None:
    """Level, time, the event and fields on the list; the others by name only."""
    (event,) = events(
        'log.info("listening", host="127.0.0.1", port=6432, sql=CANARY, row=[CANARY])'
    )
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "level": "info",
        "event": "listening",
        "host": "127.0.0.1",
        "port": 6432,
        "withheld": ["row", "sql"],
    }


def test_loggers_have_names() -> None:
    """`structlog.get_logger("sealgate.listener")` says who speaks."""
    (event,) = events('structlog.get_logger("sealgate.listener").info("up")')
    assert event["logger"] == "sealgate.listener"


def test_known_names_with_values_of_other_kinds_are_withheld() -> None:
    """bytes, objects and nests of containers have no plain value to show."""
    (event,) = events('log.info("x", path=CANARY.encode(), host={"a": CANARY}, rows=[[CANARY]])')
    assert event["withheld"] == ["host", "path", "rows"]


def test_positional_arguments_never_reach_the_text() -> None:
    """structlog would format them into the event."""
    (event,) = events('log.warning("bad value %s", CANARY)')
    assert (event["event"], event["withheld"]) == ("bad value %s", ["args"])


def test_hostile_values_stay_on_their_line() -> None:
    """Control characters and separators in a field are spelled out, and long ones cut."""
    (event,) = events('log.info("x", login="a\\n{\\u2028\\ud800", reason="r" * 5000, size=1 << 80)')
    assert event["login"] == "a\\u{a}{\\u{2028}\\u{d800}"
    assert event["reason"].endswith("…(+3976)")
    assert event["size"] == str(1 << 80)


def test_levels_are_kept() -> None:
    """Below the level nothing is written, on it everything."""
    program = 'log.debug("d"); log.info("i"); log.warning("w"); log.error("e"); log.critical("c")'
    assert len(run(program, "json", "debug")) == 5
    assert len(run(program, "json", "warning")) == 3


def test_exceptions_lose_their_text() -> None:
    """`exception`, `exc_info=True`, an exception and a triple: kind and place, no value."""
    described = events(
        """
def fail():
    secret = CANARY
    int(secret)
try:
    fail()
except ValueError as error:
    log.exception("one")
    log.error("two", exc_info=True)
    log.error("three", exc_info=error)
    log.error("four", exc_info=sys.exc_info())
log.error("five", exc_info=True)
"""
    )
    assert [event["event"] for event in described] == ["one", "two", "three", "four", "five"]
    assert [event.get("failure", {}).get("type") for event in described] == [
        *["builtins.ValueError"] * 4,
        None,
    ]


def test_asyncio_reports_without_reprs() -> None:
    """Lost tasks, failing callbacks, pending tasks: asyncio quotes tasks and handles with arguments."""
    reports = events(
        """
async def fail(secret):
    raise ValueError(secret)
async def wait(secret):
    await asyncio.Event().wait()
def callback(secret):
    raise KeyError(secret)
async def main():
    task = asyncio.create_task(fail(CANARY), name=CANARY)
    asyncio.get_running_loop().call_soon(callback, CANARY)
    await asyncio.sleep(0.01)
    del task
    asyncio.get_running_loop().call_exception_handler({"message": CANARY, "task": CANARY})
asyncio.run(main())
loop = asyncio.new_event_loop()
task = loop.create_task(wait(CANARY))
loop.run_until_complete(asyncio.sleep(0))
del task
loop.close()
import gc; gc.collect()
"""
    )
    said = [event["event"] for event in reports]
    assert "Task exception was never retrieved" in said
    assert "Exception in callback" in said
    assert "a library's message, withheld" in said
    assert {event["logger"] for event in reports if "logger" in event} == {"asyncio"}


def test_asyncio_debug_mode_tells_no_more() -> None:
    """PYTHONASYNCIODEBUG adds source tracebacks and slow callbacks with their arguments."""
    reports = events(
        """
import time
async def slow(secret):
    time.sleep(0.15)
async def main():
    await asyncio.create_task(slow(CANARY), name=CANARY)
asyncio.run(main(), debug=True)
"""
    )
    assert reports


def test_uvloop_reports_the_same_way() -> None:
    """The proxy's own loop."""
    pytest.importorskip("uvloop")
    reports = events(
        """
import uvloop
def callback(secret):
    raise KeyError(secret)
async def main():
    asyncio.get_running_loop().call_soon(callback, CANARY)
    await asyncio.sleep(0.01)
uvloop.run(main())
"""
    )
    assert reports[0]["failure"]["type"] == "builtins.KeyError"


def test_libraries_say_who_and_where_only() -> None:
    """asyncpg, sqlglot, any other: the logger, the level and the line; not the message."""
    (one, two, three) = events(
        """
logging.getLogger("sqlglot").warning(f"cannot parse {CANARY}")
logging.getLogger("asyncpg.pool").error("row %s", CANARY, extra={"secret": CANARY})
logging.getLogger("other").error("%d", CANARY, stack_info=True)
"""
    )
    assert (one["logger"], one["level"], one["event"]) == (
        "sqlglot",
        "warning",
        "a library's message, withheld",
    )
    assert two["logger"] == "asyncpg.pool"
    assert three["site"] == "<string>:11"


def test_what_python_prints_is_caught() -> None:
    """Uncaught exceptions, in threads too, lost ones in __del__, warnings: one line each, redacted."""
    said = events(
        """
class Careless:
    def __del__(self):
        raise ValueError(CANARY)
Careless()
thread = threading.Thread(target=int, args=(CANARY,), name=CANARY)
thread.start()
thread.join()
warnings.warn(CANARY)
raise RuntimeError(CANARY)
"""
    )
    assert [event["event"] for event in said] == [
        "exception that could not be raised",
        "uncaught exception in a thread",
        "a library's message, withheld",
        "uncaught exception",
    ]
    assert said[2]["logger"] == "py.warnings"


def test_a_closed_stderr_takes_nothing_down() -> None:
    """When whoever read the log is gone, the proxy goes on."""
    program = PRELUDE + 'sys.stderr.close(); log.error("x"); logging.error("y"); print("alive")'
    done = subprocess.run(
        [sys.executable, "-c", program, "json", "info"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "alive\n"


def test_the_console_says_the_same() -> None:
    """One line for people, of the same redacted event."""
    lines = run(
        """
log.info("listening", host="::1", port=6432, sql=CANARY, columns=["a", "b"])
try:
    open("/nowhere/" + CANARY)
except OSError:
    log.exception("cannot open")
""",
        "console",
    )
    assert lines[0][25:] == "info     listening  host=::1  port=6432  columns=a,b  withheld=sql"
    assert lines[1][25:] == (
        "error    cannot open  [FileNotFoundError: [2] No such file or directory; (1 elsewhere)]"
    )


LOGGERS = {"log", "_log", "logger", "_logger"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
SOURCES = sorted(
    path
    for package in ("proxy", "policy", "keystore")
    for path in (Path(__file__).parents[2] / package).rglob("*.py")
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_log_call_can_be_redacted(path: Path) -> None:
    """`log.info("constant", field=...)`: a sentence with a value inside could not be redacted, and a
    field that is not on the list would say nothing.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=level)) if (
                name in LOGGERS and level in LEVELS
            ):
                where = f"{path.name}:{node.lineno}"
                assert len(node.args) == 1, where
                assert isinstance(node.args[0], ast.Constant), where
                assert {field.arg for field in node.keywords} <= FIELDS | {"exc_info"}, where
