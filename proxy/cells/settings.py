"""The session settings that shape a value's text form, as the server reports them in ParameterStatus.

Defaults are PostgreSQL's own. A `Settings` is hashable: compiled conversions are cached by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Convert: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Settings:
    encoding: str = "UTF8"
    """client_encoding, by PostgreSQL's name."""
    date_style: str = "ISO, MDY"
    time_zone: str = "UTC"
    extra_float_digits: int = 1
    bytea_output: str = "hex"


@dataclass(frozen=True, slots=True)
class Family:
    """How one type converts: four functions compiled per settings, two coercions, one equality form."""

    from_text: Callable[[Settings], Convert]
    from_binary: Callable[[Settings], Convert]
    to_text: Callable[[Settings], Convert]
    to_binary: Callable[[Settings], Convert]
    assign: Callable[[bytes, int], bytes]
    """Assignment to a column with a type modifier: (canonical, typmod) -> canonical."""
    cast: Callable[[bytes, int], bytes]
    """Explicit cast to the modifier: like `assign`, but character types truncate silently."""
    equality_form: Convert | None
    """Equal bytes for values that SQL calls equal; None where the type has no equality operator."""


def identity(value: bytes) -> bytes:
    return value


def unmodified(value: bytes, _modifier: int) -> bytes:
    """`assign` of a type that takes no modifier."""
    return value


def always(convert: Convert) -> Callable[[Settings], Convert]:
    """A conversion that no setting changes."""
    return lambda _settings: convert
