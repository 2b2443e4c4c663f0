"""What a session remembers between messages. Small on purpose: request and response share it, nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.audit.claims import CLAIM_CAP, Claims
from proxy.audit.claims import SETTINGS as CLAIMS
from proxy.audit.event import Origin
from proxy.cells import CellError, Settings
from proxy.cells.encoding import from_utf8, to_utf8
from proxy.cells.errors import alone
from proxy.copying.from_client import CopyTarget
from proxy.cursors import Cursors
from proxy.detection.guard import Guard
from proxy.detection.restraint import Restraint
from proxy.inflight import Inflight
from proxy.inquiry import SETTINGS, Inquiry
from proxy.picture import read_document
from proxy.snapshot import Authority, OwnCatalog, SnapshotSource
from proxy.sql.plan import Changes, Refusal, StatementPlan
from proxy.sql.stripped import Stripped
from proxy.statements import Names, Portal, Prepared
from proxy.wire.framing import BadMessage

_USER: Final = "$user"
_NOBODY: Final = "\0"
NAME_BYTES: Final = 63
"""NAMEDATALEN - 1"""
IDLE: Final = ord("I")
FAILED: Final = ord("E")

_CLAIM = re.compile(r"\bsealgate\"?\s*\.\s*\"?(?:actor|purpose)\b", re.IGNORECASE)
_RESETS = re.compile(r"\b(?:RESET|DISCARD)\s+ALL\b", re.IGNORECASE)
_PATH_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|\Z)')
_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:\\.|[^\s\\])*)")


@dataclass(slots=True)
class State:
    """One session. `authority` follows `source`; the rest follows what the server reports."""

    source: SnapshotSource
    origin: Origin
    authority: Authority
    settings: Settings = field(default_factory=Settings)
    search_path: tuple[str, ...] | None = None
    """None: the server does not report it (before PostgreSQL 18)."""
    path_as_set: str = ""
    """search_path as the server reports it: `search_path` with "$user" in it."""
    reported: dict[str, str] = field(default_factory=dict)
    """Settings as of the last ReadyForQuery; since then a question of ours may have been answered otherwise."""
    user: str = ""
    """current_user; empty: the login, _NOBODY: not known."""
    conforming_strings: bool = True
    server_encoding: str = "UTF8"
    transaction_status: int = IDLE
    inflight: Inflight = field(default_factory=Inflight)
    prepared: Names[Prepared] = field(default_factory=Names)
    portals: Names[Portal] = field(default_factory=Names)
    cursors: Cursors = field(default_factory=Cursors)
    """SQL's: kept by the response side."""
    executions: int = 0
    unsettled: int = Changes.NOTHING
    """What statements under way may have changed: whatever depends on it is not planned yet (`proxy.holding`)."""
    changed: int = Changes.NOTHING
    """The same since the session was last idle: the end of the transaction may undo it."""
    asked: bool = False
    """A question of ours was answered since the last ReadyForQuery."""
    unasked: bytes = b""
    """Why a question of ours has failed the client's transaction; a hint for it."""
    ended: bool = False
    """A transaction was ended, or partly undone, since nothing was in flight."""
    refreshing: bool = False
    """The shell is taking a new picture of the catalog; what the server said since is not released yet."""
    own_catalog: OwnCatalog | None = None
    """The catalog as the open transaction has changed it."""
    copy_in: CopyTarget | None = None
    """What the client's copy data goes to; None: it is in no COPY FROM, or has ended it."""
    message_limit: int = 256 << 20
    """Of one message of the client's, in bytes; of a row of COPY too."""
    guard: Guard | None = None
    """Judges what is about to be released."""

    def current_authority(self) -> Authority:
        """This principal under the current snapshot; where its transaction has changed the catalog, under its own."""
        snapshot = self.source.current
        if self.own_catalog is not None:
            snapshot = self.own_catalog.under(snapshot)
        if self.authority.snapshot is not snapshot:
            before = self.authority
            self.authority = Authority(snapshot, before.roles, before.restraint)
        return self.authority

    def restrain(self, restraint: Restraint) -> None:
        """What is decided from now on is decided under it; what was decided before is forgotten."""
        before = self.authority
        self.authority = Authority(before.snapshot, before.roles, restraint)

    # What may have changed.

    def sent(self, plans: tuple[StatementPlan, ...], stripped: Stripped) -> None:
        """Statements of a message are on their way to the server."""
        for plan in plans:
            if plan.changes:
                changes = plan.changes
                if changes & Changes.SETTINGS and self._changes_claims(stripped):
                    changes |= Changes.CLAIMS
                    # In one message nothing can be asked for in between: rather none than those of somebody else.
                    if len(plans) > 1 and self.origin.claimed:
                        self.origin = replace(self.origin, claimed=())
                if changes & Changes.TRANSACTION:
                    self.ended = True
                    changes = (changes | self.changed) & ~Changes.TRANSACTION
                self.unsettled |= changes
                self.changed |= changes

    def _changes_claims(self, stripped: Stripped) -> bool:
        """RESET ALL and its like come with every connection of a pool: they matter where there is something to reset."""
        text = stripped.text
        if _CLAIM.search(text) or any(map(_CLAIM.search, stripped.literals)):
            return True
        there = self.origin.claimed or (self.unsettled | self.changed) & Changes.CLAIMS
        return bool(there) and _RESETS.search(text) is not None

    def synced(self) -> None:
        """A Sync, or a Query, is on its way: it ends a transaction that no BEGIN has begun, and what an error in that has
        undone is what it was before.
        """
        if self.changed and (self.transaction_status == IDLE or self.ended):
            self.unsettled |= self.changed

    def undecided(self, changes: int) -> int:
        """What of `changes` is not known yet."""
        open_ = self.unsettled & changes & ~Changes.ROLE
        if self.unsettled & Changes.ROLE and self._depends_on_role(changes):
            open_ |= Changes.ROLE
        return open_

    def _depends_on_role(self, changes: int) -> bool:
        """Who the current user is decides where names are looked up: "$user" in search_path."""
        if not changes & (Changes.SETTINGS | Changes.ROLE):
            return False
        if not self.current_authority().snapshot.catalog.namesakes:
            return False
        return bool(changes & Changes.ROLE) or _USER in self.path_as_set

    def told(self, inquiry: Inquiry) -> None:
        """The server has answered a question of ours. Raises BadMessage for an answer that is none."""
        settings = inquiry.settings()
        self.asked = True
        self.user = settings.pop("current_user")
        for name, value in settings.items():
            self._take(name, value)
        if inquiry.document is not None:
            declared = self.source.current.catalog.sealed
            try:
                self.own_catalog = OwnCatalog(read_document(inquiry.document, declared))
            except (ValueError, KeyError, TypeError):
                raise alone(BadMessage("the catalog was not told as it was asked for")) from None
        if inquiry.claims:
            self.origin = replace(self.origin, claimed=inquiry.claimed())
            self.unsettled = Changes.NOTHING
        else:
            self.unsettled &= Changes.CLAIMS

    def idle(self) -> bool:
        """ReadyForQuery outside a transaction, nothing in flight. True: the catalog may have changed for everybody."""
        changed = bool(self.changed & Changes.CATALOG)
        self.changed = Changes.NOTHING
        self.own_catalog = None
        self.settle(~(Changes.ROLE | Changes.CLAIMS))  # The server reports everything else.
        if changed:
            self.unsettled |= Changes.CATALOG
        return changed

    def settle(self, changes: int) -> None:
        """These are known again."""
        self.unsettled &= ~changes

    def not_told(self) -> None:
        """A question of ours has failed, and the next one would. What only it could tell is not known."""
        if self.unsettled & Changes.ROLE:
            self.settle(Changes.ROLE)
            self.user = _NOBODY
            self._look_up_path()
        self.settle(Changes.CLAIMS)

    def _look_up_path(self) -> None:
        if not self.path_as_set:
            return
        uncertain = self.user == _NOBODY and _USER in self.path_as_set
        login = self.user or self.origin.login
        self.search_path = None if uncertain else read_search_path(self.path_as_set, login)

    def next_execution(self) -> str:
        self.executions += 1
        return self.origin.session + "-" + str(self.executions)

    def name(self, raw: bytes) -> bytes:
        """A name in a message: in UTF-8, cut to what the server keeps of it. Unlike SQL's names, which are cut between
        characters (truncate_identifier), it is cut wherever NAMEDATALEN falls: the key of a hash table.
        """
        if not raw:
            return raw
        name = raw if raw.isascii() else self.read_sql(raw).sql.encode()
        return name if len(name) <= NAME_BYTES else name[:NAME_BYTES]

    def read_sql(self, raw: bytes) -> SqlText:
        """A statement's text out of client_encoding."""
        encoding = self.settings.encoding
        if encoding == "SQL_ASCII":
            encoding = self.server_encoding
        return read_sql(raw, encoding)

    def as_reported(self) -> None:
        """ReadyForQuery: what the server has not reported is as it was, also where we were told otherwise meanwhile: it
        was undone. Before PostgreSQL 18 search_path is not reported, and again not known.
        """
        if not self.asked:
            return
        self.asked = False
        for name in SETTINGS:
            if name in self.reported:
                self._take(name, self.reported[name])
            elif name == "search_path":
                self.path_as_set, self.search_path = "", None

    def parameter_status(self, name: str, value: str) -> None:
        """The server reports a setting (ParameterStatus)."""
        self.reported[name] = value
        self._take(name, value)

    def _take(self, name: str, value: str) -> None:
        if name == "client_encoding":
            self.settings = replace(self.settings, encoding=value)
        elif name == "DateStyle":
            self.settings = replace(self.settings, date_style=value)
        elif name == "TimeZone":
            self.settings = replace(self.settings, time_zone=value)
        elif name == "standard_conforming_strings":
            self.conforming_strings = value == "on"
        elif name == "search_path":
            self.path_as_set = value
            self._look_up_path()
        elif name == "server_encoding":
            self.server_encoding = value
        elif name == "application_name":
            self.origin = replace(self.origin, application_name=value)


