"""The functions and aggregates of schema `sealgate`: what creates each, and how PostgreSQL prints it. See `schema`.

A sealed value's terms stand between its header and its nonce (`keystore.sealed`): first that of equality, 16 bytes, then
each of the further ones behind its length. Bits are numbered as get_bit does: 24 is the lowest of the flags' byte.
Asked of what is no sealed value, these functions give NULL or an error of get_byte, and never another value's term.
"""

# ruff: noqa: S608 - SQL made of constants

from __future__ import annotations

from dataclasses import dataclass

from proxy.catalog import SCHEMA
from proxy.picture import DOCUMENT

SCHEMA_VERSION = 4
"""Raise it whenever a definition of the schema changes."""

_FIRST = "16 * get_bit(value, 24) + 18 * get_bit(value, 26)"
"""Bytes of the two terms of fixed length, where they are: what follows begins at 8 + this."""
_ORDER_END = (
    f"CASE WHEN get_bit(value, 27) = 1 THEN 10 + {_FIRST} + 256 * get_byte(value, 8 + {_FIRST})"
    f" + get_byte(value, 9 + {_FIRST}) ELSE 8 + {_FIRST} END"
)
_MATCH_END = (
    "CASE WHEN get_bit(value, 28) = 1 THEN 2 + start + 256 * get_byte(value, start)"
    " + get_byte(value, start + 1) ELSE start END"
)
# get_byte and get_bit read all of a value that is stored out of line, substring reads what is asked for.
_FLAGS = "substring(value, 4, 1)"
_FIRST_CUT = f"16 * get_bit({_FLAGS}, 0) + 18 * get_bit({_FLAGS}, 2)"
EQ_BODY = (
    "RETURN CASE WHEN octet_length(value) < 52 THEN NULL"
    f" WHEN get_bit({_FLAGS}, 0) = 1 THEN substring(value, 9, 16) END"
)
EQ_CASEFOLD_BODY = (
    "RETURN CASE WHEN octet_length(value) < 54 THEN NULL"
    f" WHEN get_bit({_FLAGS}, 2) = 1 THEN substring(value, 11 + 16 * get_bit({_FLAGS}, 0), 16) END"
)


def _behind(length: str) -> str:
    """The term behind its length, which begins at this byte (the first is 1)."""
    two = f"substring(value, {length}, 2)"
    return f"substring(value, 2 + {length}, 256 * get_byte({two}, 0) + get_byte({two}, 1))"


# The usual flags first, order alone and with equality: half the time of working out where it is.
ORD_BODY = (
    f"RETURN CASE WHEN octet_length(value) < 38 THEN NULL ELSE CASE {_FLAGS}"
    rf" WHEN '\x08'::bytea THEN {_behind('9')} WHEN '\x09'::bytea THEN {_behind('25')}"
    f" ELSE CASE WHEN get_bit({_FLAGS}, 3) = 1 THEN {_behind(f'(9 + {_FIRST_CUT})')} END END END"
)
_MATCH_ENDS = 8 + 16 + 18 + 2 + 8 * 64 + 2 + 65_535
"""Bytes of a value up to the end of its terms of grams, at most: all the terms, of a text's order by 64 bytes."""
# What the terms are in is cut out once. (OFFSET 0 keeps the planner from putting the cut in place of each use of it.)
MATCH_BODY = (
    "RETURN CASE WHEN octet_length(value) < 38 THEN NULL"
    " WHEN get_bit(substring(value, 4, 1), 4) = 1 THEN (SELECT ARRAY("
    "SELECT (get_byte(value, place) << 24) | (get_byte(value, place + 1) << 16)"
    " | (get_byte(value, place + 2) << 8) | get_byte(value, place + 3)"
    " FROM generate_series(start + 2, start + 256 * get_byte(value, start) + get_byte(value, start + 1) - 2, 4)"
    f" AS place) FROM (SELECT value, {_ORDER_END} AS start"
    f" FROM (SELECT substring(value, 1, {_MATCH_ENDS}) AS value OFFSET 0) AS head) AS terms) END"
)
_PATHS_END = _MATCH_ENDS + 2 + 65_535
PATHS_BODY = (
    "RETURN CASE WHEN octet_length(value) < 38 THEN NULL"
    f" WHEN get_bit({_FLAGS}, 5) = 1 THEN (SELECT ARRAY("
    "SELECT substring(value, place, 16)"
    " FROM generate_series(start + 3, start + 256 * get_byte(value, start) + get_byte(value, start + 1) - 13, 16)"
    f" AS place) FROM (SELECT value, {_MATCH_END} AS start FROM (SELECT value, {_ORDER_END} AS start"
    f" FROM (SELECT substring(value, 1, {_PATHS_END}) AS value OFFSET 0) AS head) AS orders OFFSET 0) AS terms) END"
)
_CELL_ID_ENDS = _PATHS_END + 8


