"""What decides about a session: policy, catalog and keys in one frozen value, and what follows from them.

A reload or DDL makes a new `Snapshot`; it is swapped whole, so no statement sees the policy of one and the
catalog of another. Sessions ask a `SnapshotSource` for the current one at each message. `Authority` is one
principal's view of a snapshot: every decision is asked of the policy once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from keystore import Keyset
from policy import Access, Decision, Outcome, Policy, compile_mask, decide
from proxy.catalog import SCHEMA, SEALABLE_TYPES, Catalog, domain_name, label
from proxy.cells import LogicalType, Settings, logical_type
from proxy.detection.restraint import Restraint, refused, restrained
from proxy.outline import Outline, Outlines
from proxy.shape import Shape, read_shape
from proxy.sql.plan import Refusal, StatementPlan, Touch
from proxy.sql.planner import Planner

Outputs = tuple[str | None, ...] | None
ShapeKey = tuple[bytes, Outputs, tuple[tuple[int, str], ...]]
Mask = Callable[[bytes], bytes | None]

_DOMAINS = {label(SCHEMA, domain_name(name)): logical_type(name) for name in SEALABLE_TYPES}
_REMEMBERED = 4096
_VERDICTS = 1024
"""Statements whose verdict one session keeps, and their plans with it."""
_SHORT: Final = 1024
"""Bytes of a RowDescription that each session remembers by itself."""
_SHAPES_BYTES = 4 << 20
"""RowDescriptions that are remembered, by their size on the wire; in memory each takes about ten times that."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of everything that decides."""

    policy: Policy
    catalog: Catalog
    keyset: Keyset
    planner: Planner = field(init=False, repr=False, compare=False)
    masks: Mapping[str, Mask] = field(init=False, repr=False, compare=False)
    shapes: dict[ShapeKey, Shape] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """RowDescriptions read so far, by body and what the plan says of the outputs."""
    outlines: Outlines = field(init=False, repr=False, compare=False, default_factory=Outlines)
    """What the access log says of statements, as far as it is known beforehand."""
    _shapes_bytes: list[int] = field(
        init=False, repr=False, compare=False, default_factory=lambda: [0]
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "planner", Planner(self.catalog))
        object.__setattr__(self, "masks", _masks(self.policy, self.catalog))

    def remember_shape(self, key: ShapeKey, shape: Shape) -> None:
        """Bounded: wide results of statements without number would otherwise fill the memory."""
        size = len(key[0])
        if size * 64 > _SHAPES_BYTES:
            return
        if len(self.shapes) >= _REMEMBERED or self._shapes_bytes[0] + size > _SHAPES_BYTES:
            self.shapes.clear()
            self._shapes_bytes[0] = 0
        self.shapes[key] = shape
        self._shapes_bytes[0] += size

    def type_of(self, column: str) -> LogicalType | None:
        """The logical type of a declared column, or of a domain's values; None for one that is not declared any more."""
        sealed = self.catalog.sealed.get(column)
        return sealed.type if sealed is not None else _DOMAINS.get(column)


def _masks(policy: Policy, catalog: Catalog) -> dict[str, Mask]:
    masks: dict[str, Mask] = {}
    for column, rule in policy.columns.items():
        if rule.mask is not None and column in catalog.sealed:
            logical = catalog.sealed[column].type
            masks[column] = compile_mask(rule.mask, rule.type, _constant_parser(logical))
    return masks


def _constant_parser(logical: LogicalType) -> Callable[[str], bytes]:
    return lambda text: logical.assign(logical.from_text(text.encode(), Settings()))


class SnapshotSource:
    """Holds the current snapshot; whoever reloads replaces it. Not `ready` until the server was first reached."""

    __slots__ = ("_current",)

    def __init__(self, current: Snapshot | None = None) -> None:
        self._current = current

    @property
    def ready(self) -> bool:
        return self._current is not None

    @property
    def current(self) -> Snapshot:
        assert self._current is not None  # noqa: S101 - no session begins before
        return self._current

    @current.setter
    def current(self, snapshot: Snapshot) -> None:
        self._current = snapshot


class OwnCatalog:
    """A catalog that only one transaction sees, under whatever policy and keys are current."""

    __slots__ = ("_base", "_catalog", "_snapshot")

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._base: Snapshot | None = None
        self._snapshot: Snapshot | None = None

    def under(self, current: Snapshot) -> Snapshot:
        if self._snapshot is None or self._base is not current:
            self._base = current
            self._snapshot = Snapshot(current.policy, self._catalog, current.keyset)
        return self._snapshot


