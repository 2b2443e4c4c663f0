"""What is to be done with a statement, as data.

A `Plan` says how one message of SQL text reaches the server: which of its literals and parameters
are sealed values and how each is sealed, which text is static, which sealed columns the message
touches and in what way, and which result columns carry the values of which sealed column. A plan
holds no value, no literal that belongs to a sealed column, no key and no policy decision; it is
immutable, so it can be cached, compared and printed (`sealgate explain`).

The text of a statement is a sequence of *pieces*. Every string and number literal of the original
text is a `LiteralSite`, which names the literal by its ordinal in the stripped message
(`proxy.sql.lexer.strip_literals`), so one plan serves every message that differs in literals
alone. Everything between literals is static text, edited where the statement needs it (for
instance `email = 'x'` becomes `sealgate.eq(email) = sealgate.eq(<site>)`). Pieces also remember
which stretch of the original they replace: `proxy.sql.rewrite` maps an ErrorResponse's position
back to what the client wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from policy import Access
from proxy.sql.copy_plan import CopyPlan

if TYPE_CHECKING:
    from proxy.cells.paths import Operand
    from proxy.sql.named import Named


class Action(Enum):
    """What happens to a statement."""

    FORWARD = "forward"
    """It touches no sealed column: relayed as it is."""
    APPLY = "apply"
    """It touches sealed columns and is understood: render the pieces, seal, record the touches."""
    REFUSE = "refuse"
    """It is not sent; `StatementPlan.refusal` says why."""


class Form(Enum):
    """What the server receives in place of a plaintext."""

    VALUE = "value"
    """One sealed value, a bytea."""
    TERMS = "terms"
    """An array of equality terms, a bytea[], one per element of the client's array (NULLs stay):
    the right side of `= ANY(...)` and `<> ALL(...)`."""
    VALUES = "values"
    """An array of sealed values, a bytea[], one per element: what unnest() makes rows of."""
    GRAMS = "grams"
    """The terms of the grams that a pattern of LIKE requires, an int4[]: see `Seal.pattern`."""
    PATHS = "paths"
    """The terms that a jsonb has of its paths where the comparison with one value is true, a bytea[]: see `Seal.at`."""
    KEY = "key"
    """A key of a path in a jsonb: it is read, and an empty text sent."""
    KEYS = "keys"
    """An array of these, a text[]."""

    @property
    def sql_type(self) -> str:
        """Of what the server receives."""
        return _SQL_TYPES.get(self, "bytea[]")


_SQL_TYPES: Final = {
    Form.VALUE: "bytea",
    Form.GRAMS: "int4[]",
    Form.KEY: "text",
    Form.KEYS: "text[]",
}
ARRAYS: Final = frozenset({Form.TERMS, Form.VALUES, Form.KEYS})
"""The client gives an array."""


class Use(Flag):
    """What a sealed value is for; one parameter may serve both."""

    STORED = auto()
    """It stands where the column's own values stand: assigned to it, or beside it in a result."""
    COMPARED = auto()
    """It is equal or not: only the term counts that the column is compared by (`Search.equality_function`)."""
    SHOWN = auto()
    """It stands in a result that may be shown: what an assignment to the column would change is not the same value."""
    ORDERED = auto()
    """It is less or greater: its order term counts, or the place between two terms where it would stand."""
    FOLDED = auto()
    """lower() of it is compared: its case-folded term counts."""
    FOLDED_EXACT = auto()
    """It is compared with what lower() gives: only what is in lower case itself equals any of that."""
    PREFIXED = auto()
    """A pattern of LIKE, 'abc%': what it begins with is looked for in the order."""


COMPARISONS: Final = Use.COMPARED | Use.ORDERED | Use.FOLDED | Use.FOLDED_EXACT | Use.PREFIXED
"""One of them: it goes nowhere, a term of it counts."""


class Run(Enum):
    """What the server does when it comes to the statement."""

    NOW = "now"
    PLANNED = "planned"
    """It is planned and not executed: EXPLAIN without ANALYZE."""
    LATER = "later"
    """Other statements execute it: PREPARE, DECLARE CURSOR."""


class Changes:
    """What a statement may leave changed that the next statement is planned by: bits of an int, asked at every message."""

    NOTHING: Final = 0
    SETTINGS: Final = 1
    """client_encoding, search_path, DateStyle ..."""
    CATALOG: Final = 2
    """DDL on what is sealed, or that may be: the next statement waits for a new picture."""
    TRANSACTION: Final = 4
    """It ends a transaction, or goes back to a savepoint: what was changed in it may be undone."""
    DATES: Final = 8
    """DateStyle or TimeZone."""
    ENCODING: Final = 16
    """client_encoding."""
    ROLE: Final = 32
    """SET ROLE: "$user" in search_path is another schema; the server reports no change of it."""
    CLAIMS: Final = 64
    """Who the client says asks, and why (`proxy.audit.claims`): settings of ours that the server does not report."""


