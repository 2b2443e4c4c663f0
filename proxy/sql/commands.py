"""Statements by their first words: what they are, and whether they may name a sealed table.

Queries and writes are parsed (`proxy.sql.analysis`). Everything else is recognised here by its
tokens. Three kinds are left when a statement names an interesting relation:

- it wraps a query (EXPLAIN, CREATE VIEW, DECLARE ...): the query is planned, and the wrapper says
  what a query that touches a sealed column means for it;
- it can neither carry a value of a sealed column nor move one to where it would be read as
  something else (TRUNCATE, GRANT, ALTER TABLE ... ADD COLUMN ...): forwarded. The argument is at
  each entry. The domain of the column remains the last word in any case;
- all the rest: refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.catalog import SCHEMA, Catalog
from proxy.sql import refusals
from proxy.sql.lexer import Kind, Token
from proxy.sql.values import word, words

QUERY_WORDS: Final = frozenset(
    {"select", "insert", "update", "delete", "with", "values", "table", "merge"}
)


@dataclass(frozen=True, slots=True)
class Command:
    """What a statement is."""

    name: str
    """SELECT, INSERT ..., or the utility command's first word."""
    changes_catalog: bool = False
    inner: tuple[int, int] | None = None
    """Tokens [start, end) of the query that it wraps."""
    wrapper: str = ""
    """What wraps it, for a refusal: `CREATE TABLE AS`, `DECLARE CURSOR` ..."""


def read_command(tokens: Sequence[Token]) -> Command:
    first = word(tokens, 0)
    if first in QUERY_WORDS or (tokens and tokens[0].text == "("):
        return Command("SELECT", inner=(0, len(tokens)))
    if first == "explain":
        return Command("EXPLAIN", inner=(_explained(tokens), len(tokens)), wrapper="EXPLAIN")
    if first == "create":
        return _create(tokens)
    if first == "prepare":
        return _wrapped(tokens, "as", "PREPARE")
    if first == "declare":
        return _wrapped(tokens, "for", "DECLARE CURSOR")
    if first == "copy":
        return _copy(tokens)
    changes = first in _CATALOG_CHANGES and any(
        word(tokens, i) in _CATALOG_OBJECTS for i in (1, 2, 3)
    )
    return Command(first.upper() or "OTHER", changes_catalog=changes or first in ("import", "do"))


def _explained(tokens: Sequence[Token]) -> int:
    """Where the explained statement begins."""
    at = 1
    if _text(tokens, 1) == "(" and word(tokens, 2) not in QUERY_WORDS and _text(tokens, 2) != "(":
        at = closing(tokens, 1) + 1
    else:
        at += word(tokens, at) in ("analyze", "analyse")
        at += word(tokens, at) == "verbose"
    return min(at, len(tokens))


_CATALOG_CHANGES: Final = frozenset({"alter", "drop"})
_CATALOG_OBJECTS: Final = frozenset(
    {
        "table",
        "view",
        "materialized",
        "schema",
        "type",
        "domain",
        "extension",
        "foreign",
        "rule",
        "owned",
        "function",
        "procedure",
        "routine",
    }
)


def _create(tokens: Sequence[Token]) -> Command:
    at = 1
    if (word(tokens, 1), word(tokens, 2)) == ("or", "replace"):
        at = 3
    temporary = False
    while word(tokens, at) in ("global", "local", "temp", "temporary", "unlogged", "recursive"):
        temporary |= word(tokens, at) in ("temp", "temporary")
        at += 1
    kind = word(tokens, at)
    if kind in ("table", "view", "materialized"):
        changes = not temporary
        name = {"table": "CREATE TABLE AS", "view": "CREATE VIEW"}.get(
            kind, "CREATE MATERIALIZED VIEW"
        )
        begin = _top_level(tokens, "as", at)
        if begin is not None:
            end = _without_options(tokens, begin + 1)
            return Command("CREATE", changes, (begin + 1, end), name)
        return Command("CREATE", changes)
    return Command("CREATE", kind in _CATALOG_OBJECTS)


def _top_level(tokens: Sequence[Token], sought: str, at: int) -> int | None:
    """The first `sought` outside brackets from `at` on."""
    while at < len(tokens):
        if tokens[at].text in ("(", "["):
            at = closing(tokens, at)
        elif word(tokens, at) == sought:
            return at
        at += 1
    return None


def _without_options(tokens: Sequence[Token], start: int) -> int:
    """The end of the query, before WITH [NO] DATA or WITH ... CHECK OPTION."""
    last = [word(tokens, i) for i in range(max(start, len(tokens) - 4), len(tokens))]
    for options in _OPTIONS:
        if last[-len(options) :] == options:
            return len(tokens) - len(options)
    return len(tokens)


_OPTIONS: Final = (
    ["with", "no", "data"],
    ["with", "data"],
    ["with", "check", "option"],
    ["with", "cascaded", "check", "option"],
    ["with", "local", "check", "option"],
)


