"""COPY read from its tokens: grammar CopyStmt of PostgreSQL's gram.y, and libpg_query as the second reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.sql import refusals
from proxy.sql.crosscheck import Disagreement, raw_statements
from proxy.sql.lexer import Kind, Token
from proxy.sql.values import word

Argument = str | tuple[str, ...] | None
STAR: Final = "*"


@dataclass(frozen=True, slots=True)
class CopyStatement:
    """A COPY by its tokens; indexes count in them."""

    incoming: bool
    on_server: str
    """"a file" or "a program" where the server itself reads or writes; "" for STDIN and STDOUT."""
    options: tuple[tuple[str, Argument], ...]
    name: tuple[str, ...] = ()
    """Of the relation, with what qualifies it; empty for COPY (query)."""
    name_at: int = 0
    """The token of the bare name."""
    columns: tuple[str, ...] | None = None
    where: int | None = None
    """The token behind WHERE."""


class _Unread(Exception):
    """Not the grammar of COPY."""


class _Cursor:
    """Reads tokens one after the other."""

    def __init__(self, tokens: Sequence[Token], at: int = 0) -> None:
        self.tokens = tokens
        self.at = at

    @property
    def token(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def skip(self, *texts: str) -> bool:
        """Step over one token if it is one of these words or signs."""
        token = self.token
        if token is None or token.kind is Kind.QUOTED_IDENT or token.kind is Kind.STRING:
            return False
        found = (token.value if token.kind is Kind.IDENT else token.text) in texts
        self.at += found
        return found

    def expect(self, *texts: str) -> None:
        if not self.skip(*texts):
            raise _Unread

    def name(self) -> str:
        token = self.token
        if token is None or token.kind not in (Kind.IDENT, Kind.QUOTED_IDENT):
            raise _Unread
        self.at += 1
        return token.value

    def string(self) -> str:
        token = self.token
        if token is None or token.kind is not Kind.STRING:
            raise _Unread
        self.at += 1
        return token.value

    def names(self) -> tuple[str, ...]:
        """`a, "B")`, the opening bracket being read."""
        found = [self.name()]
        while self.skip(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)


def read_copy(tokens: Sequence[Token], query_end: int | None = None) -> CopyStatement | None:
    """None: this is not COPY as the grammar has it. `query_end`: the bracket that closes COPY (query)."""
    cursor = _Cursor(tokens, 1)
    try:
        return _copy(cursor, query_end)
    except _Unread:
        return None


def _copy(cursor: _Cursor, query_end: int | None) -> CopyStatement:
    options: list[tuple[str, Argument]] = []
    name: list[str] = []
    columns: tuple[str, ...] | None = None
    name_at = 0
    if query_end is not None:
        cursor.at = query_end + 1
        cursor.expect("to")
        incoming = False
    else:
        if word(cursor.tokens, 1) == "binary" and word(cursor.tokens, 2) not in ("from", "to"):
            cursor.skip("binary")
            options.append(("format", "binary"))
        name.append(cursor.name())
        while cursor.skip("."):
            name.append(cursor.name())
        name_at = cursor.at - 1
        if cursor.skip("("):
            columns = cursor.names()
        incoming = cursor.skip("from")
        if not incoming:
            cursor.expect("to")
    on_server = ""
    if cursor.skip("program"):
        cursor.string()
        on_server = "a program"
    elif not cursor.skip("stdin", "stdout"):
        cursor.string()
        on_server = "a file"
    if name and (cursor.skip("using") or word(cursor.tokens, cursor.at) == "delimiters"):
        cursor.expect("delimiters")
        options.append(("delimiter", cursor.string()))
    cursor.skip("with")
    options += _listed(cursor) if cursor.skip("(") else _old_style(cursor)
    where = None
    if cursor.skip("where"):
        if not incoming:
            raise _Unread
        where = cursor.at
    elif cursor.token is not None and cursor.token.text != ";":
        raise _Unread
    return CopyStatement(incoming, on_server, tuple(options), tuple(name), name_at, columns, where)


def _listed(cursor: _Cursor) -> list[tuple[str, Argument]]:
    """`FORMAT csv, FORCE_NULL (a, b), HEADER)`"""
    found: list[tuple[str, Argument]] = []
    while True:
        found.append((cursor.name(), _argument(cursor)))
        if not cursor.skip(","):
            cursor.expect(")")
            return found


def _argument(cursor: _Cursor) -> Argument:
    if cursor.skip("("):
        items = [_word_or_string(cursor)]
        while cursor.skip(","):
            items.append(_word_or_string(cursor))
        cursor.expect(")")
        return tuple(items)
    token = cursor.token
    if token is None or token.text in (",", ")"):
        return None
    if cursor.skip(STAR):
        return STAR
    sign = "-" if cursor.skip("-") else ""
    if not sign:
        cursor.skip("+")
    token = cursor.token
    if token is not None and token.kind is Kind.NUMBER:
        cursor.at += 1
        return sign + token.value
    return _word_or_string(cursor)


def _word_or_string(cursor: _Cursor) -> str:
    token = cursor.token
    if token is not None and token.kind is Kind.STRING:
        return cursor.string()
    return cursor.name()


def _old_style(cursor: _Cursor) -> list[tuple[str, Argument]]:
    """`DELIMITER AS ';' CSV HEADER FORCE NOT NULL a, b`"""
    found: list[tuple[str, Argument]] = []
    while True:
        token = cursor.token
        if token is None or token.kind is not Kind.IDENT:
            return found
        if token.value in ("binary", "csv"):
            found.append(("format", token.value))
            cursor.at += 1
        elif token.value in ("freeze", "header"):
            found.append((token.value, "true"))
            cursor.at += 1
        elif token.value in ("delimiter", "null", "quote", "escape", "encoding"):
            cursor.at += 1
            if token.value != "encoding":
                cursor.skip("as")
            found.append((token.value, cursor.string()))
        elif token.value == "force":
            cursor.at += 1
            found.append(_forced(cursor))
        else:
            return found


def _forced(cursor: _Cursor) -> tuple[str, Argument]:
    if cursor.skip("quote"):
        option = "force_quote"
    elif cursor.skip("not"):
        cursor.expect("null")
        option = "force_not_null"
    else:
        cursor.expect("null")
        option = "force_null"
    if cursor.skip(STAR):
        return option, STAR
    names = [cursor.name()]
    while cursor.skip(","):
        names.append(cursor.name())
    return option, tuple(names)


# PostgreSQL's own reading.


def confirm(text: str, statement: CopyStatement) -> None:
    """Raises Refused unless libpg_query reads the same in the statement's text."""
    try:
        raws = raw_statements(text)
        read = _as_read(raws[0]["stmt"]["CopyStmt"]) if len(raws) == 1 else None
    except Disagreement as found:
        hint = found.hint or "Check the statement's syntax."
        raise refusals.Refused(found.sqlstate, found.message, hint) from None
    except (LookupError, AttributeError, TypeError, ValueError):
        read = None
    ours = (
        statement.incoming,
        statement.on_server,
        statement.options,
        statement.name,
        statement.columns,
        statement.where is not None,
    )
    if read != ours:
        raise refusals.not_understood("COPY")


def _as_read(tree: dict[str, Any]) -> tuple[object, ...]:
    relation = tree.get("relation", {})
    parts = (relation.get(key) for key in ("catalogname", "schemaname", "relname"))
    columns = tuple(item["String"]["sval"] for item in tree.get("attlist", ())) or None
    on_server = ("a program" if tree.get("is_program") else "a file") if "filename" in tree else ""
    options = tuple(
        (item["DefElem"]["defname"], _read_argument(item["DefElem"].get("arg")))
        for item in tree.get("options", ())
    )
    return (
        tree.get("is_from", False),
        on_server,
        options,
        tuple(part for part in parts if part is not None),
        columns,
        "whereClause" in tree,
    )


def _read_argument(node: dict[str, Any] | None) -> Argument:
    if node is None:
        return None
    ((kind, value),) = node.items()
    if kind == "String":
        return str(value.get("sval", ""))
    if kind == "Boolean":
        return "true" if value.get("boolval") else "false"
    if kind == "Integer":
        return str(value.get("ival", 0))
    if kind == "Float":
        return str(value["fval"])
    if kind == "List":
        return tuple(str(item["String"].get("sval", "")) for item in value["items"])
    return STAR if kind == "A_Star" else kind
