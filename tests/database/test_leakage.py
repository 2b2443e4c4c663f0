"""The numbers that `check` prints of stored terms, against what they are defined as."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import pytest

from proxy.database.leakage import bare_bits, settled_bits, spread

SEEDS = (5, 2015, 20261123)


def test_a_spread_of_known_values() -> None:
    """Eight rows of four values, 4, 2, 1 and 1 of them: Shannon's textbook 1.75 bits, one bit of min-entropy."""
    found = spread([4, 2, 1, 1])
    assert (found.rows, found.distinct) == (8, 4)
    assert found.entropy == pytest.approx(1.75)
    assert found.min_entropy == pytest.approx(1.0)
    assert [found.share(n) for n in (1, 2, 3, 10)] == [0.5, 0.75, 0.875, 1.0]
    assert found.coincidences == 2.0


def test_of_nothing_there_is_nothing_to_tell() -> None:
    """No rows: zeros, not errors."""
    found = spread([])
    assert (found.rows, found.distinct, found.entropy, found.min_entropy) == (0, 0, 0.0, 0.0)
    assert (found.guessed, found.share(1), found.coincidences, found.term_bits) == (
        0,
        0.0,
        0.0,
        None,
    )
    assert settled_bits([]) == settled_bits([b"\x01\x02"]) == bare_bits([]) == 0.0


def test_values_of_different_frequencies_are_all_guessed_and_unique_ones_are_not() -> None:
    """Frequency analysis: three values 5, 3 and 2 times are read off; of 1,000 that occur once, one row."""
    assert spread([5, 3, 2]).guessed == 10
    assert spread([1] * 1000).guessed == 1
    assert spread([7, 7]).guessed == 7


@pytest.mark.parametrize("seed", SEEDS)
def test_guessed_is_what_the_attack_guesses(seed: int) -> None:
    """The attack itself, 4,000 times: both lists sorted by frequency, ties in a random order; the mean is `guessed`."""
    print(f"seed {seed}")
    draw = random.Random(seed)
    counts = [draw.choice((1, 1, 1, 2, 2, 3, 5, 9)) for _ in range(30)]
    true = sorted(range(30), key=lambda v: -counts[v])
    rights = 0
    for _ in range(4000):
        seen = list(range(30))
        draw.shuffle(seen)
        seen.sort(key=lambda v: -counts[v])
        rights += sum(counts[v] for v, guess in zip(seen, true, strict=True) if v == guess)
    assert rights / 4000 == pytest.approx(spread(counts).guessed, rel=0.1)


def test_the_coincidence_rule() -> None:
    """10,000 rows: between 2 and 100 rows a term, so truncated terms of 7 to 12 bits."""
    found = spread([1] * 10_000)
    assert found.coincidences == 1.0
    assert found.most_coincidences == 100.0
    assert found.term_bits == (7, 12)
    for bits in found.term_bits:
        assert 2 <= found.rows / 2**bits < found.most_coincidences
    assert not 10_000 / 2**6 < 100
    assert not 10_000 / 2**13 >= 2
    assert spread([1, 1, 1]).term_bits is None


def _settled(values: list[tuple[int, ...]]) -> float:
    """By comparing every pair: the first position at which two differ is settled for both."""
    found: dict[tuple[int, ...], set[int]] = {value: set() for value in values}
    for one in values:
        for other in values:
            if one != other:
                first = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
                found[one].add(first)
    return sum(map(len, found.values())) / len(values)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 17, 100])
def test_settled_bits_are_those_that_some_pair_settles(seed: int, count: int) -> None:
    """As many as comparing every pair finds, for random 12-bit values as order terms have them."""
    print(f"seed {seed}")
    draw = random.Random(seed)
    values = draw.sample(range(1 << 12), count)
    bits = [tuple(value >> (11 - i) & 1 for i in range(12)) for value in values]
    # A byte of a term is F(bits before) + bit.
    masks = {prefix: draw.randrange(255) for value in bits for prefix in _prefixes(value)}
    terms = sorted(bytes(masks[value[:i]] + value[i] for i in range(12)) for value in bits)
    assert settled_bits(terms) == pytest.approx(_settled(bits))
    assert all(a < b for a, b in pairwise(terms))


def _prefixes(value: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [value[:i] for i in range(len(value))]


def test_a_dense_column_is_settled_outright() -> None:
    """Where every 8-bit value occurs, comparing settles all 8 bits; of N random values about log2(N)."""
    dense = sorted(bytes(100 + (value >> (7 - i) & 1) for i in range(8)) for value in range(256))
    assert settled_bits(dense) == 8.0
    draw = random.Random(7)
    sparse = sorted(
        bytes(100 + (value >> (31 - i) & 1) for i in range(32))
        for value in draw.sample(range(1 << 32), 1024)
    )
    assert math.log2(1024) < settled_bits(sparse) < math.log2(1024) + 3


def test_bits_that_stand_outright() -> None:
    """0 is a zero and 255 is a one, whatever F is; nothing between says so by itself."""
    assert bare_bits([bytes([0, 1, 254, 255])]) == 0.5
    assert bare_bits([bytes([7, 8])]) == 0.0


def test_sizes_are_counts_of_counts() -> None:
    """A spread holds no value and no term, only how many values occur how often."""
    assert spread([3, 1, 3]).sizes == Counter({3: 2, 1: 1})