def _wrapped(tokens: Sequence[Token], before: str, wrapper: str) -> Command:
    begin = _top_level(tokens, before, 1)
    inner = (begin + 1, len(tokens)) if begin is not None else None
    return Command(wrapper.split()[0], inner=inner, wrapper=wrapper)


def _copy(tokens: Sequence[Token]) -> Command:
    inner = (2, closing(tokens, 1)) if _text(tokens, 1) == "(" else None
    return Command("COPY", inner=inner, wrapper="COPY")


def closing(tokens: Sequence[Token], opening: int) -> int:
    """The bracket that closes the one at `opening`; the last token if none does."""
    depth = 0
    for at in range(opening, len(tokens)):
        if tokens[at].kind is Kind.PUNCTUATION:
            depth += tokens[at].text in ("(", "[")
            depth -= tokens[at].text in (")", "]")
            if depth == 0:
                return at
    return len(tokens) - 1


def main_command(tokens: Sequence[Token]) -> str:
    """The command tag's word of a query or write, brackets and WITH aside."""
    at = 0
    while _text(tokens, at) == "(":
        at += 1
    if word(tokens, at) == "with":
        depth = 0
        for place in range(at, len(tokens)):
            depth += tokens[place].text in ("(", "[")
            depth -= tokens[place].text in (")", "]")
            if depth <= at and word(tokens, place) in _MAIN:
                at = place
                break
    return _MAIN.get(word(tokens, at), "SELECT")


_MAIN: Final = {
    "select": "SELECT",
    "values": "SELECT",
    "table": "SELECT",
    "insert": "INSERT",
    "update": "UPDATE",
    "delete": "DELETE",
    "merge": "MERGE",
}


# Utility commands that name an interesting relation.

# These take names, numbers of options, or text that describes: nothing in them is evaluated against
# a row, and nothing is copied.
_NAMES_ONLY: Final = words(
    """
    abort analyse analyze begin checkpoint close cluster comment commit deallocate discard drop end
    fetch grant import listen load lock move notify prepare reassign refresh reindex release reset
    revoke rollback savepoint security set show start truncate unlisten vacuum
    """
)


def check_utility(catalog: Catalog, tokens: Sequence[Token]) -> None:
    """Raises Refused unless a command that names an interesting relation may be forwarded."""
    first = word(tokens, 0)
    if first in _NAMES_ONLY:
        return
    sealed = sealed_names(catalog, tokens)
    if first == "create":
        _check_create(catalog, tokens, sealed)
    elif first == "alter":
        _check_alter(catalog, tokens, sealed)
    else:
        raise refusals.not_understood(f"{first.upper()} statement" if first else "the statement")


def sealed_names(catalog: Catalog, tokens: Sequence[Token]) -> frozenset[str]:
    """Names of the sealed columns of every relation that the tokens may mean."""
    return frozenset(
        attribute.name
        for name in {token.value for token in tokens if is_name(token)} & catalog.interesting
        for relation in catalog.named(name)
        for attribute in relation.attributes
        if attribute.sealed
        or attribute.carries_sealed
        or any(
            c.table == relation.label and c.name == attribute.name for c in catalog.sealed.values()
        )
    )


def is_name(token: Token) -> bool:
    return token.kind is Kind.IDENT or token.kind is Kind.QUOTED_IDENT


def _check_create(catalog: Catalog, tokens: Sequence[Token], sealed: frozenset[str]) -> None:
    kind = next((w for w in (word(tokens, i) for i in range(1, 8)) if w in _CREATED), "")
    if kind in ("function", "procedure", "aggregate"):
        return  # `bodies` has looked at what runs later, against columns that refuse plaintext.
    if kind == "rule":
        raise refusals.unsupported(
            "CREATE RULE", "Use a trigger, or write through the table itself."
        )
    if kind == "table":
        check_temporary(catalog, tokens)
        if {word(tokens, i) for i in range(4)} & {"temp", "temporary"}:
            # LIKE, INHERITS or OF: the picture has no temporary tables, so a value for this one would not be sealed.
            raise refusals.unsupported(
                "CREATE TEMPORARY TABLE like a sealed one",
                "Create it UNLOGGED, or with other columns.",
            )
        _check_child(tokens, sealed)
        return  # Defaults and checks in it are the new table's; LIKE and INHERITS copy the sealed type.
    mentioned = [i for i, token in enumerate(tokens) if is_name(token) and token.value in sealed]
    if not mentioned:
        return  # No expression in it can mean a sealed column; * in a policy or trigger is a row.
    if kind == "index" and all(_in_term(tokens, i) or _tested(tokens, i) for i in mentioned):
        return
    if kind == "trigger" and "when" not in {word(tokens, i) for i in range(len(tokens))}:
        return  # UPDATE OF email
    if kind == "trigger" and _keeps_history(tokens):
        return
    what = f"CREATE {kind.upper()}" if kind else "this CREATE statement"
    hint = (
        "An index on sealgate.eq(column) serves equality; sealgate apply creates it."
        if kind == "index"
        else ("Leave the sealed column out of it.")
    )
    raise refusals.unsupported(what, hint)


