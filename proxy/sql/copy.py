"""COPY read: grammar CopyStmt of PostgreSQL's gram.y, options as ProcessCopyOptions has them.

A COPY moves rows in a format of its own, so the statement says three things that matter: which columns the fields of a
row are, how rows are written, and where they go. `read_copy` finds them in the tokens; libpg_query reads the same
text, and both must say the same (`confirm`), before `plan_table_copy` trusts it.

COPY FROM a sealed table always names its columns to the server, also where the client did not. Should the picture of
the catalog be older than the table, the server then says so, instead of taking a field that was not sealed for the
sealed column and writing it into its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from policy import Access
from proxy.catalog import Attribute, Catalog, Relation
from proxy.cells import LogicalType, logical_type
from proxy.sql import refusals
from proxy.sql.copy_plan import EVERY, CopyColumn, CopyFormat, CopyOptions, CopyPlan, Header
from proxy.sql.crosscheck import Disagreement, raw_statements
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind, Token
from proxy.sql.scope import Field, SealedRef
from proxy.sql.values import word

BYTEA_OID: Final = 17
FIRST_USER_OID: Final = 16384

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


# Options.


def read_options(given: Sequence[tuple[str, Argument]]) -> CopyOptions | None:
    """None: the server refuses them, or they are newer than this file."""
    known = dict(given)
    if len(known) != len(given) or not known.keys() <= _OPTIONS:
        return None
    try:
        format_ = CopyFormat(known.get("format", "text"))
    except ValueError:
        return None
    csv = format_ is CopyFormat.CSV
    quote = _text(known, "quote", '"')
    options = CopyOptions(
        format=format_,
        delimiter=_text(known, "delimiter", "," if csv else "\t"),
        null=_text(known, "null", "" if csv else "\\N"),
        default=_text(known, "default", "") if "default" in known else None,
        quote=quote,
        escape=_text(known, "escape", quote),
        encoding=_text(known, "encoding", "") or None,
    )
    header = _header(known)
    lists = [_columns(known, name) for name in ("force_not_null", "force_null", "force_quote")]
    skips = _text(known, "on_error", "stop").lower()
    single = (options.delimiter, options.quote, options.escape)
    if header is None or skips not in ("stop", "ignore") or not all(map(_is_one_byte, single)):
        return None
    return replace(
        options,
        header=header,
        force_not_null=lists[0],
        force_null=lists[1],
        force_quote=lists[2],
        skips_errors=skips == "ignore",
    )


_OPTIONS: Final = frozenset(
    {
        *("format", "freeze", "delimiter", "null", "default", "header", "quote", "escape"),
        *("force_quote", "force_not_null", "force_null", "encoding", "on_error"),
        *("reject_limit", "log_verbosity"),
    }
)


def _text(known: dict[str, Argument], name: str, default: str) -> str:
    value = known.get(name, default)
    return value if isinstance(value, str) else ""


def _is_one_byte(text: str) -> bool:
    return len(text) == 1 and "\0" < text < "\x80"


def _header(known: dict[str, Argument]) -> Header | None:
    if "header" not in known:
        return Header.ABSENT
    value = known["header"]
    if value is None:
        return Header.PRESENT
    return _HEADERS.get(value.lower()) if isinstance(value, str) else None


_HEADERS: Final = {
    **dict.fromkeys(("1", "true", "on"), Header.PRESENT),
    **dict.fromkeys(("0", "false", "off"), Header.ABSENT),
    "match": Header.MATCHED,
}


def _columns(known: dict[str, Argument], name: str) -> frozenset[str] | None:
    value = known.get(name, ())
    if value == STAR:
        return EVERY
    return frozenset(value) if isinstance(value, tuple) else frozenset()


# Plans.


@dataclass(frozen=True, slots=True)
class TableCopy:
    """COPY of a table, planned."""

    plan: CopyPlan
    draft: Draft


def plan_table_copy(
    catalog: Catalog,
    search_path: tuple[str, ...] | None,
    tokens: Sequence[Token],
    text: str,
) -> TableCopy | None:
    """COPY table [(columns)] FROM | TO, which names an interesting relation; None: no column of it is sealed.

    Raises Refused.
    """
    draft = Draft(catalog, search_path, tokens)
    statement = read_copy(tokens)
    if statement is None:
        raise refusals.not_understood("COPY")
    schema = statement.name[-2] if len(statement.name) > 1 else None
    source = draft.relation(schema, statement.name[-1])
    relation = catalog.relation(source.schema, statement.name[-1]) if source.schema else None
    if relation is None:
        return None
    refs = {
        f.name: f.sealed for f in source.shape.fields if f.sealed is not None and f.name is not None
    }
    names = statement.columns or tuple(a.name for a in relation.attributes if not a.generated)
    sealed = [refs[name] for name in names if name in refs]
    _check_where(statement, tokens, relation, refs)
    if not sealed:
        return None
    confirm(text, statement)
    if statement.on_server:
        raise _on_server(statement, sealed[0])
    for ref in sealed:
        if statement.incoming and (ref.column is None or relation.kind == "v"):
            raise refusals.undeclared(ref.label)
        draft.touch(ref, Access.WRITE if statement.incoming else Access.READ)
    if statement.incoming and statement.columns is None:
        at = tokens[statement.name_at].end
        draft.edit(at, at, " (" + ", ".join(map(_quoted, names)) + ")")
    columns = tuple(copy_column(catalog, relation, name, refs.get(name)) for name in names)
    plan = CopyPlan(
        statement.incoming,
        relation.name,
        columns,
        read_options(statement.options),
        catalog.server_version,
    )
    return TableCopy(plan, draft)


def plan_query_copy(
    catalog: Catalog,
    tokens: Sequence[Token],
    query_end: int,
    text: str | None,
    outputs: Sequence[Field] | None,
) -> CopyPlan:
    """COPY (query) TO STDOUT. `outputs`: the result columns, None if they are not known.

    `text`: the statement with a query in it that PostgreSQL's parser reads, to be confirmed. Raises Refused.
    """
    statement = read_copy(tokens, query_end)
    if statement is None:
        raise refusals.not_understood("COPY")
    if text is not None:
        confirm(text, statement)
    if statement.on_server:
        sealed = next((f.sealed for f in outputs or () if f.sealed), None)
        raise _on_server(statement, sealed)
    columns = None
    if outputs is not None:
        columns = tuple(map(_result_column, outputs))
    return CopyPlan(False, "", columns, read_options(statement.options), catalog.server_version)


def plan_plain_copy(
    catalog: Catalog, tokens: Sequence[Token], query_end: int | None
) -> CopyPlan | None:
    """COPY TO STDOUT of nothing that is sealed as far as is known: values say themselves if they are."""
    statement = read_copy(tokens, query_end)
    if statement is None or statement.incoming or statement.on_server:
        return None
    options = read_options(statement.options)
    return CopyPlan(False, "", None, options, catalog.server_version) if options else None


def copy_column(
    catalog: Catalog, relation: Relation, name: str, ref: SealedRef | None
) -> CopyColumn:
    """What COPY relation (name) has in this field. `ref`: the column that it is, also a parent's for a partition."""
    attribute = relation.attribute(name)
    if attribute is None:
        return CopyColumn(name)  # The server says that it does not exist.
    declared = ref.column if ref is not None else None
    return CopyColumn(
        name,
        label=declared.label if declared is not None else None,
        declared=declared is not None and declared.table == relation.label,
        logical=declared.type if declared is not None else _domain_type(attribute),
        plain=_is_plain(attribute),
        table=relation.oid,
    )


