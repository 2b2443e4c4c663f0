"""Events of the log as plain values. Whoever has written them, it need not have been us: a member that is missing or of
another type reads as nothing, numbers are bounded, and texts are cleaned again, so that nothing in a report is longer
or looks other than it should.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxy.audit.ocsf import Event
from proxy.audit.text import LABEL_CAP, NAME_CAP, REASON_CAP, clean

LARGEST: Final = 1 << 53
COLUMNS_READ: Final = 1024
SHOWN: Final = frozenset({"clear", "masked"})
OUTCOMES: Final = ("clear", "masked", "withheld", "written", "compared")


@dataclass(frozen=True, slots=True)
class Touch:
    """What a statement did with the cells of one column."""

    column: str
    outcome: str
    cells: int
    rule: str
    versions: tuple[int, ...]
    """Of the column's data key, that opened cells."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What reports read of an event. Texts that it does not have are empty."""

    code: str
    time: int
    sequence: int
    chain: str
    login: str
    roles: tuple[str, ...]
    session: str
    application: str
    address: str
    ok: bool
    severity: int
    message: str
    detail: str
    sealgate: dict[str, Any]
    raw: Event

    @property
    def is_statement(self) -> bool:
        return self.code.startswith("statement.")

    @property
    def touches(self) -> tuple[Touch, ...]:
        """Of a statement that was executed."""
        if self.code == "statement.refused":
            return ()
        found = [_touch(entry) for entry in listed(self.sealgate.get("columns"))[:COLUMNS_READ]]
        return tuple(touch for touch in found if touch is not None)

    @property
    def rows(self) -> int:
        return number(self.sealgate.get("rows"))

    @property
    def actor(self) -> str:
        """The person behind a shared login, as the client claims."""
        return self.claim("actor")

    @property
    def operator(self) -> str:
        """Who ran the command, or the process, that the event speaks of; "" where it does not say."""
        return spoken_operator(mapping(self.sealgate.get("operator")))

    def claim(self, name: str) -> str:
        return text(mapping(self.sealgate.get("claimed")).get(name))

    def field(self, name: str, cap: int = REASON_CAP) -> str:
        return text(self.sealgate.get(name), cap)

    def count(self, name: str) -> int:
        return number(self.sealgate.get(name))


def seen(event: Event) -> Seen:
    """Never raises."""
    metadata = mapping(event.get("metadata"))
    sealgate = mapping(mapping(event.get("unmapped")).get("sealgate"))
    actor = mapping(event.get("actor"))
    endpoint = mapping(event.get("src_endpoint"))
    if not actor and (evidences := listed(event.get("evidences"))):
        evidence = mapping(evidences[0])
        actor, endpoint = mapping(evidence.get("actor")), mapping(evidence.get("src_endpoint"))
    user = mapping(actor.get("user")) or mapping(event.get("user"))
    session = mapping(actor.get("session")) or mapping(event.get("session"))
    groups = [text(mapping(group).get("name")) for group in listed(user.get("groups"))[:64]]
    return Seen(
        code=text(metadata.get("event_code")),
        time=number(event.get("time")),
        sequence=number(metadata.get("sequence")),
        chain=text(mapping(sealgate.get("integrity")).get("chain")),
        login=text(user.get("name")),
        roles=tuple(group for group in groups if group),
        session=text(session.get("uid")) or text(sealgate.get("session")),
        application=text(actor.get("app_name")),
        address=text(endpoint.get("ip")) or text(endpoint.get("name")),
        ok=event.get("status_id") != 2,
        severity=number(event.get("severity_id")),
        message=text(event.get("message"), REASON_CAP),
        detail=text(event.get("status_detail"), REASON_CAP),
        sealgate=sealgate,
        raw=event,
    )


def finding_uid(one: Seen) -> str:
    """Of a finding, or of what was done because of it; "" for other events."""
    return text(mapping(one.raw.get("finding_info")).get("uid")) or one.field("finding")


def spoken_operator(operator: dict[str, Any]) -> str:
    """`ada (uid 1000)`, `root (uid 0), by sudo from ada`; "" for none."""
    name, uid = text(operator.get("name")), operator.get("uid")
    if not name and type(uid) is not int:
        return ""
    said = f"{name} (uid {uid})".lstrip() if type(uid) is int else name
    behind = text(operator.get("sudo_user"))
    return f"{said}, by sudo from {behind}" if behind else said


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: object, cap: int = NAME_CAP) -> str:
    """One clean line, or "". What was cleaned when it was written stays as it is."""
    if not isinstance(value, str):
        return ""
    # cleaning twice would spell the escapes of the first time out
    return value[: cap + 16] if value.isprintable() else clean(value, cap)


def number(value: object) -> int:
    """A count, 0 for what is none."""
    return value if type(value) is int and 0 <= value <= LARGEST else 0


def _touch(entry: object) -> Touch | None:
    fields = mapping(entry)
    column, outcome = text(fields.get("name"), LABEL_CAP), text(fields.get("outcome"))
    if not column or outcome not in OUTCOMES:
        return None
    versions = sorted({number(version) for version in listed(fields.get("key_versions"))[:64]})
    return Touch(
        column,
        outcome,
        number(fields.get("cells")),
        text(fields.get("rule"), LABEL_CAP),
        tuple(versions),
    )
