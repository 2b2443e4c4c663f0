"""Further search terms of a sealed value: vectors, where they stand, and that none can be altered unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keystore import ColumnKeys, DataKey, TamperedValue, cell_id, generate, key_id, looks_sealed
from keystore._raw import Secret
from keystore.keystore import add_columns, create, load
from keystore.rootkey import RootKey
from keystore.sealed import terms_end
from keystore.terms import further
from tests.keystore.test_keystore import ROOT
from tests.vectors import make_terms_v1

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "terms_v1.json").read_text()
)
DATA, INDEX = (Secret(bytes.fromhex(VECTORS[name])) for name in ("data_key", "index_key"))
KEYS = ColumnKeys(VECTORS["column"], VECTORS["id"], 1, DATA, INDEX)
OPENS = DataKey(VECTORS["column"], VECTORS["id"], 1, DATA)
ONE, OTHER, ALONE = "public.a.email", "public.b.mail", "public.c.email"


def by_comment(vector: dict[str, Any]) -> str:
    return str(vector["comment"])


def terms_of(vector: dict[str, Any]) -> bytes:
    given = vector["further"]
    return further(
        casefold=KEYS.casefold_term(bytes.fromhex(given["casefold"])) if "casefold" in given else None,
        order=bytes.fromhex(given["order"]) if "order" in given else None,
        match=KEYS.gram_terms([bytes.fromhex(g) for g in given["match"]]) if "match" in given else None,
        paths=KEYS.path_terms([bytes.fromhex(f) for f in given["paths"]]) if "paths" in given else None,
    )  # fmt: skip


def sealed(vector: dict[str, Any]) -> bytes:
    form = vector["equality_form"]
    return KEYS._seal(
        bytes.fromhex(vector["plaintext"]),
        None if form is None else bytes.fromhex(form),
        bytes.fromhex(vector["nonce"]),
        terms_of(vector),
    )


def test_vectors_are_as_written_on_the_first_day() -> None:
    """The committed vectors are what an implementation that shares no code with ours gives."""
    assert make_terms_v1.vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=by_comment)
def test_sealing_gives_the_vector(vector: dict[str, Any]) -> None:
    """Plaintext, forms and nonce give exactly the bytes of the vector."""
    assert sealed(vector).hex() == vector["sealed"]


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=by_comment)
def test_opening_gives_the_plaintext(vector: dict[str, Any]) -> None:
    """A value with further terms opens, and its key and cell are found behind them."""
    value = bytes.fromhex(vector["sealed"])
    nonce = bytes.fromhex(vector["nonce"])
    assert looks_sealed(value)
    assert key_id(value) == VECTORS["id"]
    assert cell_id(value) == nonce[:8]
    assert value[terms_end(value) :].startswith(nonce)
    assert OPENS.open(value).hex() == vector["plaintext"]


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=by_comment)
def test_no_byte_of_a_term_can_be_altered(vector: dict[str, Any]) -> None:
    """Terms are associated data: a value with another flag, length or term does not open."""
    value = bytes.fromhex(vector["sealed"])
    for at in range(len(value)):
        for bit in (0x01, 0x80):
            altered = value[:at] + bytes((value[at] ^ bit,)) + value[at + 1 :]
            with pytest.raises(TamperedValue):
                OPENS.open(altered)


def test_terms_of_another_value_do_not_open() -> None:
    """An attacker who moves a term from one value to another is found out, whichever term it is."""
    one, two = (KEYS.seal(b"x", None, further(order=bytes((n,)) * 8)) for n in (1, 2))
    with pytest.raises(TamperedValue):
        OPENS.open(one[: terms_end(one)] + two[terms_end(two) :])
    bare = KEYS.seal(b"x")
    with pytest.raises(TamperedValue):
        OPENS.open(bare[:3] + b"\x08" + bare[4:8] + b"\0\x08" + b"\1" * 8 + bare[8:])


@pytest.mark.parametrize("size", range(8, 72))
def test_a_truncated_value_is_no_value(size: int) -> None:
    """Cut anywhere: it does not open, and where its cell would be is asked without an error."""
    value = bytes.fromhex(VECTORS["valid"][7]["sealed"])[:size]
    cell_id(value)
    with pytest.raises(TamperedValue):
        OPENS.open(value)


def test_a_term_has_a_length_of_two_bytes() -> None:
    """What does not fit is refused, never cut: a term cut short would be found wrong."""
    assert len(further(order=bytes(0xFFFF))) == 1 + 2 + 0xFFFF
    with pytest.raises(ValueError, match="65,535 bytes"):
        further(order=bytes(0x10000))
    assert further() == b""


def test_kinds_of_terms_share_no_key() -> None:
    """The same bytes as an equality form, a case-folded form, a gram and a path give terms that do not tell of it."""
    terms = {KEYS.equality_term(b"x")[:4], KEYS.casefold_term(b"x")[:4]}
    terms |= {KEYS.gram_terms([b"x"]), KEYS.path_terms([b"x"])[:4]}
    assert len(terms) == 4


def test_columns_of_a_group_have_the_same_terms() -> None:
    """One search group, one index key; a column outside, and data keys, have nothing in common with it."""
    keyset = generate([ONE, OTHER, ALONE], {ONE: "people", OTHER: "people"})
    one, other, alone = (keyset.column(label) for label in (ONE, OTHER, ALONE))
    assert one.equality_term(b"x") == other.equality_term(b"x") != alone.equality_term(b"x")
    assert one.order_term(b"x") == other.order_term(b"x") != alone.order_term(b"x")
    assert one.gram_terms([b"x"]) == other.gram_terms([b"x"]) != alone.gram_terms([b"x"])
    with pytest.raises(TamperedValue):
        keyset.data_keys[other.id].open(one.seal(b"x", b"x"))


def test_a_group_s_key_is_kept_and_a_column_may_leave(tmp_path: Path) -> None:
    """The keystore has the group's index key besides each column's own: out of the group it is the old one again."""
    path, root = tmp_path / "keystore.json", ROOT
    assert isinstance(root, RootKey)
    create(path, root, [ONE, OTHER])
    before = load(path, root).column(ONE).equality_term(b"x")
    groups = {ONE: "people", OTHER: "people"}
    assert load(path, root, groups).missing([ONE, OTHER]) == (ONE, OTHER)
    assert add_columns(path, root, [ONE, OTHER], groups) == ("search_group:people",)
    assert add_columns(path, root, [ONE, OTHER], groups) == ()
    grouped = load(path, root, groups)
    assert grouped.columns == (ONE, OTHER)
    assert grouped.column(ONE).equality_term(b"x") == grouped.column(OTHER).equality_term(b"x")
    assert grouped.column(ONE).equality_term(b"x") != before
    assert load(path, root).column(ONE).equality_term(b"x") == before
    assert load(path, root).version != grouped.version
