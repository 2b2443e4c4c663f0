"""Writes docs/events.md from the builders: `python -m tests.audit.events_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from ocsf_json_schema import get_ocsf_schema  # type: ignore[import-untyped]

from proxy.audit.event import Event
from proxy.audit.ocsf import PRODUCT
from tests.audit.examples import examples

PAGE = Path(__file__).parents[2] / "docs" / "events.md"

FIELDS = {
    "attempts": "attempts that failed in between",
    "behind": "events that wait for the sink in the log's files",
    "missing": "events of the chain that were not in the files",
    "rejected": "events that the receiver will not take",
    "sink": "name of the sink in [[audit.sinks]]",
    "sinks": "names of the sinks that are fed",
    "uids": "`metadata.uid` of the first of them, at most 20",
    "unreadable": "lines of the log that are no event",
    "added_columns": "columns that were given keys",
    "audit": "in `policy_summary`, of a column or role: when its rows are released (`async`, `ack`, `durable`)",
    "change_count": "changes to the database",
    "changes": "what was changed in the database, as `apply` says it; names only",
    "clear": "in `policy_summary`, of a role: what it sees in clear",
    "denied_value": "in `policy_summary`: what a role with no grant gets",
    "file_modified": "when the configuration file was last modified, epoch milliseconds, by the file system",
    "file_owner": "owner of the configuration file: a hint at who changed it, no proof",
    "mask": "in `policy_summary`, of a column: its mask, without the text of `constant:TEXT`",
    "masked": "in `policy_summary`, of a role: what it sees masked",
    "obstacle_count": "what kept `apply` from bringing the database in line",
    "policy_summary": "the whole policy: columns, and what each role is granted on which (labels and wildcards, as written)",
    "policy_summary_bytes": "the summary would be this long, and is left out",
    "roles": "in `policy_summary`: every role with its grants",
    "search": "in `policy_summary`: of a column, its search terms; of a role, what it may compare",
    "search_group": "in `policy_summary`, of a column: the group whose columns can be compared",
    "type": "in `policy_summary`, of a column: the type that applications see",
    "write": "in `policy_summary`, of a role: what it may store",
    "access": "in `columns` of a refusal: what was asked for: `read`, `compare`, `write`, `presence` (IS NULL, count)",
    "arguments": "what the log was asked for, as `name=value`; never a row's key",
    "audit_on_failure": "`deny` or `allow`: are rows released when their event cannot be written",
    "cell_id": "cell id of the value, hex",
    "cell_id_count": "in `columns`: how many of the ids in the side file are this entry's, in the order of the entries",
    "cell_ids": "in `columns`: ids of the sealed values (first 8 bytes of their nonces), hex; of `written` those of the values that were sent to be stored",
    "cell_ids_complete": "in `columns`, false: values were stored whose ids are not known, because they were in the database already",
    "cell_ids_file": "the event has more than 256 ids; all of them are in the side file (`audit.jsonl.cells`), 8 bytes each, in the record with this SHA-256",
    "cells": "sealed values touched: in the event altogether, in `columns` per column and outcome; `compared`: opened by the proxy to test LIKE, what the database compares by terms is not counted",
    "count": "in `cell_ids_file`: how many ids",
    "claimed": "who asks and why, as the client says and nobody has verified: a comment in the form of sqlcommenter, `sealgate.actor`, `sealgate.purpose`",
    "column": "the column in which the value was found; empty where the server does not say",
    "column_count": "sealed columns in the policy, or columns that the key set has keys for, or that were given some",
    "columns": "the sealed columns, one entry per column and outcome; in `policy_summary` all that are declared",
    "command": "`SELECT`, `INSERT`, ..., or `OTHER`",
    "database": "the protected database",
    "denied": "in `columns` of a refusal: this access is what the statement was refused for",
    "events": "events that the answer was made from",
    "execution": "uid of the execution, the same in all its events; also `metadata.correlation_uid`",
    "final": "the last part of its execution",
    "host": "address it listens on",
    "key_column": "the column whose key sealed the value",
    "key_id": "the key that the value names",
    "key_versions": "in `columns`: versions of the column's data key that were used",
    "key_count": "data keys in the key set",
    "keys": "how many people, or rows, were asked for by their key",
    "keys_fingerprint": "names the key set; holds no key material",
    "lost": "events that are not in the log",
    "checkpoint": "how far the log has come, signed: see audit.md",
    "file": "of a new file: the name that the one before has got; of a repair: the side file that it was",
    "found_sequence": "number of the last event that is in the file",
    "head": "in `checkpoint`: hash of event `size`",
    "key": "in `checkpoint`: names the signing key, first 16 hexadecimal digits of the SHA-256 of its public half",
    "last_sequence": "number of the last event by the state",
    "log_existed": "something stood in the log's file already",
    "seal": "in `checkpoint`: the seal's aggregate over all events up to `size`",
    "signature": "in `checkpoint`: Ed25519, base64",
    "shown_as": "in `columns`: the type the client saw, where neither the server nor the catalog told the column's own",
    "name": "in `columns`: `schema.table.column`; in `operator`: the operating system's user; in `policy_summary`: the column, the role",
    "offset": "where in the file the torn line begins, bytes",
    "operator": "who ran the command on this host",
    "outcome": "in `columns`: `clear`, `masked`, `withheld`, `written`, `compared`",
    "part": "1, 2, ... where the rows of one execution were released in parts",
    "passthrough": "why nothing is unsealed in this session",
    "pid": "the process; of a service of several, the one to signal",
    "policy_version": "the policy in force; in statement events `policy.version`",
    "port": "port it listens on",
    "previous": "version or fingerprint that was in force before; empty at start",
    "protocol": "`simple` or `extended` query protocol",
    "reason": "why, in words",
    "role_count": "roles in the policy",
    "rows": "rows of this part: released, written or found",
    "rule": "in `columns`: the rule that decided, `roles.support.masked` or `default.deny`",
    "sessions": "sessions that were cut",
    "sha256": "in `cell_ids_file`: of the ids one after the other",
    "side": "`client` or `server`: who violated the protocol",
    "since": "when the first event was lost, epoch milliseconds",
    "size": "bytes of the torn line",
    "statement": "the statement that read the value, as OCSF's `query_info`",
    "statement_length": "characters of the whole statement, where it was cut",
    "statement_truncated": "the statement was longer than the 4096 characters shown",
    "statement_unreadable": "the statement could not be shown without risk of showing a literal",
    "table": "the table in which the value was found",
    "sudo_user": "in `operator`: who became that user by sudo, by the environment's word",
    "tls": "the client's connection is encrypted",
    "uid": "in `operator`: number of the operating system's user",
    "worker": "which worker, counted from 0",
    "worker_pids": "the processes that serve clients",
    "workers": "how many processes serve clients",
    "detector": "the key in [detection] of the configuration",
    "mode": "what a finding leads to: `observe`, `alert`, `throttle`, `mask`, `quarantine`, `kill`",
    "action": "what was done: `observed`, `alerted`, `throttled`, `masked`, `quarantined`, `killed`, or `exempt`: nothing, because of [detection] exempt",
    "numbers": "what was counted, and what it was compared with; the names are the detector's",
    "shown": "in `numbers`: cells, or different subjects, with those that were about to be shown",
    "limit": "in `numbers`: of the budget",
    "seconds": "in `numbers`: the window; of a sink: from its first failure to the next success",
    "begun": "when it was contained, epoch milliseconds",
    "until": "when it is over by itself, epoch milliseconds",
    "finding": "uid of the finding that led to it (`finding_info.uid`)",
    "session": "only this session is contained",
    "ended": "`released` by somebody, or `expired`",
    "place": "the table that the honey row is in, or the column that is honey",
}
"""Every name under `unmapped.sealgate`, except what `query_info` brings along."""

_FREE = ("statement", "claimed")
"""Of these the names are others': OCSF's, the client's."""

