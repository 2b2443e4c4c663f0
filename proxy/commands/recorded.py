"""What a command did, told to the access log. [io]

It is told when it is done: only then is known what was done. Where it cannot be told, that is said on stderr, and what was done
stays done.
"""

from __future__ import annotations

import sys

from proxy.audit.event import Event
from proxy.audit.log import AuditFailed, AuditLog
from proxy.commands.audit_verify import state_of
from proxy.config import Configuration


def tell(configuration: Configuration, *events: Event) -> None:
    """Appends events to the configured log, whether or not a proxy writes it."""
    try:
        log = AuditLog.join(configuration.audit.path, state_of(configuration))
        try:
            log.write_all(events)
        finally:
            log.close()
    except AuditFailed as failed:
        print(f"sealgate: done, but the access log does not tell of it: {failed}", file=sys.stderr)
