"""Where a sealed value stood before its row was updated or deleted: what keeps it in the database. Pure.

The access log names what it tells of by cell ids. Which row holds a value now, the table says; which row held one that is
gone, `sealgate.cell_history` says: a trigger writes there, in the transaction that takes the value away, its cell id and the row's key.

- **Every way there is.** It is a trigger of the table, so it acts for the plain statement that somebody runs past the proxy too: UPDATE,
  DELETE, MERGE, ON CONFLICT, cascades, TRUNCATE, and (ENABLE ALWAYS) what logical replication applies.
- **For each row.** PostgreSQL gives such a trigger to partitions that are made later, and logical replication fires no other kind. A condition
  keeps it from being called where no sealed value and no key changed; statement-level triggers have no such condition, and took longer for a
  single row as well as for many (docs/adr/0028). TRUNCATE knows no rows: there the trigger is the statement's, and reads the table.
- **The key as well.** Where a row's key itself changes, its values are kept under the old one.
- **Nobody needs a privilege.** The function is SECURITY DEFINER with a fixed search_path, and nobody else may execute it: who could,
  could attach it to a table of his own and write what he likes.

The function is made for its table and names its columns: a renamed column is an error of the next UPDATE, and no silent gap, until `apply` ran.
PostgreSQL refuses to drop a sealed column, or to change a key column's type, while the trigger's condition names it.
"""

# ruff: noqa: S608 - SQL made of constants and of names that are quoted

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxy.catalog import SCHEMA
from proxy.database.obstacles import Obstacle
from proxy.database.schema import Change, FunctionFacts, SchemaFacts
from proxy.database.steps import identifier, literal, qualified

TRIGGER: Final = "sealgate_history"
_FUNCTION: Final = "history_"
ALWAYS: Final = "A"
"""pg_trigger.tgenabled: whatever session_replication_role is."""
_SETTING: Final = ("search_path=pg_catalog, pg_temp", "security definer")
_INSERT: Final = f"INSERT INTO {SCHEMA}.cell_history (cell_id, relation, attribute, row_key)"


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column that names the row, or the person whose row it is."""

    name: str
    quoted: str
    """As quote_ident writes it."""
    type_text: str
    not_null: bool
    sealed: bool


@dataclass(frozen=True, slots=True)
class HistoryMember:
    """A table of the tree. `printed`: its name as PostgreSQL prints it, with its schema."""

    label: str
    printed: str
    kind: str


@dataclass(frozen=True, slots=True)
class HistoryTrigger:
    """A trigger of ours as it is. `clone`: PostgreSQL made it for a partition, after the parent's."""

    member: str
    name: str
    definition: str
    enabled: str
    clone: bool


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """What there is on one declared table, and by what its rows can be named."""

    label: str
    members: tuple[HistoryMember, ...] = ()
    """The declared table first."""
    triggers: tuple[HistoryTrigger, ...] = ()
    primary_key: tuple[KeyColumn, ...] = ()
    subject: tuple[KeyColumn, ...] = ()
    """Those of the configured columns that exist."""
    sealed: Mapping[str, str] = field(default_factory=dict)
    """The columns that are of a sealed type, declared or not, each with its name as quote_ident writes it."""

    def key(self, sealed: Container[str]) -> tuple[KeyColumn, ...]:
        """What is kept of a row: its primary key and whose it is. Nothing that is sealed, or will be."""
        named = {column.name: column for column in (*self.primary_key, *self.subject)}
        return tuple(c for c in named.values() if not c.sealed and c.name not in sealed)


def function_name(label: str) -> str:
    """The function of a declared table. Of the label, so that it is the same wherever the database is restored."""
    return _FUNCTION + hashlib.sha256(label.encode()).hexdigest()[:16]


def is_ours(function: str) -> bool:
    return function.startswith(_FUNCTION)


def body(label: str, sealed: Mapping[str, str], key: Sequence[KeyColumn]) -> str:
    """The function's PL/pgSQL. `sealed`: the sealed columns' names, each with its name as quote_ident writes it."""
    row = _object(key, "OLD")
    now = ", ".join(
        f"({literal(name)}, OLD.{quoted}::pg_catalog.bytea, NEW.{quoted}::pg_catalog.bytea)"
        for name, quoted in sealed.items()
    )
    gone = ", ".join(
        f"({literal(name)}, gone.{quoted}::pg_catalog.bytea)" for name, quoted in sealed.items()
    )
    moved = f" OR pg_catalog.record_image_ne({_row('OLD', key)}, {_row('NEW', key)})" if key else ""
    truncated = f"{_INSERT} SELECT {SCHEMA}.cell_id(cell.was), {literal(label)}, cell.attribute, {_object(key, 'gone')} FROM ONLY "
    each = f" AS gone CROSS JOIN LATERAL (VALUES {gone}) AS cell (attribute, was) WHERE cell.was IS NOT NULL"
    return f"""
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    EXECUTE {literal(truncated)} || TG_RELID::pg_catalog.regclass || {literal(each)};
    RETURN NULL;
  END IF;
  {_INSERT}
  SELECT {SCHEMA}.cell_id(cell.was), {literal(label)}, cell.attribute, {row}
  FROM (VALUES {now}) AS cell (attribute, was, now)
  WHERE cell.was IS NOT NULL AND (cell.was IS DISTINCT FROM cell.now{moved});
  RETURN NULL;
END
"""