def _past(bit: int, inner: str, alias: str) -> str:
    """Behind the further term of this flag, if it is there; a length that points past the value is not followed."""
    return (
        f"(SELECT value, CASE WHEN get_bit(value, {bit}) = 1 AND octet_length(value) >= start + 2"
        " THEN 2 + start + 256 * get_byte(value, start) + get_byte(value, start + 1) ELSE start END AS start"
        f" FROM {inner} OFFSET 0) AS {alias}"
    )


# The nonce begins behind the last term. Values with no term, or that of equality alone, are most.
CELL_ID_BODY = (
    f"RETURN CASE WHEN octet_length(value) < 36 THEN NULL ELSE CASE {_FLAGS}"
    r" WHEN '\x00'::bytea THEN substring(value, 9, 8) WHEN '\x01'::bytea THEN substring(value, 25, 8)"
    " ELSE (SELECT substring(value, 1 + start, 8) FROM "
    + _past(
        29,
        _past(
            28,
            _past(
                27,
                f"(SELECT value, 8 + {_FIRST} AS start"
                f" FROM (SELECT substring(value, 1, {_CELL_ID_ENDS}) AS value OFFSET 0) AS head OFFSET 0) AS first",
                "ordered",
            ),
            "matched",
        ),
        "terms",
    )
    + ") END END"
)
# PL/pgSQL keeps its plans from row to row: a SQL function as an aggregate's step took eight times as long.
EITHER_BODY = "BEGIN RETURN a; END"
LESSER_BODY = (
    "BEGIN IF sealgate.ord(b) OPERATOR(pg_catalog.<) sealgate.ord(a) THEN RETURN b; END IF;"
    " RETURN a; END"
)
GREATER_BODY = (
    "BEGIN IF sealgate.ord(b) OPERATOR(pg_catalog.>) sealgate.ord(a) THEN RETURN b; END IF;"
    " RETURN a; END"
)
ORD_PREFIX_BODY = (
    "RETURN sealgate.ord(value) >= sealgate.ord(prefix)"
    r" AND sealgate.ord(value) < (sealgate.ord(prefix) || '\xffffffffffffffff'::bytea)"
)
# How PostgreSQL prints these (14 to 18 alike).
EQ_PRINTED = (
    'RETURN CASE WHEN (octet_length(value) < 52) THEN NULL::bytea WHEN (get_bit("substring"(value, 4,'
    ' 1), (0)::bigint) = 1) THEN "substring"(value, 9, 16) ELSE NULL::bytea END'
)
EQ_CASEFOLD_PRINTED = (
    'RETURN CASE WHEN (octet_length(value) < 54) THEN NULL::bytea WHEN (get_bit("substring"(value, 4,'
    ' 1), (2)::bigint) = 1) THEN "substring"(value, (11 + (16 * get_bit("substring"(value, 4, 1), (0)'
    "::bigint))), 16) ELSE NULL::bytea END"
)
ORD_PRINTED = (
    'RETURN CASE WHEN (octet_length(value) < 38) THEN NULL::bytea ELSE CASE "substring"(value, 4, 1) '
    r"""WHEN '\x08'::bytea THEN "substring"(value, (2 + 9), ((256 * get_byte("substring"(value, 9, 2), 0"""
    r""")) + get_byte("substring"(value, 9, 2), 1))) WHEN '\x09'::bytea THEN "substring"(value, (2 + 25)"""
    ', ((256 * get_byte("substring"(value, 25, 2), 0)) + get_byte("substring"(value, 25, 2), 1))) ELS'
    'E CASE WHEN (get_bit("substring"(value, 4, 1), (3)::bigint) = 1) THEN "substring"(value, (2 + (('
    '9 + (16 * get_bit("substring"(value, 4, 1), (0)::bigint))) + (18 * get_bit("substring"(value, 4,'
    ' 1), (2)::bigint)))), ((256 * get_byte("substring"(value, ((9 + (16 * get_bit("substring"(value,'
    ' 4, 1), (0)::bigint))) + (18 * get_bit("substring"(value, 4, 1), (2)::bigint))), 2), 0)) + get_b'
    'yte("substring"(value, ((9 + (16 * get_bit("substring"(value, 4, 1), (0)::bigint))) + (18 * get_'
    'bit("substring"(value, 4, 1), (2)::bigint))), 2), 1))) ELSE NULL::bytea END END END'
)
MATCH_PRINTED = (
    'RETURN CASE WHEN (octet_length(value) < 38) THEN NULL::integer[] WHEN (get_bit("substring"(value'
    ", 4, 1), (4)::bigint) = 1) THEN (SELECT ARRAY(SELECT ((((get_byte(terms.value, place.place) << 2"
    "4) | (get_byte(terms.value, (place.place + 1)) << 16)) | (get_byte(terms.value, (place.place + 2"
    ")) << 8)) | get_byte(terms.value, (place.place + 3))) FROM generate_series((terms.start + 2), (("
    "(terms.start + (256 * get_byte(terms.value, terms.start))) + get_byte(terms.value, (terms.start "
    '+ 1))) - 2), 4) place(place)) AS "array" FROM (SELECT head.value, CASE WHEN (get_bit(head.value,'
    " (27)::bigint) = 1) THEN ((((10 + (16 * get_bit(head.value, (24)::bigint))) + (18 * get_bit(head"
    ".value, (26)::bigint))) + (256 * get_byte(head.value, ((8 + (16 * get_bit(head.value, (24)::bigi"
    "nt))) + (18 * get_bit(head.value, (26)::bigint)))))) + get_byte(head.value, ((9 + (16 * get_bit("
    "head.value, (24)::bigint))) + (18 * get_bit(head.value, (26)::bigint))))) ELSE ((8 + (16 * get_b"
    "it(head.value, (24)::bigint))) + (18 * get_bit(head.value, (26)::bigint))) END AS start FROM (SE"
    'LECT "substring"(match.value, 1, 66093) AS value OFFSET 0) head) terms) ELSE NULL::integer[] END'
)
PATHS_PRINTED = (
    'RETURN CASE WHEN (octet_length(value) < 38) THEN NULL::bytea[] WHEN (get_bit("substring"(value, '
    '4, 1), (5)::bigint) = 1) THEN (SELECT ARRAY(SELECT "substring"(terms.value, place.place, 16) AS '
    '"substring" FROM generate_series((terms.start + 3), (((terms.start + (256 * get_byte(terms.value'
    ', terms.start))) + get_byte(terms.value, (terms.start + 1))) - 13), 16) place(place)) AS "array"'
    " FROM (SELECT orders.value, CASE WHEN (get_bit(orders.value, (28)::bigint) = 1) THEN (((2 + orde"
    "rs.start) + (256 * get_byte(orders.value, orders.start))) + get_byte(orders.value, (orders.start"
    " + 1))) ELSE orders.start END AS start FROM (SELECT head.value, CASE WHEN (get_bit(head.value, ("
    "27)::bigint) = 1) THEN ((((10 + (16 * get_bit(head.value, (24)::bigint))) + (18 * get_bit(head.v"
    "alue, (26)::bigint))) + (256 * get_byte(head.value, ((8 + (16 * get_bit(head.value, (24)::bigint"
    "))) + (18 * get_bit(head.value, (26)::bigint)))))) + get_byte(head.value, ((9 + (16 * get_bit(he"
    "ad.value, (24)::bigint))) + (18 * get_bit(head.value, (26)::bigint))))) ELSE ((8 + (16 * get_bit"
    "(head.value, (24)::bigint))) + (18 * get_bit(head.value, (26)::bigint))) END AS start FROM (SELE"
    'CT "substring"(paths.value, 1, 131630) AS value OFFSET 0) head) orders OFFSET 0) terms) ELSE NUL'
    "L::bytea[] END"
)
CELL_ID_PRINTED = (
    'RETURN CASE WHEN (octet_length(value) < 36) THEN NULL::bytea ELSE CASE "substring"(value, 4, 1) '
    r"""WHEN '\x00'::bytea THEN "substring"(value, 9, 8) WHEN '\x01'::bytea THEN "substring"(value, 25, """
    '8) ELSE (SELECT "substring"(terms.value, (1 + terms.start), 8) AS "substring" FROM (SELECT match'
    "ed.value, CASE WHEN ((get_bit(matched.value, (29)::bigint) = 1) AND (octet_length(matched.value)"
    " >= (matched.start + 2))) THEN (((2 + matched.start) + (256 * get_byte(matched.value, matched.st"
    "art))) + get_byte(matched.value, (matched.start + 1))) ELSE matched.start END AS start FROM (SEL"
    "ECT ordered.value, CASE WHEN ((get_bit(ordered.value, (28)::bigint) = 1) AND (octet_length(order"
    "ed.value) >= (ordered.start + 2))) THEN (((2 + ordered.start) + (256 * get_byte(ordered.value, o"
    "rdered.start))) + get_byte(ordered.value, (ordered.start + 1))) ELSE ordered.start END AS start "
    "FROM (SELECT first.value, CASE WHEN ((get_bit(first.value, (27)::bigint) = 1) AND (octet_length("
    "first.value) >= (first.start + 2))) THEN (((2 + first.start) + (256 * get_byte(first.value, firs"
    "t.start))) + get_byte(first.value, (first.start + 1))) ELSE first.start END AS start FROM (SELEC"
    "T head.value, ((8 + (16 * get_bit(head.value, (24)::bigint))) + (18 * get_bit(head.value, (26)::"
    'bigint))) AS start FROM (SELECT "substring"(cell_id.value, 1, 131638) AS value OFFSET 0) head OF'
    "FSET 0) first OFFSET 0) ordered OFFSET 0) matched OFFSET 0) terms) END END"
)
ORD_PREFIX_PRINTED = (
    "RETURN ((sealgate.ord(value) >= sealgate.ord(prefix))"
    r" AND (sealgate.ord(value) < (sealgate.ord(prefix) || '\xffffffffffffffff'::bytea)))"
)
REFUSE_BODY = """
BEGIN
  IF hint IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = sqlstate, MESSAGE = message;
  END IF;
  RAISE EXCEPTION USING ERRCODE = sqlstate, MESSAGE = message, HINT = hint;
END
"""
VERSION_PRINTED = f"RETURN {SCHEMA_VERSION}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the schema: what to run, and what the catalog then says (volatility, body as printed, settings)."""

    signature: str
    create: str
    comment: str
    catalog: tuple[str, str, str, tuple[str, ...]]
    """pg_proc.provolatile, proparallel, the body as PostgreSQL prints it, proconfig"""


