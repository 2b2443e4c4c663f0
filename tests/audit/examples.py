"""One event of every kind, as the demo's shop would cause it. `docs/events.md` shows them."""

from __future__ import annotations

from dataclasses import replace

from proxy.audit.claims import claimed_json
from proxy.audit.containment import containment_begun, containment_ended, honey_changed
from proxy.audit.delivery import (
    auditor_lost,
    auditor_started,
    sink_failed,
    sink_incomplete,
    sink_recovered,
    sink_rejected,
)
from proxy.audit.event import (
    Attempt,
    ConfigurationLoad,
    Entry,
    Event,
    KeysLoad,
    Line,
    Origin,
    Part,
    PolicyLoad,
    Query,
    Refused,
    Spoken,
    Started,
    Tampered,
    Template,
    authentication,
    configuration_loaded,
    keys_added,
    keys_created,
    keys_loaded,
    policy_loaded,
    protocol_violation,
    queried,
    refused,
    schema_applied,
    session_closed,
    session_opened,
    started,
    stopped,
    tampered,
)
from proxy.audit.finding import detected
from proxy.audit.lifecycle import (
    Checkpoint,
    Unclean,
    WorkerLost,
    log_begun,
    log_checkpoint,
    log_repaired,
    log_resumed,
    log_rotated,
    log_unclean,
    worker_lost,
    worker_started,
)
from proxy.detection.finding import Finding
from proxy.detection.restraint import Containment
from tests.audit.plain import ColumnUse, Executed

SUPPORT = Origin(
    login="support",
    roles=("support", "staff"),
    client_host="10.1.4.7",
    client_port=51122,
    application_name="helpdesk",
    session="ses-4f1c22",
    database="shop",
    tls=True,
)
SHOP = replace(SUPPORT, login="shop_app", roles=("shop_app",), application_name="shop")


def _ids(first: int, end: int) -> tuple[bytes, ...]:
    return tuple((0x1DC0FFEE00000000 + n).to_bytes(8, "big") for n in range(first, end))