class Constant(Enum):
    """A constant whose type does not depend on its place; a quoted one has none of its own."""

    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Seal:
    """How one literal or parameter is sealed."""

    column: str
    """Label of the column whose keys seal it."""
    form: Form
    cast: str | None = None
    """Type the client's text gives the value (`varchar(40)` in `$1::varchar(40)`; the array type
    for TERMS); None: the column's own, or what `constant` says."""
    use: Use = Use.STORED
    constant: Constant | None = None
    """What the literal is, if it is not quoted."""
    default: str | None = None
    """The type that the value has in its place (text, in a list of FROM) if nothing gives it one."""
    argument: Argument | None = None
    """The literal is an argument of SQL's EXECUTE: `cast` is that of the parameter it is for."""
    pattern: Pattern | None = None
    """For GRAMS: what becomes of the value before it is a pattern."""
    at: Operand | None = None
    """For PATHS, and TERMS of them: what in a jsonb it is compared with."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How LIKE reads the value that it is given: `lower(name) LIKE '%' || lower($1) || '%' ESCAPE '/'`."""

    before: str = ""
    after: str = ""
    """Wildcards that the text puts in front of the value and behind it."""
    function: str = ""
    """`lower` or `upper`: what the text does to the value."""
    of_column: str = ""
    """`lower` or `upper`: what it does to the column."""
    insensitive: bool = False
    """ILIKE"""
    escape: str | None = None
    """ESCAPE's character, "" for none; None: the backslash."""
    place: int = 0
    """Of a literal: its token, by which those of one statement are told apart. 0: a parameter."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A literal that stands for a parameter, whose type it is coerced to before anything else."""

    declared: int
    """Type OID of the parameter, 0 where it was left to the server."""
    cast: str | None
    """Of the literal itself."""


@dataclass(frozen=True, slots=True)
class Text:
    """Static text that stands in place of a stretch of the original.

    `original` is what stood there, literals in it written as their markers are: empty for an
    insertion, `text` itself for an unchanged stretch (then a plain `str` piece is used instead).
    It holds no literal.
    """

    text: str
    original: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class LiteralSite:
    """Where a string or number literal of the client's text stands."""

    ordinal: int
    """Index into `Stripped.literals` of the whole message."""
    seal: Seal | None
    """None: the literal is copied verbatim."""
    negative: bool = False
    """A minus sign in front of the number belongs to the value and is not in the pieces."""


@dataclass(frozen=True, slots=True)
class ConstantSite:
    """Where a constant keyword stands whose value is sealed: TRUE or FALSE."""

    text: str
    seal: Seal


@dataclass(frozen=True, slots=True)
class Test:
    """One LIKE, for rows that the server has found by grams: more than those that match."""

    output: int
    """The result column that shows the value."""
    column: str
    """Label"""
    source: int
    """$n, or -n: the literal whose `Pattern.place` is n."""


Piece = str | Text | LiteralSite | ConstantSite


@dataclass(frozen=True, slots=True)
class Touch:
    """One way in which a statement uses one sealed column."""

    table: str
    column: str
    access: Access


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a statement is not sent; neither part quotes a value."""

    sqlstate: str
    message: str
    hint: str


_NO_PARAMETERS: Mapping[int, Seal] = MappingProxyType({})
_MOST_PIECES: Final = 256
_LONGEST_TEXT: Final = 8192


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """One statement of a message."""

    action: Action
    pieces: tuple[Piece, ...]
    """The whole text of the statement with its `;`, and the whitespace and comments around it:
    the pieces of all statements of a plan, joined, give the message."""
    command: str
    """First word of the command tag where it is SELECT, INSERT, UPDATE or DELETE, else OTHER or
    the utility command's own name."""
    parameters: Mapping[int, Seal] = field(default_factory=lambda: _NO_PARAMETERS)
    """`$n` -> how its value is sealed; absent: the parameter is not touched."""
    touches: tuple[Touch, ...] = ()
    outputs: tuple[str | None, ...] | None = None
    """Per result column the label of the sealed column it carries (of its domain, where nobody but the
    value knows whose it is), or None for another column;
    None for the whole: the planner does not know the shape, RowDescription decides."""
    shown: tuple[tuple[int, str], ...] = ()
    """(result column, type name): sealed columns that the text casts to another type of their kind."""
    refusal: Refusal | None = None
    copy: CopyPlan | None = None
    """COPY FROM STDIN into sealed columns, or COPY TO STDOUT: how its data is read."""
    changes_catalog: bool = False
    """DDL: the catalog picture is out of date once this statement has completed."""
    changes: int = Changes.NOTHING
    """`Changes`"""
    run: Run = Run.NOW
    named: Named | None = None
    """The cursor, prepared statement or savepoint that it is about."""
    filters: tuple[tuple[Test, ...], ...] = ()
    """A row of the result is shown if of each of these groups at least one test succeeds."""
    copied: frozenset[str] = frozenset()
    """Sealed columns that get values which are in the database already: of those no ids are known."""
    recorded_as: str | None = None
    """Text for the access log, without literals, where it is not the statement's own: that of the
    prepared statement or cursor that it runs."""

    @property
    def small(self) -> bool:
        """A session may keep it for as long as it likes. A bulk INSERT, or a text without end, is planned anew each time:
        some hundred of those would fill the memory.
        """
        if len(self.pieces) > _MOST_PIECES:
            return False
        text = 0
        for piece in self.pieces:
            if isinstance(piece, str):
                text += len(piece)
            elif isinstance(piece, Text):
                text += len(piece.text) + len(piece.original)
        return text <= _LONGEST_TEXT

    @property
    def seals_literals(self) -> bool:
        return any(
            isinstance(piece, (LiteralSite, ConstantSite)) and piece.seal is not None
            for piece in self.pieces
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """One message of SQL text: a simple Query, or the one statement of a Parse."""

    statements: tuple[StatementPlan, ...]
    untouched: bool
    """All statements are FORWARD: relay the message's own bytes."""
    named: bool = True
    """A name in it may be a sealed table's: with another search_path it may mean something else."""
    by_name: bool = field(init=False)
    """One of them is about a name that only the session knows (`StatementPlan.named`)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", any(s.named is not None for s in self.statements))
