"""Expected errors, said in one line on stderr.

The server's own texts are shown only where they can hold no stored value: connecting, privileges, names of objects.
For all others the SQLSTATE has to do, because a DETAIL quotes rows and a message may quote a value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from keystore import KeystoreError
from proxy.config import ConfigurationError
from proxy.embedded import EmbeddedPostgresError

# Connection, authorization, catalog and access rule classes; 42xxx texts name tables, columns and roles.
SPEAKING_CLASSES = ("08", "28", "3D", "3F", "42", "53", "57")


@dataclass(slots=True)
class Outcome:
    """The exit code: set by the command, or by the error that ended it."""

    code: int = 1


class CommandRefused(Exception):
    """A command will not do what it was asked; the text says why and what to do."""


@contextmanager
def explained() -> Iterator[Outcome]:
    outcome = Outcome()
    try:
        yield outcome
    except ConfigurationError as error:
        outcome.code = _say(str(error), 2)
    except (CommandRefused, KeystoreError, EmbeddedPostgresError) as error:
        outcome.code = _say(str(error), 1)
    except asyncpg.PostgresError as error:
        outcome.code = _say(f"the server refused: {server_text(error)}", 1)
    except (asyncpg.InterfaceError, OSError) as error:
        outcome.code = _say(_reason(error), 1)


def server_text(error: asyncpg.PostgresError) -> str:
    """SQLSTATE, and the server's message where it can hold no value."""
    code = getattr(error, "sqlstate", None) or "?????"
    if code[:2] not in SPEAKING_CLASSES:
        return f"{type(error).__name__} (SQLSTATE {code})"
    return f"{error.args[0] if error.args else type(error).__name__} (SQLSTATE {code})"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return where + (error.strerror or str(error) or type(error).__name__)
    return str(error)


def _say(text: str, code: int) -> int:
    print(f"sealgate: {text}", file=sys.stderr)
    return code
