"""Client values sealed: literals and parameters of one statement.

What a literal or parameter is for, and of which type, is worked out at its first value (`proxy.given`, `proxy.place`) and
kept for as long as the plan, the snapshot and the session's settings are the same. What is not a value of the type is
refused with PostgreSQL's own SQLSTATE, and the message never quotes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, final

from keystore import KeystoreError
from policy import Access
from proxy import coercion
from proxy.at_path import read_keys, without_keys
from proxy.cells import CellError, LogicalType, Settings, convert
from proxy.cells.paths import Keys
from proxy.given import (
    UNKNOWN_OID,
    ValueRefused,
    cast_type,
    check_argument,
    given_by_literal,
    given_type,
    untyped,
)
from proxy.pattern import Matcher, Matchers
from proxy.place import Place, bytea_array
from proxy.shape import BYTEA_OID
from proxy.snapshot import Snapshot
from proxy.sql.lexer import literal_value
from proxy.sql.plan import (
    ARRAYS,
    COMPARISONS,
    Argument,
    Form,
    LiteralSite,
    Refusal,
    Seal,
    StatementPlan,
)
from proxy.tally import Sealed

__all__ = [
    "Literals",
    "Sealers",
    "StatementSealer",
    "ValueRefused",
    "bytea_array",
    "check_null_argument",
    "check_parameters",
    "parameter_type",
]


class Sealers:
    """Sealers of one session: a statement executed again does not look up its types again.

    They go with the snapshot and the settings they were made for: a session must not keep old snapshots alive.
    """

    __slots__ = ("_declared", "_known", "_last", "_plan", "_settings", "_snapshot")
    _LIMIT: Final = 256

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._settings: Settings | None = None
        self._known: dict[tuple[int, tuple[int, ...]], StatementSealer] = {}
        self._last: StatementSealer | None = None
        """What of `_known` was asked for last, and for what."""
        self._plan: StatementPlan | None = None
        self._declared: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self._known)

    def get(
        self,
        plan: StatementPlan,
        declared: tuple[int, ...],
        snapshot: Snapshot,
        settings: Settings,
    ) -> StatementSealer:
        """`declared`: parameter type OIDs of the client's Parse, 0 or absent where it left them to the server."""
        same = snapshot is self._snapshot and settings is self._settings
        if same and plan is self._plan and declared is self._declared and self._last is not None:
            return self._last
        if not same or len(self._known) >= self._LIMIT:
            self._known.clear()
            self._last = self._plan = None
            self._snapshot, self._settings = snapshot, settings
        key = (id(plan), declared)  # An identity: the sealer keeps the plan alive.
        known = self._known.get(key)
        if known is None:
            known = StatementSealer(plan, declared, snapshot, settings)
            if not plan.small:
                return known
            self._known[key] = known
        self._last, self._plan, self._declared = known, plan, declared
        return known