class Authority:
    """What one principal may do under one snapshot. Asks the policy once per column and access."""

    __slots__ = (
        "_body",
        "_decisions",
        "_judged",
        "_outputs",
        "_shape",
        "_shown",
        "_verdict",
        "_verdicts",
        "outline",
        "restraint",
        "roles",
        "snapshot",
        "standing",
    )

    def __init__(
        self, snapshot: Snapshot, roles: frozenset[str], restraint: Restraint = None
    ) -> None:
        self.snapshot = snapshot
        self.roles = roles
        self.restraint: Restraint = restraint
        self.standing = roles if restraint is None else roles | {f"\0{restraint}"}
        """What decisions depend on, beside the snapshot; a key for what is remembered of them."""
        self._decisions: dict[tuple[str, Access], Decision] = {}
        self._verdicts: dict[int, tuple[StatementPlan, Refusal | None]] = {}
        self._judged: StatementPlan | None = None
        """What of `_verdicts` was asked for last."""
        self._verdict: Refusal | None = None
        self._shape: Shape | None = None
        """That of the last RowDescription, if it was short, and what it was read from."""
        self._body = b""
        self._outputs: Outputs = None
        self._shown: tuple[tuple[int, str], ...] = ()
        self.outline: Outline | None = None
        """The last that was asked for under it: for `Outlines`."""

    def decide(self, column: str, access: Access) -> Decision:
        key = (column, access)
        decision = self._decisions.get(key)
        if decision is None:
            snapshot = self.snapshot
            decision = decide(snapshot.policy, self.roles, column, access)
            if self.restraint is not None:
                has_mask = column in snapshot.masks
                decision = restrained(decision, self.restraint, access, has_mask=has_mask)
            self._decisions[key] = decision
        return decision

    def shape(self, body: bytes, plan: StatementPlan | None) -> Shape:
        """What a RowDescription's body means, with what the plan says of the outputs."""
        outputs = plan.outputs if plan is not None else None
        shown = plan.shown if plan is not None else ()
        last = self._shape
        if (
            last is not None
            and outputs is self._outputs
            and shown is self._shown
            and body == self._body
        ):
            return last
        snapshot = self.snapshot
        key = (body, outputs, shown)
        shape = snapshot.shapes.get(key)
        if shape is None:
            shape = read_shape(body, snapshot.catalog, outputs, snapshot.type_of, shown)
            snapshot.remember_shape(key, shape)
        if len(body) <= _SHORT:
            self._shape, self._body, self._outputs, self._shown = shape, body, outputs, shown
        return shape

    def refusal(self, plan: StatementPlan) -> Refusal | None:
        """Why this principal may not run the statement, or None. Decided once per plan, if that is small."""
        if not plan.touches:
            return plan.refusal
        if plan is self._judged:
            return self._verdict
        known = self._verdicts.get(id(plan))
        if known is not None and known[0] is plan:
            self._judged, self._verdict = known
            return known[1]
        verdict = plan.refusal or next(
            (r for r in map(self._touch_refused, plan.touches) if r is not None), None
        )
        if plan.small:
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            self._verdicts[id(plan)] = (plan, verdict)
            self._judged, self._verdict = plan, verdict
        return verdict

    def _touch_refused(self, touch: Touch) -> Refusal | None:
        decision = self.decide(touch.column, touch.access)
        if self.restraint is not None:
            contained = refused(decision, touch.column)
            if contained is not None:
                return contained
        if decision.outcome is Outcome.DENIED:
            verb, grant = _VERBS[touch.access]
        elif decision.outcome is Outcome.WITHHELD and self.snapshot.policy.denied_value == "error":
            verb, grant = "read", "clear or masked"
        else:
            return None
        return Refusal(
            "42501",
            f"permission denied to {verb} sealed column {touch.column}",
            f"Sealgate's policy must give one of your roles the grant {grant} on {touch.column}.",
        )


_VERBS = {
    Access.READ: ("read", "clear or masked"),
    Access.COMPARE: ("compare", "search or clear"),
    Access.WRITE: ("write", "write"),
    Access.PRESENCE: ("test", "clear, masked or search"),
}
