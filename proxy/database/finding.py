"""What a finding is, and the facts that findings are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from proxy.database import schema
from proxy.database.history import HistoryFacts
from proxy.database.leakage import Spread
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
    measured: Mapping[str, float] | None = None
    """The numbers that it speaks of; see `searching`."""

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
class OrderBits:
    """What order terms tell beside the order, of those that were compared with one another."""

    compared: int
    """Distinct terms."""
    settled: float
    """Bits of a value that the others settle, on average."""
    bare: float
    """Share of bits that stand outright in the term."""
    length: float
    """Bits of a form, on average."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What one kind of term tells. Of match and path terms `spread` is over all that stand in the arrays."""

    spread: Spread
    values: int
    """Stored values that carry it."""
    order: OrderBits | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What a sealed column holds: counted, over a sample where the table is large. No values, no terms."""

    cells: int
    sampled: bool
    flags: Mapping[int, int]
    """Per flags byte, how many cells."""
    learned: Mapping[str, Learned]
    """Per term function of schema sealgate; none where nothing carries it."""
    keys: Mapping[int, int] = field(default_factory=dict)
    """Per key id, how many cells."""
    opened: int = 0
    tampered: int = 0

    def carrying(self, flag: int) -> int:
        """Cells with this kind of term."""
        return sum(count for flags, count in self.flags.items() if flags & flag)


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
    subjects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per table, the columns that are configured to name the person whose row it is."""
    history: Mapping[str, HistoryFacts] = field(default_factory=dict)
    """Per declared table, what keeps where values stood that are gone."""
    subject_tables: frozenset[str] = frozenset()
    """Tables of `subjects` of which no column is declared, and that exist."""


Numbers = Mapping[str, float] | None


def error(code: str, subject: str, message: str, fix: str, measured: Numbers = None) -> Finding:
    return Finding(code, Severity.ERROR.value, subject, message, fix, measured)


def warning(code: str, subject: str, message: str, fix: str, measured: Numbers = None) -> Finding:
    return Finding(code, Severity.WARNING.value, subject, message, fix, measured)


def info(code: str, subject: str, message: str, fix: str, measured: Numbers = None) -> Finding:
    return Finding(code, Severity.INFO.value, subject, message, fix, measured)


def listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMES_SHOWN])
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
