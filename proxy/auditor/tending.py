"""The auditor looked after by a proxy of one process, in its event loop. [io]"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.audit.log import AuditLog
from proxy.auditor.child import TICK, AuditorProcess
from proxy.compiled import mode
from proxy.upkeep import Loaded


async def tend(
    auditor: AuditorProcess, status: Callable[[], dict[str, Any]], loaded: Callable[[], Loaded]
) -> None:
    """For ever. `loaded` is what is in force."""
    while True:
        auditor.use(loaded())
        auditor.tick(status())
        await asyncio.sleep(TICK)


def status(
    audit: AuditLog, *, sessions: int, workers: int, accepting: bool, ready: bool
) -> dict[str, Any]:
    """How the service is, as the auditor is told."""
    log = audit.status
    return {
        "sessions": sessions,
        "workers": workers,
        "accepting": int(accepting),
        "ready": int(ready),
        "lost": log.lost,
        "failing": int(log.failing),
        "mode": mode(),
    }