def _object(key: Sequence[KeyColumn], row: str) -> str:
    pairs = ", ".join(f"{literal(column.name)}, {row}.{column.quoted}" for column in key)
    return f"pg_catalog.jsonb_build_object({pairs})"


def _row(row: str, key: Sequence[KeyColumn]) -> str:
    return f"ROW({', '.join(f'{row}.{column.quoted}' for column in key)})"


def changes(
    facts: HistoryFacts, declared: Mapping[str, str], schema: SchemaFacts
) -> tuple[Change, ...]:
    """What to run so that what leaves the sealed columns is kept, in order. Nothing when all is as it should be.

    declared  those that are sealed, or about to be
    """
    sealed = dict(sorted({**facts.sealed, **declared}.items()))
    if not sealed or not facts.members:
        return ()
    found = [*_function_changes(facts, sealed, schema), *_trigger_changes(facts, sealed)]
    return tuple(found)


def obstacle(
    facts: HistoryFacts, found: Sequence[Change], schema: SchemaFacts, role: str
) -> Iterator[Obstacle]:
    """What forbids it, beside what forbids changing the table."""
    if found and schema.exists and not schema.keepable:
        yield Obstacle(
            facts.label,
            f"schema {SCHEMA} must have a function that keeps where its values stood, and {role} may not make it",
            f"Run apply with --dsn as a login that owns both, or GRANT CREATE ON SCHEMA {SCHEMA} TO {role}"
            f" and GRANT INSERT ON {SCHEMA}.cell_history TO {role}.",
        )


def _function_changes(
    facts: HistoryFacts, sealed: Mapping[str, str], schema: SchemaFacts
) -> Iterator[Change]:
    name = function_name(facts.label)
    source = body(facts.label, sealed, facts.key(sealed))
    found = (schema.functions or {}).get(f"{name}()")
    qualified_name = f"{SCHEMA}.{name}()"
    revoke = f"REVOKE ALL ON FUNCTION {qualified_name} FROM PUBLIC"
    if found is None or found.catalog != FunctionFacts(("v", "u", source, _SETTING), False).catalog:
        comment = f"Keeps in {SCHEMA}.cell_history where sealed values of {facts.label} stood."
        yield Change(
            f"keep where values stood that are updated or deleted in {facts.label} (function {qualified_name})",
            (
                f"CREATE OR REPLACE FUNCTION {qualified_name} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
                f" SET search_path = pg_catalog, pg_temp AS {literal(source)}",
                f"COMMENT ON FUNCTION {qualified_name} IS {literal(comment)}",
                revoke,
            ),
        )
    elif found.executable:
        yield Change(f"let nobody else execute {qualified_name}", (revoke,))


def _trigger_changes(facts: HistoryFacts, sealed: Mapping[str, str]) -> Iterator[Change]:
    wanted = {(t.member, t.name): t for t in triggers(facts, sealed)}
    found = {(t.member, t.name): t for t in facts.triggers if not t.clone}
    for at, old in found.items():
        new = wanted.get(at)
        if new is None or new.definition != old.definition:
            yield Change(
                f"drop trigger {old.name} of {old.member}",
                (f"DROP TRIGGER {identifier(old.name)} ON {qualified(old.member)}",),
            )
    for at, new in wanted.items():
        have = found.get(at)
        if have is None or have.definition != new.definition:
            yield Change(
                f"create trigger {new.name} on {new.member}",
                (new.definition, _enable(new)),
            )
    for trigger in facts.triggers:
        if trigger.enabled != ALWAYS:
            yield Change(f"enable trigger {trigger.name} of {trigger.member}", (_enable(trigger),))


def triggers(facts: HistoryFacts, sealed: Mapping[str, str]) -> Iterator[HistoryTrigger]:
    """Those that should be, as PostgreSQL prints them (14 to 18 alike)."""
    call = f"EXECUTE FUNCTION {SCHEMA}.{function_name(facts.label)}()"
    columns = [*sealed.values(), *(column.quoted for column in facts.key(sealed))]
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("old", "new"))
    changed = f"WHEN (record_image_ne(ROW({old}), ROW({new})))"
    root = facts.members[0]
    for member in facts.members:
        kinds = [("truncate", f"BEFORE TRUNCATE ON {member.printed} FOR EACH STATEMENT {call}")]
        if (
            root.kind != "p" or member == root
        ):  # PostgreSQL gives a partitioned table's row triggers to its partitions
            kinds += [
                ("update", f"AFTER UPDATE ON {member.printed} FOR EACH ROW {changed} {call}"),
                ("delete", f"AFTER DELETE ON {member.printed} FOR EACH ROW {call}"),
            ]
        for kind, text in kinds:
            name = f"{TRIGGER}_{kind}"
            yield HistoryTrigger(
                member.label, name, f"CREATE TRIGGER {name} {text}", ALWAYS, clone=False
            )


def _enable(trigger: HistoryTrigger) -> str:
    return (
        f"ALTER TABLE {qualified(trigger.member)} ENABLE ALWAYS TRIGGER {identifier(trigger.name)}"
    )
