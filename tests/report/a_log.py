"""A shop's access log, made by the real builders and the real writer, with a clock of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from proxy.audit.claims import claimed_json
from proxy.audit.containment import containment_begun, containment_ended
from proxy.audit.entry import Entry, encode
from proxy.audit.event import (
    Attempt,
    ConfigurationLoad,
    Event,
    KeysLoad,
    Line,
    Origin,
    Outcome,
    Part,
    PolicyLoad,
    Refused,
    Spoken,
    Started,
    Template,
    authentication,
    configuration_loaded,
    keys_loaded,
    policy_loaded,
    refused,
    session_closed,
    session_opened,
    started,
)
from proxy.audit.finding import detected
from proxy.audit.log import AuditLog
from proxy.detection.finding import Finding
from proxy.detection.restraint import Containment

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_794_787_200_000
"""Monday 16 November 2026, 00:00 UTC."""
TABLE = "public.customers"
EMAIL, SSN, BIRTH = f"{TABLE}.email", f"{TABLE}.ssn", f"{TABLE}.birth_date"
OPERATOR = {"name": "root", "uid": 0, "sudo_user": "ada"}

CONFIGURATION = """\
[control]
dsn = "postgresql://sealgate:s3cret-in-dsn@127.0.0.1:5432/shop"

[columns."public.customers.email"]
type = "text"
search = ["equality"]
mask = "email"

[columns."public.customers.ssn"]
type = "text"
mask = "keep_last:4"

[columns."public.customers.birth_date"]
type = "date"
mask = "year"

[roles.shop_app]
# the application
clear = ["public.customers.*"]
write = ["public.customers.*"]

[roles.support]
clear = ["public.customers.email"]
masked = ["public.customers.ssn", "public.customers.birth_date"]
"""


@dataclass
class Clock:
    now: int = MONDAY

    def __call__(self) -> int:
        return self.now


def origin(
    login: str,
    session: str,
    *,
    roles: tuple[str, ...] = (),
    host: str = "10.1.4.7",
    application: str = "helpdesk",
) -> Origin:
    return Origin(login, (login, *roles), host, 51122, application, session, "shop", tls=True)


@dataclass
class ALog:
    """`at` says when, the rest what happens then."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    log: AuditLog = field(init=False)
    executions: int = 0

    def __post_init__(self) -> None:
        self.log = AuditLog(self.path, clock=self.clock)

    def at(self, time: int) -> ALog:
        self.clock.now = time
        return self

    def put(self, *events: Event | Entry) -> None:
        self.log.write_entries([e if isinstance(e, Entry) else encode(e) for e in events])

    def close(self) -> None:
        self.log.checkpoint()
        self.log.close()

    def start(
        self, policy: str = "9a4c1f0e22b7d381", summary: dict[str, Any] | None = None
    ) -> None:
        load = ConfigurationLoad("sealgate.toml", "5be1a0", "", owner="ada", modified=MONDAY)
        start = Started("127.0.0.1", 6432, 4711, "shop", policy, "c07dbe41", "deny", (4711,))
        self.put(
            configuration_loaded(replace(load, operator=OPERATOR)),
            policy_loaded(PolicyLoad(policy, "", 3, 2, summary=summary or {})),
            keys_loaded(KeysLoad("c07dbe41", "", 3, 3)),
            started(start),
        )

    def opens(self, who: Origin) -> None:
        self.put(authentication(who, True, None, "scram-sha-256"), session_opened(who))

    def fails(self, who: Origin) -> None:
        self.put(authentication(who, False, "28P01", "scram-sha-256"))

    def closes(self, who: Origin) -> None:
        self.put(session_closed(who, "the client said goodbye"))

    def does(
        self,
        who: Origin,
        uses: Sequence[tuple[str, str, str, Sequence[bytes]]],
        *,
        rows: int = 1,
        table: str = TABLE,
        statement: str = "SELECT email FROM customers WHERE id = $1",
        comment: str = "",
        version: int = 1,
    ) -> None:
        """`uses`: (column, outcome, rule, ids of the cells)."""
        self.executions += 1
        lines = [Line(column, cast(Outcome, outcome), rule) for column, outcome, rule, _ in uses]
        inline = sum(len(ids) for *_, ids in uses) <= 256
        columns = [
            line.entry(
                len(ids),
                ids,
                (version,) if line.outcome in ("clear", "masked") else (),
                inline=inline,
            )
            for line, (*_, ids) in zip(lines, uses, strict=True)
        ]
        spoken = Spoken(statement, "SELECT", "extended", "9a4c1f0e22b7d381")
        part = Part(
            f"{who.session}-{self.executions}",
            1,
            rows,
            None,
            final=True,
            claimed=claimed_json((), comment),
        )
        beside = b"" if inline else b"".join(one for *_, ids in uses for one in ids)
        cells = sum(len(ids) for *_, ids in uses)
        self.put(Template(table, lines, spoken).entry(who, part, columns, cells, beside))

    def refuses(self, who: Origin, column: str = SSN) -> None:
        self.put(
            refused(
                who,
                Refused(
                    TABLE,
                    (Attempt(column, "compare", "default.deny", denied=True),),
                    "SELECT email FROM customers WHERE ssn = \x00s",
                    "SELECT",
                    f"{who.session}-r",
                    "simple",
                    "42501",
                    f"permission denied for column {column}",
                    "9a4c1f0e22b7d381",
                ),
            )
        )

    def finds(self, who: Origin, uid: str, detector: str = "budget_cells") -> Finding:
        finding = Finding(
            detector,
            "More cells than the budget",
            who.login,
            "quarantine",
            "quarantined",
            "high",
            session=who.session,
            client=who.client_host,
            uid=uid,
        )
        self.put(detected(finding))
        return finding

    def contains(self, who: Origin, uid: str, *, release: bool = False) -> None:
        now = self.clock.now
        it = Containment(who.login, None, "quarantine", now, now + HOUR, "budget_cells", uid)
        if release:
            self.put(containment_ended(it, "released", "it was a test", OPERATOR))
        else:
            self.put(containment_begun(it))


