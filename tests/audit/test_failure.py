"""Exceptions as logs show them: where and what kind, never what."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import ClassVar

import asyncpg
import pytest

from proxy.audit.failure import describe, in_one_line
from proxy.audit.statement import Unreadable, statement_text

CANARY = "canary-078-05-1120"


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as same:
        return same


class Ours(Exception):
    """Stands for an error of the proxy; tests cannot live in its packages, so its module is set."""

    safe_to_log: ClassVar[bool] = True


class OursToo(Exception):
    pass


Ours.__module__ = OursToo.__module__ = "proxy.somewhere"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY),
        OSError(errno.ENOENT, CANARY, CANARY),
        OSError(CANARY),
        ssl.SSLError(1, CANARY),
        socket.gaierror(-2, CANARY),
        OursToo(CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY), ExceptionGroup(CANARY, [KeyError(CANARY)])]),
        asyncpg.UniqueViolationError(f"Key (email)=({CANARY}) already exists."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_text_of_an_exception_is_shown(error: BaseException) -> None:
    """Neither its own, nor its notes', nor its group's, nor its cause's."""
    error.add_note(CANARY)
    outer = RuntimeError(CANARY)
    outer.__cause__ = caught(error)
    for one in (caught(error), caught(outer)):
        described = describe(one)
        assert CANARY not in str(described)
        assert CANARY not in in_one_line(described)


def test_a_safe_class_of_ours_keeps_its_text() -> None:
    """The class says so and is ours; another's class may say what it likes."""
    assert describe(Ours("no such column"))["text"] == "no such column"
    impostor = type("Impostor", (Exception,), {"safe_to_log": True, "__module__": "proxyless.x"})
    assert "text" not in describe(impostor(CANARY))


def test_the_system_speaks_for_itself() -> None:
    """An errno has the system's words, whatever the exception was given; OpenSSL's have its constant."""
    assert describe(ConnectionRefusedError(errno.ECONNREFUSED, CANARY))["text"] == (
        "[111] Connection refused"
    )
    error = ssl.SSLCertVerificationError(1, CANARY)
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    assert describe(error)["text"] == "CERTIFICATE_VERIFY_FAILED"


def test_a_sqlstate_is_shown_if_it_is_one() -> None:
    """Five capitals or digits; anything else under that name is text."""
    assert describe(asyncpg.UniqueViolationError(CANARY))["sqlstate"] == "23505"
    error = Ours("x")
    error.sqlstate = CANARY  # type: ignore[attr-defined]
    assert "sqlstate" not in describe(error)


def test_frames_are_ours_with_file_and_line() -> None:
    """Lines of our packages by name, stretches of others counted; no source text, no locals."""
    with pytest.raises(Unreadable) as raised:
        statement_text(f"SELECT '{CANARY}'")
    described = describe(raised.value)
    assert described["frames"][0] == "(1 elsewhere)"
    assert described["frames"][1].startswith("proxy/audit/statement.py:")
    assert described["frames"][1].endswith(" in statement_text")
    assert in_one_line(described).startswith(
        "proxy.audit.statement.Unreadable; (1 elsewhere); proxy/"
    )


def test_chains_end() -> None:
    """A chain longer than anybody reads, and one that bites its tail, come to an end."""
    error: BaseException = ValueError(CANARY)
    for _ in range(50):
        outer = ValueError(CANARY)
        outer.__cause__ = error
        error = outer
    assert str(describe(error)).count("cause") == 6
    first, second = ValueError(CANARY), KeyError(CANARY)
    first.__context__, second.__context__ = second, first
    assert str(describe(first)).count("cause") == 6


def test_from_none_hides_the_context() -> None:
    """What `raise ... from None` cut off stays cut off."""
    outer = ValueError()
    outer.__context__ = KeyError()
    outer.__suppress_context__ = True
    assert "cause" not in describe(outer)