@final
class StatementSealer:
    """Seals the values of one statement's executions, under one snapshot and settings."""

    __slots__ = (
        "_alike",
        "_by_keys",
        "_keys",
        "_parameters",
        "_plan",
        "_settings",
        "_sites",
        "_snapshot",
        "_utf8",
        "_written",
    )

    def __init__(
        self,
        plan: StatementPlan,
        declared: tuple[int, ...],
        snapshot: Snapshot,
        settings: Settings,
    ) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._settings = settings
        self._utf8 = replace(settings, encoding="UTF8")
        """Literals are in UTF-8 by now, whatever the client's encoding is."""
        self._written = {touch.column for touch in plan.touches if touch.access is Access.WRITE}
        parameters = [
            _Parameter(number - 1, seal, declared[number - 1] if number <= len(declared) else 0)
            for number, seal in plan.parameters.items()
        ]
        self._keys = [p for p in parameters if p.seal.form in (Form.KEY, Form.KEYS)]
        """Not sealed: keys of the paths that others are compared at, of which there are none without."""
        self._by_keys = [p for p in parameters if p.seal.at is not None and not p.seal.at.known]
        self._parameters = parameters
        if self._keys:
            others = {*self._keys, *self._by_keys}
            self._parameters = [p for p in parameters if p not in others]
        self._sites: dict[int, tuple[Seal, _Site]] = {}
        """By identity, which costs nothing to look up: the seal stays alive with it."""
        self._alike: dict[Seal, _Site] = {}

    def parameters(self, values: list[bytes | None], formats: list[int], sealed: Sealed) -> None:
        """In place: wire forms become sealed values, in binary form. `sealed` gets the ids of what is to be stored.

        Raises ValueRefused.
        """
        column = self._keys[0].seal.column if self._keys else ""
        try:
            if self._keys:
                self._at_keys(values, formats)
            for parameter in self._parameters:
                i = parameter.index
                if i >= len(values):
                    continue  # The server says that parameters are missing.
                value = values[i]
                if value is not None:
                    column = parameter.seal.column
                    values[i] = self._place(parameter, formats[i]).seal(value, sealed)
                formats[i] = 1
            return
        except CellError as error:
            refusal = _wrong(error, column)
        except KeystoreError:
            refusal = _no_key(column)
        # Outside the handlers: an exception that holds a value must not become this one's context.
        raise ValueRefused(refusal)

    def _at_keys(self, values: list[bytes | None], formats: list[int]) -> None:
        """`data ->> $1 = $2`: the keys are read and taken out, and what is compared is sealed for these paths."""
        found: dict[int, Keys | None] = {}
        for parameter in self._keys:
            i = parameter.index
            wire = values[i] if i < len(values) else None
            if wire is not None:
                given = given_type(self._snapshot, parameter.seal, parameter.declared)
                found[i + 1] = read_keys(parameter.seal, given, formats[i], wire, self._settings)
                values[i] = without_keys(parameter.seal)
                formats[i] = 1
        for parameter in self._by_keys:
            i, at = parameter.index, parameter.seal.at
            wire = values[i] if i < len(values) else None
            operand = at.with_keys(found) if at is not None else None
            if wire is None:
                continue
            values[i] = None
            if operand is not None:
                seal = replace(parameter.seal, at=operand)
                given = given_type(self._snapshot, seal, parameter.declared)
                values[i] = self._placed(seal, given, formats[i], self._settings).seal(wire, {})
            formats[i] = 1

    def matchers(
        self, literals: Sequence[str], values: Sequence[bytes | None], formats: Sequence[int]
    ) -> Matchers:
        """Of all patterns in the statement, to test what the server finds by them. `literals`: the message's; `values`: of
        the parameters, before they are sealed. Raises ValueRefused.
        """
        found: dict[int, Matcher | None] = {}
        column = ""
        try:
            for piece in self._plan.pieces:
                if isinstance(piece, LiteralSite) and piece.seal and piece.seal.pattern:
                    column = piece.seal.column
                    place = self._literal_place(self.site(piece.seal), None)
                    text = literal_value(literals[piece.ordinal])
                    found[-piece.seal.pattern.place] = place.matcher(text.encode())
            for parameter in self._parameters:
                i = parameter.index
                if i < len(values) and parameter.seal.pattern is not None:
                    column, value = parameter.seal.column, values[i]
                    place = self._place(parameter, formats[i])
                    found[i + 1] = place.matcher(value) if value is not None else None
            return found
        except CellError as error:
            refusal = _wrong(error, column)
        except KeystoreError:
            refusal = _no_key(column)
        raise ValueRefused(refusal)

    def _place(self, parameter: _Parameter, format_code: int) -> Place:
        place = parameter.places.get(format_code)
        if place is None:
            seal = parameter.seal
            given = given_type(self._snapshot, seal, parameter.declared)
            place = self._placed(seal, given, format_code, self._settings)
            parameter.places[format_code] = place
        return place

    def _placed(
        self, seal: Seal, given: LogicalType, format_code: int, settings: Settings
    ) -> Place:
        written = seal.column in self._written
        return Place(self._snapshot, seal, given, format_code, settings, written=written)

    def literals(self, sealed: Sealed) -> Literals:
        """For one execution. `sealed` gets the ids of what is to be stored."""
        return Literals(self, sealed)

    def site(self, seal: Seal) -> _Site:
        known = self._sites.get(id(seal))
        if known is not None:
            return known[1]
        site = self._alike.get(seal)
        if site is None:
            repeats = bool(seal.use & COMPARISONS) and seal.column not in self._written
            site = self._alike[seal] = _Site(seal, repeats=repeats)
        self._sites[id(seal)] = (seal, site)
        return site

    def literal(self, site: _Site, text: str, sealed: Sealed) -> bytes:
        """Raises CellError, KeystoreError or ValueRefused."""
        seal = site.seal
        if seal.argument is not None:
            return self._argument(seal, seal.argument, text, sealed)
        natural = coercion.natural(seal.constant, text) if seal.constant is not None else None
        return self._literal_place(site, natural).seal(text.encode(), sealed)

    def _literal_place(self, site: _Site, natural: LogicalType | None) -> Place:
        oid = natural.oid if natural is not None else 0
        place = site.places.get(oid)
        if place is None:
            given = given_by_literal(self._snapshot, site.seal, natural)
            place = site.places[oid] = self._placed(site.seal, given, 0, self._utf8)
        return place

    def _argument(self, seal: Seal, argument: Argument, text: str, sealed: Sealed) -> bytes:
        """EXECUTE's argument becomes what Bind's value would be: EvaluateParams in src/backend/commands/prepare.c."""
        settings = self._utf8
        parameter = replace(seal, constant=None, argument=None)
        expected = given_type(self._snapshot, parameter, argument.declared)
        given = coercion.natural(seal.constant, text) if seal.constant else None
        cast = cast_type(seal.column, argument.cast)
        if (cast is None and given is None) or seal.form is not Form.VALUE:
            check_argument(seal, argument, cast or given, expected)
            return self._placed(parameter, expected, 0, settings).seal(text.encode(), sealed)
        # A quoted literal is read before its type is looked at; a cast is evaluated after that.
        source = replace(given or cast or expected, modifier=-1)
        canonical = source.from_text(text.encode(), settings)
        if cast is not None:
            coercion.check_cast(source, cast)
        check_argument(seal, argument, cast or given, expected)
        if cast is not None:
            canonical, source = coercion.cast(source, cast, canonical, settings), cast
        canonical = convert(source, expected, canonical, settings)
        return self._placed(parameter, expected, 1, settings).seal(canonical, sealed)