def _domain_type(attribute: Attribute) -> LogicalType | None:
    return logical_type(attribute.sealed) if attribute.sealed is not None else None


def _is_plain(attribute: Attribute) -> bool:
    """PostgreSQL's own types but bytea; another's may be a domain over it."""
    oid = attribute.type_oid
    return oid != BYTEA_OID and oid < FIRST_USER_OID and not attribute.carries_sealed


def _result_column(output: Field) -> CopyColumn:
    """As `shape` has it for a SELECT. A value beside the column's own, in COALESCE for instance, has not gone through
    its modifier."""
    ref = output.sealed
    if ref is None or (ref.column is None and ref.type is None):
        return CopyColumn(output.name)
    if ref.shown is not None:
        logical = logical_type(ref.shown)
    else:
        logical = ref.column.type if ref.column is not None else logical_type(ref.type or "")
    return CopyColumn(output.name, label=ref.label, logical=replace(logical, modifier=-1))


def _check_where(
    statement: CopyStatement,
    tokens: Sequence[Token],
    relation: Relation,
    refs: dict[str, SealedRef],
) -> None:
    """COPY FROM ... WHERE is evaluated by the server, on sealed values."""
    if statement.where is None or not refs:
        return
    for at in range(statement.where, len(tokens)):
        token = tokens[at]
        if token.kind not in (Kind.IDENT, Kind.QUOTED_IDENT):
            continue
        row = token.value == relation.name and not _qualifies(tokens, at)
        if token.value in refs or row:
            ref = refs.get(token.value) or next(iter(refs.values()))
            raise refusals.Refused(
                refusals.FEATURE_NOT_SUPPORTED,
                f"column {ref.label} is sealed and cannot be used in COPY FROM ... WHERE",
                "Filter by other columns, or before the rows are sent.",
            )


def _qualifies(tokens: Sequence[Token], at: int) -> bool:
    """`customers` in `customers.id`: not the whole row."""
    return (
        at + 2 < len(tokens)
        and tokens[at + 1].text == "."
        and tokens[at + 2].kind in (Kind.IDENT, Kind.QUOTED_IDENT)
    )


def _on_server(statement: CopyStatement, ref: SealedRef | None) -> refusals.Refused:
    way = "from" if statement.incoming else "to"
    does = "reads" if statement.incoming else "writes"
    what = f"sealed column {ref.label}" if ref is not None else "a query on sealed columns"
    client = "FROM STDIN" if statement.incoming else "TO STDOUT"
    return refusals.Refused(
        refusals.FEATURE_NOT_SUPPORTED,
        f"COPY of {what} {way} {statement.on_server} is not supported: the server itself {does} it",
        f"COPY {client} goes through Sealgate; psql has it as \\copy.",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