HEAD = """# Events of the access log

<!-- Written by `python -m tests.audit.events_page`; a test compares it with the builders. -->

One JSON object per line, [OCSF 1.8.0](https://schema.ocsf.io/1.8.0). What OCSF has no field for is under
`unmapped.sealgate`. `metadata.event_code` names the kind of event and is the field to filter by.

- **Who**: `actor.user.name` is the login, `actor.user.groups` its roles, `actor.session.uid` the session,
  `actor.app_name` what the client calls itself (unverified), `src_endpoint` its address.
- **What**: `query_info.query_string` is the statement with every literal as `$n` (after the statement's own
  parameters) and without comments; `query_info.uid` is its SHA-256, the fingerprint. `table.name` is the
  sealed table: a statement on two of them makes two events.
- **Decision**: `policy.version` and the `rule` of each column; `action_id` 1 allowed, 2 denied, 4 modified
  (something was masked or withheld); `disposition_id` 1 allowed, 2 blocked.
- **Outcome**: `status_id` 1 success, 2 failure; `status_code` is the SQLSTATE. Failure with `action_id` 1 is the
  server's doing, with `action_id` 2 ours.
- **Order**: `metadata.sequence` counts the events of one service (`metadata.log_source`, one per start, the same for
  all its workers) in the order of the file, from file to file without a gap, and goes on where the file's last event
  left off; `metadata.uid` is a ULID. The event is written before the rows it speaks of are released.

No event holds a value, a literal, a parameter, a key or an error's DETAIL. Strings that a client chose are
cut at 256 characters (`…(+744)`), and characters that do not print stand as `\\u{202e}`.

## Kinds
"""


