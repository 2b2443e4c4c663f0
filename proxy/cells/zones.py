"""Time zones by name, as the server's own copy of the IANA code finds them.

Mirrors pg_tzset in src/timezone/pgtz.c and tzloadbody in localtime.c: names are found without regard to case, in the
tzdata package; anything else is tried as a POSIX rule string. Transitions run through the file's table, then by the rule in its footer through 400 years,
after which the calendar repeats; before the first one, the zone's first type holds (local mean time).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from importlib import resources
from struct import unpack_from

from proxy.cells.local_time import CYCLE, GMT, LocalTime, Zone
from proxy.cells.posix_zone import posix_zone

_MAX_NAME = 255
_MAX_TRANSITIONS = 2000


def zone(name: str) -> Zone | None:
    """The zone of a name, in any case, or of a POSIX rule string; None if it is neither."""
    if len(name) > _MAX_NAME:
        return None
    return _zone(name.upper() if name.isascii() else name)


@lru_cache(maxsize=256)
def _zone(name: str) -> Zone | None:
    if name == "GMT":
        return GMT
    path = _names().get(name.removeprefix(":"))
    if path is not None:
        return _load(path)
    return None if name.startswith(":") else posix_zone(name)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return {name.upper(): name for name in listed.split()}


@lru_cache(maxsize=600)
def _load(path: str) -> Zone:
    return _read(resources.files("tzdata").joinpath("zoneinfo", *path.split("/")).read_bytes())


def _read(data: bytes) -> Zone:
    """A TZif file, version 2 or later (RFC 9636): the 64-bit block and the footer."""
    start = 44 + _block_size(data, 0, 4)
    std_ut, standard, leaps, times_count, kinds_count, letters_count = unpack_from(
        ">6l", data, start + 20
    )
    position = start + 44
    times = unpack_from(f">{times_count}q", data, position)
    position += 8 * times_count
    types = tuple(data[position : position + times_count])
    position += times_count
    raw = [unpack_from(">lBB", data, position + 6 * i) for i in range(kinds_count)]
    position += 6 * kinds_count
    letters = data[position : position + letters_count]
    footer = data[position + letters_count + 12 * leaps + standard + std_ut :].strip(b"\n").decode()
    kinds = tuple(
        LocalTime(offset, bool(daylight), letters[at : letters.index(b"\0", at)].decode())
        for offset, daylight, at in raw
    )
    return _extend(times, types, kinds, footer)


def _block_size(data: bytes, start: int, width: int) -> int:
    std_ut, standard, leaps, times, kinds, letters = unpack_from(">6l", data, start + 20)
    return int(times * (width + 1) + kinds * 6 + letters + leaps * (width + 4) + standard + std_ut)


def _extend(
    times: tuple[int, ...], types: tuple[int, ...], kinds: tuple[LocalTime, ...], footer: str
) -> Zone:
    """The table continued by the footer's rule, as tzloadbody does it."""
    rule = posix_zone(footer) if footer else None
    if rule is not None:
        while len(times) > 1 and types[-1] == types[-2]:
            times, types = times[:-1], types[:-1]
        start = bisect_right(rule.times, times[-1]) if times else 0
        room = _MAX_TRANSITIONS - len(times)
        more = rule.times[start : start + room]
        types += tuple(kind + len(kinds) for kind in rule.types[start : start + room])
        times += more
        kinds += rule.kinds
    known = set(times)
    span = zip(times, types, strict=True)
    by_time = dict(span)

    def same(one: int, other: int) -> bool:
        return kinds[by_time[one]] == kinds[by_time[other]]

    before = bool(times) and times[0] + CYCLE in known and same(times[0], times[0] + CYCLE)
    after = bool(times) and times[-1] - CYCLE in known and same(times[-1], times[-1] - CYCLE)
    return Zone(times, types, kinds, 0, before, after)
