"""What the database says about the declared columns and everything that hangs on them: frozen facts.

`look` reads them, `obstacles` and `findings` judge them; neither the facts nor the judgements do I/O.
"Tree" is a table with all its partitions and inheritance children: ALTER COLUMN TYPE reaches all of them, so
whatever hangs on the column in any of them counts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index that has the column as a key or included column, or in an expression or predicate."""

    oid: int
    schema: str
    name: str
    table: str
    """Label of the table it is on: the declared one or a child."""
    method: str
    keys: tuple[str, ...]
    """Each key and included column as pg_get_indexdef prints it."""
    key_count: int
    default_operators: bool
    unique: bool
    nulls_distinct: bool
    predicate: str | None
    valid: bool
    replica_identity: bool
    clustered: bool
    options: tuple[str, ...]
    tablespace: str | None
    comment: str | None
    constraint: str | None
    """Name of the constraint that owns it."""
    constraint_kind: str | None
    """pg_constraint.contype: p, u, x"""
    deferrable: bool
    parent: bool
    """It belongs to an index of the parent, which is listed itself."""
    on_column: bool
    """The column is one of its plain keys or included columns (else: in an expression or the predicate only)."""


@dataclass(frozen=True, slots=True)
class DependentFacts:
    """Something other than an index that depends on the column itself. `kind` is the catalog: pg_rewrite, pg_policy ..."""

    kind: str
    name: str
    """As pg_describe_object says it: `rule _RETURN on view v`."""
    detail: str = ""
    """pg_constraint: contype. pg_rewrite: the relation's relkind and label, `v public.v`."""


@dataclass(frozen=True, slots=True)
class AssuranceFacts:
    """A CHECK of ours, by which the server holds that every value of a column carries its terms; see `terms`."""

    name: str
    definition: str
    """As pg_get_constraintdef prints it, without NOT VALID."""
    valid: bool
    """It holds for the rows that were there before it, too."""


@dataclass(frozen=True, slots=True)
class Member:
    """A table of a tree. kind is pg_class.relkind; parent: the label of the table of the tree it hangs on."""

    label: str
    kind: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """What the server does by itself when a row with sealed values is updated: a trigger, or a rule."""

    name: str
    always: bool
    """Also where session_replication_role is replica (ENABLE ALWAYS or REPLICA)."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    label: str
    name: str
    quoted: str
    """As quote_ident writes it."""
    number: int
    type_oid: int
    type_modifier: int
    type_text: str
    """format_type: `character varying(40)`, `sealgate.sealed_text`."""
    sealed: str | None
    """The logical type's name where the type is one of our domains."""
    not_null: bool
    default: str | None
    identity: str
    generated: str
    inherited: bool
    deterministic: bool
    """Its collation calls only identical strings equal."""
    indexes: tuple[IndexFacts, ...] = ()
    dependents: tuple[DependentFacts, ...] = ()
    assurances: tuple[AssuranceFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class TableFacts:
    label: str
    oid: int
    schema: str
    name: str
    kind: str
    owned: bool
    """The current role may do what the owner may, in the whole tree."""
    owner: str
    selectable: bool
    schema_create: bool
    """The current role may create in the table's schema, which CREATE INDEX asks for."""
    typed: bool
    foreign_children: bool
    forced_row_security: bool
    """Row security is forced on the owner in some table of the tree, and the current role does not bypass it."""
    children: tuple[str, ...]
    """Labels of the other tables of the tree."""
    primary_key: tuple[str, ...]
    """Its columns, as quote_ident writes them."""
    rows_estimate: int
    """pg_class.reltuples summed over the tree, -1 if never analyzed."""
    table_bytes: int
    index_bytes: int
    columns: tuple[ColumnFacts, ...] = ()
    row_type_used_by: tuple[str, ...] = ()
    """Columns elsewhere whose type is the table's row type."""
    whole_row_views: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    on_update: tuple[TriggerFacts, ...] = ()
    members: tuple[Member, ...] = ()
    """The tree, parents before their children, the declared table first."""
    publications: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """For SQL text."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.schema, self.name))

    def column(self, label: str) -> ColumnFacts | None:
        return next((c for c in self.columns if c.label == label), None)


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """The login that runs us."""

    name: str
    superuser: bool
    may_create_schema: bool
    may_create_temporary: bool
    database: str
    server_version: int
    may_replicate: bool = False
    """It may set session_replication_role, under which ordinary triggers and rules do not act."""
