"""Who runs a command: the operating system's word for it, as an event shows it."""

from __future__ import annotations

import os
import pwd
from typing import Any, Final

from proxy.audit.text import clean

SUDO_USER: Final = "SUDO_USER"
"""Set by sudo for root to see. Whoever may run the command may also set it: it is a hint, and no proof."""


def operator() -> dict[str, Any]:
    """`name` and `uid` of the process's real user, and `sudo_user`, who became that user, where the environment says so.

    `name` is "" where the system has none for the uid (a container's user).
    """
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    found: dict[str, Any] = {"name": clean(name), "uid": uid}
    if before := os.environ.get(SUDO_USER):
        found["sudo_user"] = clean(before)
    return found