def _term(name: str, result: str, body: str, printed: str, comment: str) -> Function:
    return Function(
        signature=f"{name}(bytea)",
        create=(
            f"FUNCTION {SCHEMA}.{name}(value bytea) RETURNS {result}"
            f" LANGUAGE sql IMMUTABLE PARALLEL SAFE {body}"
        ),
        comment=comment,
        catalog=("i", "s", printed, ()),
    )


def _step(name: str, body: str, comment: str) -> Function:
    """STRICT: the first value of a group is the state, NULLs are passed over."""
    return Function(
        signature=f"{name}(bytea, bytea)",
        create=(
            f"FUNCTION {SCHEMA}.{name}(a bytea, b bytea) RETURNS bytea"
            f" LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $step${body}$step$"
        ),
        comment=comment,
        catalog=("i", "s", body, ()),
    )


def _aggregate(name: str, step: str, comment: str) -> Function:
    step = f"{SCHEMA}.{step}"
    return Function(
        signature=f"{name}(bytea)",
        create=(
            f"AGGREGATE {SCHEMA}.{name}(bytea)"
            f" (SFUNC = {step}, STYPE = bytea, COMBINEFUNC = {step}, PARALLEL = SAFE)"
        ),
        comment=comment,
        catalog=("i", "s", f"aggregate {step} {step}", ()),
    )


