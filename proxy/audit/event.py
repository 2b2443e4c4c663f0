"""The events of the access log: values in, OCSF 1.8.0 events out, no I/O and no clock.

A builder's result is a dict (a template's, an `Entry`: that dict as JSON) without `time`, `metadata.uid` and `metadata.sequence`: `AuditLog` adds
those when it writes. Parts of it are shared with other events, so it is never changed. This module
is what callers import; `docs/events.md` shows an example of each event.
"""

from __future__ import annotations

from proxy.audit.administration import keys_added, keys_created, schema_applied
from proxy.audit.datastore import refused, session_opened
from proxy.audit.entry import Entry
from proxy.audit.finding import detected, protocol_violation, tampered
from proxy.audit.identity import authentication, session_closed
from proxy.audit.lifecycle import (
    ConfigurationLoad,
    KeysLoad,
    PolicyLoad,
    Started,
    configuration_loaded,
    keys_loaded,
    policy_loaded,
    started,
    stopped,
)
from proxy.audit.ocsf import Event
from proxy.audit.queried import Query, queried
from proxy.audit.template import Line, Part, Spoken, Template
from proxy.audit.values import (
    Access,
    Attempt,
    Origin,
    Outcome,
    Protocol,
    Refused,
    Tampered,
)

__all__ = [
    "Access",
    "Attempt",
    "ConfigurationLoad",
    "Entry",
    "Event",
    "KeysLoad",
    "Line",
    "Origin",
    "Outcome",
    "Part",
    "PolicyLoad",
    "Protocol",
    "Query",
    "Refused",
    "Spoken",
    "Started",
    "Tampered",
    "Template",
    "authentication",
    "configuration_loaded",
    "detected",
    "keys_added",
    "keys_created",
    "keys_loaded",
    "policy_loaded",
    "protocol_violation",
    "queried",
    "refused",
    "schema_applied",
    "session_closed",
    "session_opened",
    "started",
    "stopped",
    "tampered",
]
