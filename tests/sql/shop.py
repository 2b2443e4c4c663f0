"""The shop that the planner's tests speak of, as a catalog picture, and a seal that can be read.

`customers` has sealed columns, two of them without equality. `partners` has one under another key.
`history` and `customer_view` have attributes with sealgate's domains that are not declared.
`find_customers()`, `email_of()` and `emails()` return sealed values, `either()` in one of its two forms.
`archive.customers` is a plain table of the same name. `"Odd Table"` needs its quotes.
`people` and `staff` declare every search; their columns of one name are of one search_group. `notes` is for LIKE.
"""

from __future__ import annotations

import re

from policy import Search
from policy.search import read_search
from proxy.catalog import (
    Attribute,
    Catalog,
    Dependency,
    Function,
    Output,
    Relation,
    SealedColumn,
    label,
)
from proxy.cells import logical_type
from proxy.sql.plan import Form, Seal

# Of each column: name, logical type, "!" if it is sealed, "=" if it has equality as well.
_TABLES = {
    ("public", "customers", "r"): (
        "id int4",
        "email text!=",
        "ssn text!",
        "birth_date date!",
        "age int4!=",
        "active bool!=",
        "name text",
        "city text",
    ),
    ("public", "orders", "r"): ("id int4", "customer_id int4", "total numeric", "note text"),
    ("public", "partners", "r"): ("id int4", "email text!="),
    ("archive", "customers", "r"): ("id int4", "email text", "note text"),
    ("public", "Odd Table", "r"): ("id int4", "E Mail text!=", 'quo"te text!='),
}
_UNDECLARED = {
    ("public", "history", "r"): ("id int4", "email text!", "at timestamptz"),
    ("public", "customer_view", "v"): ("id int4", "email text!", "name text"),
    ("public", "name_view", "v"): ("id int4", "name text"),
}
# Of each column: name, logical type, what it declares.
_SEARCHED = {
    ("public", "people", "r"): (
        "id int4",
        "email text equality equality:casefold",
        "nick varchar equality:casefold",
        "born date order",
        "height int4 equality order",
        "score numeric order",
        "name text equality order:C:16",
        "city text",
        "data jsonb equality path:city",
    ),
    ("public", "staff", "r"): (
        "id int4",
        "email text equality equality:casefold",
        "born date order",
        "name text equality order:C:16",
        "room int8",
    ),
    ("public", "notes", "r"): (
        "id int4",
        "body text match",
        "title varchar match:2 equality",
        "author text match order:C:16",
        "tag text order:C:16",
        "plain text",
    ),
}
_BYTEA = 17


def _attributes(columns: tuple[str, ...]) -> tuple[Attribute, ...]:
    found = []
    for number, column in enumerate(columns, 1):
        name, spec = column.rsplit(" ", 1)
        plain = spec.rstrip("!=")
        sealed = plain if "!" in spec else None
        oid = _BYTEA if sealed else logical_type(plain).oid
        found.append(Attribute(number, name, oid, -1, sealed, carries_sealed=bool(sealed)))
    return tuple(found)


def _searched_attributes(columns: tuple[str, ...]) -> tuple[Attribute, ...]:
    specs = (column.split(" ") for column in columns)
    return _attributes(tuple(f"{name} {type_}{'!' * bool(d)}" for name, type_, *d in specs))


def _sealed() -> dict[str, SealedColumn]:
    columns = {}
    for (schema, table, _), specs in _SEARCHED.items():
        for column in specs:
            name, type_, *declared = column.split(" ")
            if declared:
                full = label(schema, table, name)
                columns[full] = SealedColumn(
                    full,
                    label(schema, table),
                    name,
                    logical_type(type_),
                    read_search(declared, full),
                    name,
                )
    for (schema, table, _), specs in _TABLES.items():
        for column in specs:
            name, spec = column.rsplit(" ", 1)
            if "!" in spec:
                full = label(schema, table, name)
                search = Search(equality="=" in spec)
                of = label(schema, table)
                columns[full] = SealedColumn(
                    full, of, name, logical_type(spec.rstrip("!=")), search
                )
    return columns


_RELATIONS = tuple(
    Relation(oid, schema, name, kind, _attributes(columns))
    for oid, ((schema, name, kind), columns) in enumerate(
        (_TABLES | _UNDECLARED).items(), start=16384
    )
)
_RELATIONS += tuple(
    Relation(oid, schema, name, kind, _searched_attributes(columns))
    for oid, ((schema, name, kind), columns) in enumerate(_SEARCHED.items(), start=16484)
)
_FOUND = (Output("id"), Output("email", "text", carries_sealed=True))
_OIDS = {relation.label: relation.oid for relation in _RELATIONS}

CATALOG = Catalog(
    "shop",
    180004,
    _RELATIONS,
    _sealed(),
    (
        Dependency(_OIDS["public.customer_view"], _OIDS["public.customers"]),
        Dependency(_OIDS["public.name_view"], _OIDS["public.customers"]),
    ),
    (
        Function("public", "find_customers", _FOUND, scalar=False),
        Function(
            "public", "email_of", (Output("email_of", "text", carries_sealed=True),), scalar=True
        ),
        Function("public", "either", _FOUND, scalar=False),
        Function("archive", "either", _FOUND[:1], scalar=False),
        Function("public", "emails", (Output("emails", None, carries_sealed=True),), scalar=True),
    ),
)
PATH = ("public",)


def column(short: str) -> str:
    """`email` -> the label in customers; `partners.email` -> that of another table in public."""
    if "." not in short:
        return f"public.customers.{short}"
    return short if short.count(".") > 1 else f"public.{short}"


def short(full: str) -> str:
    return full.removeprefix("public.").removeprefix("customers.")


def seal(how: Seal, text: str) -> bytes:
    """What a sealed literal is in these tests: the column, the cast and the text itself."""
    cast = f"({how.cast})" if how.cast else ""
    item = f"{short(how.column)}{cast}:{text}".encode()
    if how.form is Form.VALUE:
        return item
    header = b"\0\0\0\1" + b"\0\0\0\0" + _BYTEA.to_bytes(4) + b"\0\0\0\1" + b"\0\0\0\1"
    return header + len(item).to_bytes(4) + item


_VALUE = re.compile(r"'\\x([0-9a-f]*)'::bytea(?!\[)")
_GRAMS = re.compile(r"'\{([0-9]*)\}'::int4\[\]")
_TERMS = re.compile(r"""'\{"\\\\x([0-9a-f]*)"\}'::bytea\[\]""")


def readable(rendered: str) -> str:
    """A rendered text with `{email:x}` for a sealed literal, `{{email:x}}` for terms, `[email:x]` for a pattern's."""
    rendered = _GRAMS.sub(lambda m: f"[{_text(int(m[1]))}]", rendered)
    rendered = _TERMS.sub(lambda m: "{{" + bytes.fromhex(m[1]).decode() + "}}", rendered)
    return _VALUE.sub(lambda m: "{" + bytes.fromhex(m[1]).decode() + "}", rendered)


def _text(number: int) -> str:
    return number.to_bytes((number.bit_length() + 7) // 8, "big").decode()