FUNCTIONS = (
    _term(
        "eq",
        "bytea",
        EQ_BODY,
        EQ_PRINTED,
        "Equality term of a sealed value, NULL if it has none. Index and compare this:"
        " CREATE INDEX ON t (sealgate.eq(c)).",
    ),
    _term(
        "eq_casefold",
        "bytea",
        EQ_CASEFOLD_BODY,
        EQ_CASEFOLD_PRINTED,
        "Term of a sealed text in lower case, NULL if it has none: equal for texts that differ in case alone.",
    ),
    _term(
        "ord",
        "bytea",
        ORD_BODY,
        ORD_PRINTED,
        "Order term of a sealed value, NULL if it has none. Sorts as the values do:"
        " CREATE INDEX ON t (sealgate.ord(c)).",
    ),
    _term(
        "match",
        "integer[]",
        MATCH_BODY,
        MATCH_PRINTED,
        "Terms of a sealed text's groups of characters, NULL if it has none. For LIKE:"
        " CREATE INDEX ON t USING gin (sealgate.match(c)).",
    ),
    _term(
        "paths",
        "bytea[]",
        PATHS_BODY,
        PATHS_PRINTED,
        "Terms of what stands at the declared paths of a sealed jsonb, NULL if it has none:"
        " CREATE INDEX ON t USING gin (sealgate.paths(c)).",
    ),
    _term(
        "cell_id",
        "bytea",
        CELL_ID_BODY,
        CELL_ID_PRINTED,
        "The 8 bytes by which the access log names a sealed value.",
    ),
    Function(
        signature="ord_prefix(bytea, bytea)",
        create=(
            f"FUNCTION {SCHEMA}.ord_prefix(value bytea, prefix bytea) RETURNS boolean"
            f" LANGUAGE sql IMMUTABLE PARALLEL SAFE {ORD_PREFIX_BODY}"
        ),
        comment="Whether a sealed text's order term begins with that of a prefix; an index on sealgate.ord(c) serves.",
        catalog=("i", "s", ORD_PREFIX_PRINTED, ()),
    ),
    _step("either", EITHER_BODY, "Step of sealgate.any_value."),
    _step("lesser", LESSER_BODY, "Step of sealgate.min."),
    _step("greater", GREATER_BODY, "Step of sealgate.max."),
    _aggregate("any_value", "either", "One of a group's sealed values."),
    _aggregate("min", "lesser", "The sealed value that is first by its order term."),
    _aggregate("max", "greater", "The sealed value that is last by its order term."),
    Function(
        signature="refuse(text, text, text)",
        create=(
            f"FUNCTION {SCHEMA}.refuse(sqlstate text, message text, hint text) RETURNS void"
            " LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp"
            f" AS $refuse${REFUSE_BODY}$refuse$"
        ),
        comment="Raises. The Sealgate proxy sends it in place of a statement that it refuses.",
        catalog=("v", "u", REFUSE_BODY, ("search_path=pg_catalog, pg_temp",)),
    ),
    Function(
        signature="catalog()",
        create=(
            f"FUNCTION {SCHEMA}.catalog() RETURNS bytea"
            " LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp"
            f" AS $catalog${DOCUMENT}$catalog$"
        ),
        comment="What the Sealgate proxy has to know of the catalog, inside the transaction that asks.",
        catalog=("s", "u", DOCUMENT, ("search_path=pg_catalog, pg_temp",)),
    ),
    Function(
        signature="version()",
        create=(
            f"FUNCTION {SCHEMA}.version() RETURNS integer"
            f" LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {SCHEMA_VERSION}"
        ),
        comment="Version of this schema, compared by `sealgate check` and `sealgate apply`.",
        catalog=("i", "s", VERSION_PRINTED, ()),
    ),
)