def page() -> str:
    """The page as it should be."""
    parts = [
        HEAD,
        _kinds(),
        "\n## Fields under `unmapped.sealgate`\n\n",
        _fields(),
        "\n## Examples\n",
    ]
    for title, event in examples().items():
        shown = orjson.dumps(stamped(event), option=orjson.OPT_INDENT_2).decode()
        parts.append(f"\n### {title}\n\n```json\n{shown}\n```\n")
    return "".join(parts)


def stamped(event: Event) -> Event:
    """The event as the log would have written it, the same every time."""
    stamp = {"uid": "01KAPZ8RCR4X2V9QWM0000001T", "sequence": 58, "log_source": "4X2V9QWM"}
    # the page does not change with the version
    product = PRODUCT | {"version": "0.1.0"}
    metadata = event["metadata"] | {"product": product} | stamp
    written = {"time": 1795364924120, **event, "metadata": metadata}
    if "app" in event:
        written["app"] = product
        written["message"] = event["message"].replace(PRODUCT["version"], "0.1.0", 1)
    return written


def field_names(value: Any) -> set[str]:
    """Every name of a field in `unmapped.sealgate`, nested ones too."""
    if isinstance(value, list):
        return {name for item in value for name in field_names(item)}
    if not isinstance(value, dict):
        return set()
    nested = {n for name, item in value.items() if name not in _FREE for n in field_names(item)}
    return set(value) | nested


def _kinds() -> str:
    rows: dict[tuple[str, int], tuple[str, Event]] = {}
    for title, event in examples().items():
        code = event["metadata"]["event_code"]
        key = (code, event["type_uid"])
        rows.setdefault(key, (title, event))
    lines = [
        "| event_code | OCSF class, activity | type_uid | severity | example |",
        "|---|---|---|---|---|",
    ]
    for (code, type_uid), (title, event) in rows.items():
        name, activity = _ocsf_names(event)
        anchor = title.lower().replace(" ", "-")
        severity = ("", "informational", "low", "medium", "high")[event["severity_id"]]
        lines.append(
            f"| `{code}` | {name} ({event['class_uid']}), {activity} | {type_uid} | {severity} "
            f"| [{title}](#{anchor}) |"
        )
    return "\n" + "\n".join(lines) + "\n\n" + NOTE


NOTE = """`statement.refused` has the activity that the statement would have had: Encrypt (600509) for writes, Decrypt
(600510) for reads, Query (600504) otherwise; its severity is medium for 42501 (no grant), low for what is not
supported. `statement.read` covers clear, masked and withheld reads alike; a statement that writes and reads
(RETURNING) is `statement.write`.
"""


def _ocsf_names(event: Event) -> tuple[str, str]:
    classes = get_ocsf_schema("1.8.0")["classes"].values()
    entry = next(c for c in classes if c["uid"] == event["class_uid"])
    activity = entry["attributes"]["activity_id"]["enum"][str(event["activity_id"])]["caption"]
    return entry["caption"], activity


def _fields() -> str:
    lines = ["| field | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in sorted(FIELDS.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