def cell(number: int) -> bytes:
    return number.to_bytes(8, "big")


def a_day(
    path: Path,
    seed: int,
    statements: int = 120,
    begins: Callable[[ALog], None] = lambda log: log.start(),
) -> ALog:
    """A day of the shop: its application, two people of support, failures, refusals, a stolen login that is contained."""
    rng = random.Random(seed)
    log = ALog(path)
    begins(log.at(MONDAY + 8 * HOUR))
    app = origin("shop_app", "s-app", host="10.0.0.2", application="shop")
    people = [
        origin("bo", "s-bo", roles=("support",), host="10.1.4.8"),
        origin("cy", "s-cy", roles=("support",), host="10.1.4.9"),
    ]
    for who in (app, *people):
        log.at(MONDAY + 9 * HOUR).opens(who)
    times = sorted(rng.randrange(9 * HOUR, 18 * HOUR) for _ in range(statements))
    for time in times:
        log.at(MONDAY + time)
        ids = [cell(rng.randrange(500)) for _ in range(rng.randrange(1, 6))]
        if rng.random() < 0.6:
            rule = "roles.shop_app.clear"
            log.does(app, [(EMAIL, "clear", rule, ids), (SSN, "clear", rule, ids)], rows=len(ids))
            continue
        who = rng.choice(people)
        if rng.random() < 0.1:
            log.refuses(who)
            continue
        log.does(
            who,
            [
                (EMAIL, "clear", "roles.support.clear", ids),
                (SSN, "masked", "roles.support.masked", [cell(1000 + i) for i in range(len(ids))]),
                (BIRTH, "compared", "roles.support.clear", []),
            ],
            rows=len(ids),
            comment=f"/*actor='u{rng.randrange(3)}',ticket='88{rng.randrange(9)}'*/",
        )
    thief = origin("bo", "s-thief", roles=("support",), host="203.0.113.9", application="psql")
    log.at(MONDAY + 19 * HOUR)
    for _ in range(3):
        log.fails(thief)
    log.opens(thief)
    for step in range(4):
        log.at(MONDAY + 19 * HOUR + step * MINUTE)
        ids = [cell(100 * step + i) for i in range(300)]
        log.does(thief, [(EMAIL, "clear", "roles.support.clear", ids)], rows=300)
    log.at(MONDAY + 19 * HOUR + 5 * MINUTE)
    log.finds(thief, "f" * 32)
    log.contains(thief, "f" * 32)
    log.closes(thief)
    log.at(MONDAY + 20 * HOUR).contains(thief, "f" * 32, release=True)
    return log