class SqlText:
    """A statement's text, and whether its bytes were certain to mean it."""

    __slots__ = ("encoding", "refusal", "sql")

    def __init__(self, sql: str, encoding: str, refusal: Refusal | None = None) -> None:
        self.sql = sql
        self.encoding = encoding
        self.refusal = refusal
        """Why a statement in this text may not touch a sealed column: its bytes are not of the encoding, say."""

    def encode(self, sql: str) -> bytes:
        convert = from_utf8(self.encoding)
        return convert(sql.encode()) if convert is not None else sql.encode()


def read_sql(raw: bytes, encoding: str) -> SqlText:
    """Text that cannot be decoded, or not encoded again, is read as LATIN1: enough to see that it names nothing of ours, in which
    case the server has the last word on it.
    """
    if encoding == "UTF8" and raw.isascii():
        return SqlText(raw.decode("ascii"), encoding)
    try:
        convert = to_utf8(encoding)
        return SqlText(raw.decode("ascii") if raw.isascii() else convert(raw).decode(), encoding)
    except CellError as error:
        hint = "Send the statement in a client_encoding that both sides know, UTF8 for instance."
        return SqlText(
            raw.decode("latin-1"), "LATIN1", Refusal(error.sqlstate, error.message, hint)
        )


def read_search_path(value: str, login: str) -> tuple[str, ...]:
    """The value of search_path as schema names, `"$user"` replaced."""
    names = []
    for quoted, bare in _PATH_ITEM.findall(value):
        name = quoted.replace('""', '"') if quoted else bare
        names.append(login if name == _USER else name)
    return tuple(names)


def startup_settings(parameters: Mapping[str, str]) -> Settings:
    """Settings that shape values and that the server does not report: only the startup packet tells them."""
    given = _given(parameters)
    settings = Settings()
    if given.get("bytea_output", "").lower() == "escape":
        settings = replace(settings, bytea_output="escape")
    try:
        return replace(settings, extra_float_digits=int(given.get("extra_float_digits", "1")))
    except ValueError:
        return settings


def startup_claims(parameters: Mapping[str, str]) -> Claims:
    """Who asks and why, as the startup packet says."""
    given = _given(parameters)
    return tuple((n.partition(".")[2], given[n][:CLAIM_CAP]) for n in CLAIMS if given.get(n))


def _given(parameters: Mapping[str, str]) -> dict[str, str]:
    """The settings in a startup packet, those among its options too."""
    given = {
        name.replace("-", "_").lower(): value.replace("\\", "")
        for name, value in _OPTION.findall(parameters.get("options", ""))
    }
    return given | {name.lower(): value for name, value in parameters.items()}
