"""One key and what is known of it.

Key states and what they allow are NIST SP 800-57 Part 1 Rev. 5, section 7: a key protects only while active;
it goes on processing what it protected when deactivated, suspended or compromised; before
activation and after destruction it does neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from keystore._raw import Secret


class Purpose(Enum):
    DATA = "data"
    INDEX = "index"


class KeyState(Enum):
    """NIST SP 800-57 Part 1 Rev. 5, section 7."""

    PRE_ACTIVATION = "pre-activation"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"

    @property
    def may_seal(self) -> bool:
        return self is KeyState.ACTIVE

    @property
    def may_open(self) -> bool:
        return self not in (KeyState.PRE_ACTIVATION, KeyState.DESTROYED)


@dataclass(frozen=True, slots=True)
class Key:
    """One key and what is known of it. `created` is RFC 3339 in UTC; a destroyed key has no secret."""

    id: int
    column: str
    purpose: Purpose
    version: int
    created: str
    state: KeyState
    secret: Secret | None