READ = Executed(
    table="public.customers",
    columns=(
        ColumnUse(
            "public.customers.email", "clear", 3, "roles.support.clear", (1,), cell_ids=_ids(0, 3)
        ),
        ColumnUse(
            "public.customers.ssn", "masked", 3, "roles.support.masked", (1,), cell_ids=_ids(3, 6)
        ),
    ),
    statement="SELECT email, ssn FROM customers WHERE city = \x00s /* desk 4 */ LIMIT $1",
    command="SELECT",
    rows=3,
    execution="ses-4f1c22-8",
    part=1,
    final=True,
    protocol="extended",
    sqlstate=None,
    policy_version="9a4c1f0e22b7d381",
    claimed=(("actor", "u42"), ("ticket", "8812")),
)
WRITE = replace(
    READ,
    claimed=(),
    columns=(
        ColumnUse(
            "public.customers.email", "written", 1, "roles.shop_app.write", cell_ids=_ids(9, 10)
        ),
        ColumnUse(
            "public.customers.ssn", "written", 1, "roles.shop_app.write", cell_ids=_ids(10, 11)
        ),
    ),
    statement="INSERT INTO customers (name, email, ssn) VALUES (\x00s, \x00s, \x00s)",
    command="INSERT",
    rows=1,
    execution="ses-4f1c22-9",
    protocol="simple",
)
FAILED = replace(
    WRITE,
    rows=0,
    columns=tuple(replace(use, cells=0, cell_ids=()) for use in WRITE.columns),
    sqlstate="23505",
)
COPIED_WITHIN = replace(
    WRITE,
    columns=(
        ColumnUse("public.customers.email", "written", 2, "roles.shop_app.write", complete=False),
    ),
    statement="INSERT INTO customers (name, email) SELECT name, email FROM customers WHERE id < $1",
    rows=2,
    execution="ses-4f1c22-13",
)
MANY = replace(
    READ,
    columns=(
        ColumnUse(
            "public.customers.email",
            "clear",
            1000,
            "roles.support.clear",
            (1,),
            cell_ids=_ids(0, 1000),
        ),
    ),
    statement="SELECT email FROM customers",
    rows=1000,
    execution="ses-4f1c22-14",
)
COMPARE = replace(
    READ,
    claimed=(),
    columns=(ColumnUse("public.customers.email", "compared", 0, "roles.shop_app.clear"),),
    statement="SELECT id FROM customers WHERE email = $1",
    rows=1,
    execution="ses-4f1c22-10",
)
UNTYPED = replace(
    READ,
    columns=(
        ColumnUse(
            "public.customers.email", "clear", 1, "roles.support.clear", (1,), "bytea", _ids(0, 1)
        ),
    ),
    statement="SELECT raw_mail_of($1)",
    rows=1,
    execution="ses-4f1c22-12",
)
REFUSED = Refused(
    table="public.customers",
    attempts=(
        Attempt("public.customers.ssn", "compare", "default.deny", denied=True),
        Attempt("public.customers.email", "read", "roles.support.clear", denied=False),
    ),
    statement="SELECT email FROM customers WHERE ssn = \x00s",
    command="SELECT",
    execution="ses-4f1c22-11",
    protocol="simple",
    sqlstate="42501",
    reason="permission denied for column public.customers.ssn: role support may not compare it",
    policy_version="9a4c1f0e22b7d381",
)
UNREADABLE = replace(
    REFUSED,
    table=None,
    attempts=(),
    statement=None,
    command="OTHER",
    sqlstate="0A000",
    reason="statement is nested too deeply",
)
COPIED = Tampered(
    table="public.customers",
    column="public.customers.notes",
    key_column="public.customers.ssn",
    key_id=7,
    cell_id=b"\x1d\xc0\xff\xee\x00\x00\x00\x05",
    execution="ses-4f1c22-12",
    statement="SELECT notes FROM customers",
)
DAMAGED = replace(COPIED, column="public.customers.ssn", key_id=None, cell_id=None, key_column=None)
SUMMARY = {
    "columns": [
        {
            "name": "public.customers.email",
            "type": "text",
            "search": ["equality"],
            "mask": "email",
            "search_group": "people",
        },
        {
            "name": "public.customers.ssn",
            "type": "text",
            "mask": "keep_last:4",
            "audit": "durable",
        },
    ],
    "denied_value": "null",
    "roles": [
        {
            "name": "shop_app",
            "clear": ["public.customers.*"],
            "write": ["public.customers.*"],
        },
        {
            "name": "support",
            "masked": ["public.customers.ssn"],
            "search": ["public.customers.email"],
        },
    ],
}
POLICY = PolicyLoad("9a4c1f0e22b7d381", "", columns=2, roles=2, summary=SUMMARY)
LARGE = PolicyLoad(
    "77d0aa19c3e4b652",
    "9a4c1f0e22b7d381",
    columns=2,
    roles=30_000,
    summary={"roles": [{"name": f"role_{n}"} for n in range(30_000)]},
)
ADA = {"name": "root", "uid": 0, "sudo_user": "ada"}
KEYS = KeysLoad("c07dbe41", "", columns=3, keys=4)
CONFIGURATION = ConfigurationLoad(
    "sealgate.toml", "5be1a0", "1b77f2", owner="ada", modified=1795364900000
)
START = Started(
    "127.0.0.1", 6432, 4711, "shop", "9a4c1f0e22b7d381", "c07dbe41", "deny", (4712, 4713)
)


def executed(origin: Origin, done: Executed) -> Event:
    """The event, as the proxy makes it."""
    return entry_of(origin, done).event


def entry_of(origin: Origin, done: Executed) -> Entry:
    """The same, as the log gets it."""
    lines = [Line(use.column, use.outcome, use.rule) for use in done.columns]
    spoken = Spoken(done.statement, done.command, done.protocol, done.policy_version)
    entries = [
        line.entry(
            use.cells,
            use.cell_ids,
            use.key_versions,
            inline=not done.beside,
            complete=use.complete,
            untyped=use.shown_as == "bytea",
        )
        for line, use in zip(lines, done.columns, strict=True)
    ]
    return Template(done.table, lines, spoken).entry(
        origin,
        Part(
            done.execution,
            done.part,
            done.rows,
            done.sqlstate,
            final=done.final,
            claimed=claimed_json(done.claimed, ""),
        ),
        entries,
        sum(use.cells for use in done.columns),
        done.beside,
    )


SPENT = Finding(
    "budget_cells",
    "Budget of cells is spent",
    "support",
    "mask",
    "masked",
    "high",
    session="ses-4f1c22",
    client="10.1.4.7",
    numbers={"shown": 10_212, "limit": 10_000, "seconds": 300},
    first=1795364624120,
    last=1795364924120,
    uid="5d2c1f0e9a4b7d3811aa22bb33cc44dd",
)
SILENT = Finding("silence", "No checkpoint", "", "observe", "observed", "medium")
CONTAINED = Containment(
    "support", None, "mask", 1795364924120, 1795368524120, SPENT.title, SPENT.uid
)

CHECKPOINT = Checkpoint(
    size=81236,
    head="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    seal="60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    key="1f825aa2f0020ef7",
    signature="cXVpdGUgYSBsb25nIHNpZ25hdHVyZSBvZiBzaXh0eS1mb3VyIGJ5dGVzLCBpbiBiYXNlIDY0IGl0IGlzIGxvbmdlcg==",
)


