"""What a finding is, and the facts that findings are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from proxy.database import schema
from proxy.database.tables import RoleFacts, TableFacts

NAMES_SHOWN = 5


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    severity: str
    """error: something does not work or is not protected; warning: it leaks or nobody can use it; info: to know."""
    subject: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code} {self.severity} {self.subject}: {self.message}. {self.fix}"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what in the database, as far as the declared columns go. Logins by name, superusers left out of the sets."""

    existing: frozenset[str]
    """Those of the policy's roles that exist."""
    logins: Mapping[str, tuple[str, ...]]
    """Per role of the policy, the logins that are it or members of it."""
    readers: Mapping[str, frozenset[str]]
    """Per column that exists, the logins that may SELECT it."""
    writers: Mapping[str, frozenset[str]]
    """Per column that exists, the logins that may INSERT or UPDATE it."""
    superusers: tuple[str, ...]
    everywhere: tuple[tuple[str, str], ...]
    """(login, predefined role) of logins that read or write all tables, or the server's files."""
    owners: Mapping[str, tuple[str, ...]]
    """Per table (or `schema sealgate`), the logins that are its owner or members of the owner."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a sealed column holds: counted, over a sample where the table is large. No values."""

    cells: int
    sampled: bool
    terms: int
    distinct_terms: int
    most_frequent: int
    """How often the most frequent term occurs."""
    keys: Mapping[int, int] = field(default_factory=dict)
    """Per key id, how many cells."""
    opened: int = 0
    tampered: int = 0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A column somewhere that is not declared. kind is pg_class.relkind of its relation."""

    label: str
    kind: str
    type_text: str
    of: str = ""
    """The declared column that it has the name of; empty for a sealed one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that check looked at."""

    role: RoleFacts
    schema: schema.SchemaFacts
    tables: Mapping[str, TableFacts]
    access: Access
    stored: Mapping[str, Stored | None]
    """Per sealed declared column; None: this login may not read it."""
    undeclared: Sequence[Elsewhere] = ()
    namesakes: Sequence[Elsewhere] = ()
    functions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Per declared column, the functions whose source names it."""


def error(code: str, subject: str, message: str, fix: str) -> Finding:
    return Finding(code, Severity.ERROR.value, subject, message, fix)


def warning(code: str, subject: str, message: str, fix: str) -> Finding:
    return Finding(code, Severity.WARNING.value, subject, message, fix)


def info(code: str, subject: str, message: str, fix: str) -> Finding:
    return Finding(code, Severity.INFO.value, subject, message, fix)


def listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMES_SHOWN])
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
