"""How much data, how long and how often: three scales of the same benchmark."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes of one run. Rows are rows of a table, seconds are wall time of one measured round of one side."""

    name: str
    people: int  # rows of the table that is read
    accounts: int  # rows of the table that is updated
    copied: int  # rows of COPY and of the big result
    encrypted: int  # rows of the tables of pgcrypto and of the application
    streamed: int  # rows that go to the slow reader
    stream_seconds: float  # how long the slow reader takes for them, at least
    idle: int  # connections held open
    value_bytes: int  # the big value
    rounds: int
    seconds: float
    all_clients: bool = True  # loads with several numbers of clients: all of them, or 8 only

    def only(self, people: int) -> Scale:
        """The same with smaller tables."""
        return replace(self, people=people, accounts=people)


FULL = Scale(
    name="full",
    people=1_000_000,
    accounts=20_000,
    copied=100_000,
    encrypted=5_000,
    streamed=5_000_000,
    stream_seconds=30.0,
    idle=500,
    value_bytes=200_000_000,
    rounds=5,
    seconds=1.0,
)
QUICK = Scale(
    name="quick",
    people=100_000,
    accounts=10_000,
    copied=20_000,
    encrypted=2_000,
    streamed=500_000,
    stream_seconds=8.0,
    idle=100,
    value_bytes=20_000_000,
    rounds=1,
    seconds=1.0,
    all_clients=False,
)
TINY = Scale(
    name="tiny",
    people=2_000,
    accounts=200,
    copied=1_000,
    encrypted=1_000,
    streamed=10_000,
    stream_seconds=0.5,
    idle=5,
    value_bytes=1_000_000,
    rounds=1,
    seconds=0.3,
)
SCALES = {scale.name: scale for scale in (FULL, QUICK, TINY)}
