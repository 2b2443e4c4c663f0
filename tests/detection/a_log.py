"""Events as the access log has them, without a file: the real builders' and what the log adds."""

from __future__ import annotations

from dataclasses import replace

import orjson

from proxy.audit.event import Attempt, Event, Origin, Refused, authentication, refused
from proxy.audit.lifecycle import stopped
from proxy.audit.ocsf import APPLICATION_LIFECYCLE, base, with_product
from tests.audit.examples import READ, executed
from tests.audit.plain import ColumnUse

NOON = 1_795_348_800_000
"""Monday 23 November 2026, 12:00 UTC."""
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
CHAIN = "5ea1" * 8
ADA = Origin(
    login="ada",
    roles=("ada", "support"),
    client_host="10.1.4.7",
    client_port=51122,
    application_name="helpdesk",
    session="ses-ada",
    database="shop",
    tls=True,
)


class ALog:
    """Numbers events and gives them a time; `events` is what a reader of the log gets."""

    def __init__(self, chain: str = CHAIN) -> None:
        self.chain = chain
        self.sequence = 0

    def put(self, event: Event, ms: int) -> Event:
        """The event as a reader gets it. The event given is not changed."""
        self.sequence += 1
        read: Event = orjson.loads(orjson.dumps(event))
        read["time"] = ms
        read["metadata"]["sequence"] = self.sequence
        read["metadata"]["uid"] = f"{self.sequence:026}"
        read["unmapped"]["sealgate"]["integrity"] = {"chain": self.chain}
        return read


def login(origin: Origin = ADA, *, ok: bool = True, sqlstate: str | None = None) -> Event:
    """A login that succeeded, or failed for its password."""
    return authentication(origin, ok, sqlstate or (None if ok else "28P01"), "scram-sha-256")


def read(
    origin: Origin = ADA,
    *,
    rows: int = 1,
    ids: list[bytes] | None = None,
    statement: str = "SELECT email FROM customers WHERE id = $1",
    command: str = "SELECT",
    execution: str = "ses-ada-1",
    part: int = 1,
    final: bool = True,
    cells: int | None = None,
    table: str = "public.customers",
) -> Event:
    """`rows` rows of a sealed column, shown clear."""
    ids = [] if ids is None else ids
    cells = (len(ids) or rows) if cells is None else cells
    email = f"{table}.email"
    use = ColumnUse(email, "clear", cells, "roles.support.clear", (1,), cell_ids=tuple(ids))
    done = replace(
        READ,
        table=table,
        columns=(use,),
        statement=statement,
        command=command,
        rows=rows,
        execution=execution,
        part=part,
        final=final,
    )
    return executed(origin, done)


def refusal(origin: Origin = ADA, columns: tuple[str, ...] = ("public.customers.ssn",)) -> Event:
    """A statement that Sealgate refused for these columns."""
    attempts = tuple(Attempt(column, "compare", "default.deny", denied=True) for column in columns)
    statement = "SELECT 1 FROM customers WHERE ssn = \x00s"
    reason = "permission denied"
    return refused(
        origin,
        Refused(
            "public.customers", attempts, statement, "SELECT", "x-1", "simple", "42501", reason, "1"
        ),
    )


def checkpoint() -> Event:
    """As much of one as a detector looks at."""
    event = base("log.checkpoint", APPLICATION_LIFECYCLE, 99, "checkpoint")
    return with_product(event, {"checkpoint": {"size": 1}})


def stop() -> Event:
    return stopped("SIGTERM", pid=1)