_NAME: Final = r'(?:"(?:[^"]|"")+"|[^ "(),.]+)'
_HISTORY: Final = re.compile(
    r"create trigger sealgate_history_update after update on "
    rf"(?:{_NAME} \. )?{_NAME} for each row "
    rf"when \( record_image_ne \( row \( (old \. {_NAME}(?: , old \. {_NAME})*) \) "
    rf", row \( (new \. {_NAME}(?: , new \. {_NAME})*) \) \) \) "
    rf"execute function {SCHEMA} \. history_[0-9a-f]{{16}} \( \)"
)
_HISTORY_COLUMN: Final = re.compile(rf"(?:old|new) \. ({_NAME})")


def _keeps_history(tokens: Sequence[Token]) -> bool:
    """The trigger of `sealgate apply` as pg_dump prints it: a row's stored values are compared with the same row's, and with
    nothing else."""
    said = []
    for at, token in enumerate(tokens):
        if not is_name(token) and token.text not in ("(", ")", ",", "."):
            return False  # A constant, or an operator.
        said.append(word(tokens, at) or token.text)
    found = _HISTORY.fullmatch(" ".join(said))
    if found is None:
        return False
    old, new = _HISTORY_COLUMN.findall(found[1]), _HISTORY_COLUMN.findall(found[2])
    return bool(old == new)


def _check_child(tokens: Sequence[Token], sealed: frozenset[str]) -> None:
    """A table that takes its columns from a sealed one may say nothing of the sealed ones."""
    used = {word(tokens, i) for i in range(len(tokens))}
    named = any(is_name(token) and token.value in sealed for token in tokens)
    if named and used & {"inherits", "of", "like"} and used & _EVALUATED:
        raise refusals.unsupported(
            "CREATE TABLE with a default or a check beside columns taken from a sealed table",
            "Leave the sealed columns out of it.",
        )


_EVALUATED: Final = frozenset({"default", "check", "generated", "exclude"})
_CREATED: Final = words(
    """
    function procedure aggregate rule table index trigger policy statistics publication sequence type
    domain operator cast server subscription role user group schema extension
    """
)


def check_temporary(catalog: Catalog, tokens: Sequence[Token]) -> None:
    """A temporary relation would shadow the sealed one of the same name."""
    first = {word(tokens, i) for i in range(4)}
    if not first & {"temp", "temporary"} and word(tokens, 2) != "pg_temp":
        return
    at = next(
        (i for i, t in enumerate(tokens) if t.text == "(" or word(tokens, i) in ("as", "of")),
        len(tokens),
    )
    if at and tokens[at - 1].value in catalog.interesting:
        raise refusals.unsupported(
            "CREATE TEMPORARY TABLE with the name of a sealed table",
            "Give the temporary table another name.",
        )


def _in_term(tokens: Sequence[Token], at: int) -> bool:
    """`sealgate.eq(column)`, or `sealgate.eq((column)::bytea)` as PostgreSQL and pg_dump print it."""
    start, end = at, at + 1
    if (_text(tokens, at - 1), _text(tokens, at + 1), _text(tokens, at + 2)) == ("(", ")", "::"):
        start, end = at - 1, at + 4
        if word(tokens, at + 3) != "bytea":
            return False
    around = [_text(tokens, i) for i in (start - 3, start - 1, end)]
    return (
        around == [".", "(", ")"]
        and word(tokens, start - 4) == "sealgate"
        and word(tokens, start - 2) == "eq"
    )


def _tested(tokens: Sequence[Token], at: int) -> bool:
    """`column IS [NOT] NULL`, in the predicate of a partial index."""
    behind = [word(tokens, i) for i in range(at + 1, at + 4)]
    return behind[:2] == ["is", "null"] or behind == ["is", "not", "null"]


# What may be done to a sealed column by ALTER TABLE: none of it evaluates or converts a value.
_HARMLESS: Final = frozenset(
    {"rename", "drop", "set", "not", "null", "statistics", "storage", "compression"}
)
_HARMFUL: Final = words(
    """
    add type default check using unique primary references generated identity exclude expression
    """
)


def _check_alter(catalog: Catalog, tokens: Sequence[Token], sealed: frozenset[str]) -> None:
    used = {word(tokens, i) for i in range(len(tokens))}
    strings = any(token.kind is Kind.STRING for token in tokens)
    if not any(is_name(token) and token.value in sealed for token in tokens):
        named = [t.value for t in tokens if is_name(t) and t.value in catalog.interesting]
        if not (strings and used & _EVALUATED and len(named) > len(set(named))):
            return  # Defaults, checks and USING in it are other columns'; and of no whole row.
    if used & _HARMFUL or strings or not used & _HARMLESS:
        raise refusals.unsupported(
            "this ALTER statement",
            "Change the declaration in Sealgate's configuration and run sealgate apply.",
        )


def _text(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].text if 0 <= index < len(tokens) else ""