@final
class Literals:
    """Seals the literals of one execution of a statement."""

    __slots__ = ("_same", "_sealed", "_sealer")

    def __init__(self, sealer: StatementSealer, sealed: Sealed) -> None:
        self._sealer = sealer
        self._sealed = sealed
        self._same: dict[tuple[_Site, str], bytes] = {}
        """`GROUP BY email = 'x'` is the expression of the select list only if both are the same in the text."""

    def literal(self, seal: Seal, text: str) -> bytes:
        """A literal's decoded text -> a sealed value, or a bytea[] in binary form. Raises ValueRefused."""
        try:
            site = self._sealer.site(seal)
            if not site.repeats:
                return self._sealer.literal(site, text, self._sealed)
            key = (site, text)
            found = self._same.get(key)
            if found is None:
                found = self._same[key] = self._sealer.literal(site, text, self._sealed)
            return found
        except CellError as error:
            refusal = _wrong(error, seal.column)
        except KeystoreError:
            refusal = _no_key(seal.column)
        raise ValueRefused(refusal)


@final
class _Parameter:
    __slots__ = ("declared", "index", "places", "seal")

    def __init__(self, index: int, seal: Seal, declared: int) -> None:
        self.index = index
        self.seal = seal
        self.declared = declared
        self.places: dict[int, Place] = {}
        """By format code."""


@final
class _Site:
    """Places in the text whose literals are sealed alike: one for each column of a long VALUES list."""

    __slots__ = ("places", "repeats", "seal")

    def __init__(self, seal: Seal, *, repeats: bool) -> None:
        self.seal = seal
        self.repeats = repeats
        """Equal literals have to stay equal."""
        self.places: dict[int, Place] = {}
        """By the OID of the type that the constant has by itself; 0: it is quoted."""


_SERVER_ONLY: Final = (
    "docs/search.md and docs/types.md say which values a sealed column takes and is compared with."
)


def _wrong(error: CellError, column: str) -> Refusal:
    """What is wrong with a value refuses the statement, with the column named."""
    hint = _SERVER_ONLY if error.sqlstate == "0A000" else ""
    return Refusal(error.sqlstate, f"{error.message} (sealed column {column})", hint)


def _no_key(column: str) -> Refusal:
    return Refusal("0A000", f"there is no key for sealed column {column}", "Run sealgate apply.")


def parameter_type(snapshot: Snapshot, seal: Seal, declared: int) -> int:
    """The type OID that ParameterDescription gives the client for a sealed parameter."""
    if declared not in (0, UNKNOWN_OID):
        return declared
    try:
        given = untyped(snapshot, seal)
    except ValueRefused:
        return BYTEA_OID  # A column that a reload has taken away; Bind says so.
    return given.array_oid if seal.form in ARRAYS else given.oid


def check_parameters(snapshot: Snapshot, plan: StatementPlan, types: Sequence[int]) -> None:
    """Raises ValueRefused for declared parameter types that cannot be, at Parse as the server does."""
    column = ""
    try:
        for number, seal in plan.parameters.items():
            column = seal.column
            given_type(snapshot, seal, types[number - 1] if number <= len(types) else 0)
        return
    except CellError as error:
        refusal = _wrong(error, column)
    raise ValueRefused(refusal)


def check_null_argument(snapshot: Snapshot, seal: Seal) -> None:
    """Raises ValueRefused for a NULL, an argument of EXECUTE, under a cast to what its parameter cannot be."""
    argument = seal.argument
    if argument is None or argument.cast is None:
        return
    try:
        parameter = replace(seal, constant=None, argument=None)
        expected = given_type(snapshot, parameter, argument.declared)
        check_argument(parameter, argument, cast_type(seal.column, argument.cast), expected)
        return
    except CellError as error:
        refusal = _wrong(error, seal.column)
    raise ValueRefused(refusal)