def examples() -> dict[str, Event]:
    """Title -> event, in the order of a day."""
    return {
        "Keystore created": keys_created("keystore.json", ["public.customers.email"], ADA),
        "Keys added": keys_added("keystore.json", ["public.customers.ssn"], ADA),
        "Database brought in line": schema_applied(
            "shop", ["schema sealgate", "seal public.customers.email"], 0, ADA
        ),
        "Configuration at start": configuration_loaded(
            replace(CONFIGURATION, previous="", operator=ADA)
        ),
        "Policy in force": policy_loaded(POLICY),
        "Large policy in force": policy_loaded(LARGE),
        "Policy refused": policy_loaded(
            replace(
                POLICY, previous="9a4c1f0e22b7d381", problem="roles.support.masked: no such column"
            )
        ),
        "Keys in force": keys_loaded(KEYS),
        "Keys refused": keys_loaded(replace(KEYS, problem="keystore.json: wrong root key")),
        "Proxy started": started(START),
        "Login succeeded": authentication(SUPPORT, True, None, "scram-sha-256"),
        "Login failed": authentication(SUPPORT, False, "28P01", "scram-sha-256"),
        "Session opened": session_opened(SUPPORT),
        "Session passed through": session_opened(SUPPORT, "replication"),
        "Sealed columns read": executed(SUPPORT, READ),
        "Read through a function that returns bytea": executed(SUPPORT, UNTYPED),
        "Sealed columns read, many rows": executed(SUPPORT, MANY),
        "Sealed columns written": executed(SHOP, WRITE),
        "Sealed values copied within the database": executed(SHOP, COPIED_WITHIN),
        "Sealed columns compared": executed(SHOP, COMPARE),
        "Statement failed by the server": executed(SHOP, FAILED),
        "Statement refused": refused(SUPPORT, REFUSED),
        "Statement not understood": refused(SUPPORT, UNREADABLE),
        "Stored value copied": tampered(SUPPORT, COPIED),
        "Stored value damaged": tampered(SUPPORT, DAMAGED),
        "Protocol violated": protocol_violation(
            SUPPORT, "message of type 'B' is longer than its body"
        ),
        "Session closed": session_closed(SUPPORT, "the client said goodbye", duration=4100),
        "Configuration reloaded": configuration_loaded(CONFIGURATION),
        "Log begun": log_begun(log_existed=False),
        "Log checkpoint": log_checkpoint(CHECKPOINT),
        "Log rotated": log_rotated("audit.jsonl.20261123T111000Z-81236"),
        "Log unclean": log_unclean(
            Unclean(100, 97, 3, "the file is shorter than what was written")
        ),
        "Log repaired": log_repaired(offset=8812, size=411),
        "Log resumed": log_resumed(lost=12, since=1795364924120, reason="No space left on device"),
        "Worker lost": worker_lost(WorkerLost(1, 4713, "it was killed by SIGKILL", sessions=12)),
        "Worker started again": worker_started(1, 4719),
        "Auditor started": auditor_started(4720, ("siem", "relay")),
        "Auditor lost": auditor_lost(4720, "it was killed by signal 9"),
        "Sink failed": sink_failed("siem", "it answered 503", 41),
        "Sink recovered": sink_recovered("siem", 95, 4),
        "Sink rejected events": sink_rejected(
            "siem", 1, "it answered 400", ("01KAPZ8RCR4X2V9QWM0000001T",)
        ),
        "Sink incomplete": sink_incomplete("siem", 250, 1),
        "Honey added": honey_changed("added", "decoy-1", "public.customers", ADA),
        "Budget spent": detected(SPENT),
        "Honey touched": detected(
            replace(
                SPENT,
                detector="honey",
                title="Honey was touched",
                numbers={},
                table="public.customers",
                action="exempt",
                mode="alert",
            )
        ),
        "Log silent": detected(SILENT),
        "Login contained": containment_begun(CONTAINED),
        "Session contained": containment_begun(
            replace(CONTAINED, session="ses-4f1c22", mode="kill")
        ),
        "Containment over": containment_ended(CONTAINED, "expired", "its time is over"),
        "Containment released": containment_ended(CONTAINED, "released", "ticket 8812", ADA),
        "Honey removed": honey_changed("removed", "decoy-1", "public.customers", ADA),
        "Log queried": queried(
            Query(
                "audit affected", {"login": "support", "from": "2026-11-23T00:00:00Z"}, 0, 41, 260
            ),
            {"name": "dba", "uid": 1001, "sudo_user": "grace"},
        ),
        "Proxy stopped": stopped("SIGTERM", pid=4711),
    }
