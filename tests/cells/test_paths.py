"""The forms at a document's paths: an operand's are among them exactly where PostgreSQL says that the comparison is true."""

from __future__ import annotations

import json
import random

import pytest

from proxy.cells import CellError, Settings
from proxy.cells.logical import TYPES
from proxy.cells.paths import Keys, Operand, Reading, operand_forms, path_forms
from tests.cells.documents import KEYS, SCALARS, document, path, template
from tests.cells.oracle import Oracle

DEFAULT = Settings()
PATHS = tuple((one,) for one in KEYS) + tuple((one, two) for one in KEYS for two in KEYS)
ROUNDS = 2000


def jsonb(text: str) -> bytes:
    return TYPES["jsonb"].from_text(text.encode(), DEFAULT)


def scalar_text(rng: random.Random, oracle: Oracle) -> str:
    """What `->>` gives of a scalar; sometimes the text of something else."""
    if rng.random() < 0.2:
        return rng.choice(("[1]", "{}", '{"a": 5}', "[draft] x", "[ 1]", "null", "1.5", "TRUE"))
    found = oracle.row("SELECT $1::jsonb #>> '{}'", [rng.choice(SCALARS).encode()])[0]
    return (found or b"").decode()


def standing(text: str, keys: Keys, oracle: Oracle) -> str | None:
    """What a document has at a path, as JSON."""
    sql = f"SELECT ({nested(keys, '$1::jsonb')})::text"
    found = oracle.row(sql, [text.encode(), *(key.encode() for key in keys)])[0]
    return found.decode() if found is not None else None


def around(value: str, keys: Keys) -> str:
    """`{"a": {"b": value}}`"""
    for key in reversed(keys):
        value = f"{{{json.dumps(key)}: {value}}}"
    return value


def told(operand: Operand, canonical: bytes, stored: bytes, paths: tuple[Keys, ...]) -> bool | None:
    """Whether the terms tell that the comparison is true; None: it is refused."""
    try:
        wanted = operand_forms(operand, canonical, paths)
    except CellError as error:
        if error.sqlstate != "0A000":
            raise
        return None
    assert wanted
    return set(wanted) <= set(path_forms(stored, paths))


def nested(keys: Keys, value: str) -> str:
    """`data -> 'a' -> 'b'`, for an object alone."""
    for place in range(2, 2 + len(keys)):
        value += f" -> ${place}"
    return value


@pytest.mark.parametrize("reading", [Reading.TEXT, Reading.VALUE])
def test_a_scalar_at_a_path(reading: Reading, oracle: Oracle, rng: random.Random) -> None:
    """`data->'a'->>'b' = text` and `data->'a'->'b' = jsonb` are true where the document has the operand's form."""
    found = {True: 0, False: 0, None: 0}
    for _ in range(ROUNDS):
        text, keys = document(rng), path(rng)
        if reading is Reading.TEXT:
            given = (standing(text, keys, oracle) or "").strip('"')
            given = given if rng.random() < 0.5 else scalar_text(rng, oracle)
            canonical = given.encode()
            outer, _, last = nested(keys, "$1::jsonb").rpartition("->")
            sql = f"SELECT ({outer}->>{last} = $9::text) IS TRUE"
        else:
            given = rng.choice(SCALARS) if rng.random() < 0.9 else document(rng)
            if rng.random() < 0.5:
                given = standing(text, keys, oracle) or given
            canonical = jsonb(given)
            sql = f"SELECT ({nested(keys, '$1::jsonb')} = $9::jsonb) IS TRUE"
        sql = sql.replace("$9", f"${len(keys) + 2}")
        values = [text.encode(), *(key.encode() for key in keys), given.encode()]
        theirs = oracle.row(sql, values)[0] == b"\x01"
        ours = told(Operand(keys, reading), canonical, jsonb(text), PATHS)
        assert ours in (None, theirs), f"{text} {keys} {given}"
        found[ours] += 1
    assert found[True] > 20
    assert found[False] > 200
    assert 0 < found[None] < ROUNDS / 2


def test_containment(oracle: Oracle, rng: random.Random) -> None:
    """`data @> object` is true where the document has the forms of all its leaves; other operands are refused."""
    found = {True: 0, False: 0, None: 0}
    for _ in range(ROUNDS):
        text, given = document(rng), template(rng)
        keys = rng.choice(((), (), path(rng)))
        inner = path(rng)[len(keys) :]
        if inner and rng.random() < 0.5:
            given = around(standing(text, keys + inner, oracle) or "5", inner)
        sql = f"SELECT ({nested(keys, '$1::jsonb')} @> $9::jsonb) IS TRUE"
        sql = sql.replace("$9", f"${len(keys) + 2}")
        values = [text.encode(), *(key.encode() for key in keys), given.encode()]
        theirs = oracle.row(sql, values)[0] == b"\x01"
        ours = told(Operand(keys, Reading.CONTAINED), jsonb(given), jsonb(text), PATHS)
        assert ours in (None, theirs), f"{text} {keys} {given}"
        found[ours] += 1
    assert found[True] > 20
    assert found[False] > 200
    assert found[None] > 50


@pytest.mark.parametrize(
    "given",
    [
        *("{}", '{"a": {}}', '{"a": []}', '{"a": [1]}', "[]", "5", "null", '["a"]'),
        *('{"z": 1}', '{"a": 1, "z": 1}', '{"a": {"b": {"c": 1}}}', '{"a": {"z": null}}'),
    ],
)
def test_containment_that_terms_cannot_tell_is_refused(given: str) -> None:
    """Containers inside, no object at all, and what is at no declared path."""
    with pytest.raises(CellError, match="0A000"):
        operand_forms(Operand((), Reading.CONTAINED), jsonb(given), PATHS)


def test_text_of_a_container_is_refused_and_what_looks_like_it_is_not() -> None:
    """`->>` gives an object's text too, which has no term; `[draft] x` and `[ 1]` are no such text."""
    operand = Operand(("a",), Reading.TEXT)
    for text in (b"{}", b"[1]", b'{"a": 5}', b"[1, 2]"):
        with pytest.raises(CellError, match="0A000"):
            operand_forms(operand, text, PATHS)
    for text in (b"", b"[draft] x", b"[ 1]", b"{", b"5", b"[1,2]", b'{"a":5}'):
        assert operand_forms(operand, text, PATHS)


def test_no_more_than_two_forms_a_path(rng: random.Random) -> None:
    """What is indexed is bounded by what is declared, whatever a document holds; nothing is there twice."""
    for _ in range(300):
        forms = path_forms(jsonb(document(rng)), PATHS)
        assert len(set(forms)) == len(forms) <= 2 * len(PATHS)


def test_only_declared_scalars_have_forms() -> None:
    """Neither objects and arrays, nor what is absent, nor what is in an array; a null has a value and no text."""
    stored = jsonb('{"a": {"b": 1, "0": null}, "b": [1], "0": [{"a": 1}], "other": 7}')
    assert path_forms(stored, PATHS) == [
        b"v\0\2\0\0\0\1a\0\0\0\1b1",
        b"t\0\2\0\0\0\1a\0\0\0\1b1",
        b"v\0\2\0\0\0\1a\0\0\0\x010null",
    ]
    assert path_forms(jsonb("[5]"), PATHS) == []
    assert path_forms(jsonb("5"), PATHS) == []
    assert path_forms(stored, ()) == []


def test_paths_and_kinds_do_not_run_together() -> None:
    """The path a.b of two keys is not the key "a.b", and the text 5 not the number 5."""
    both = jsonb('{"a": {"b": "5"}, "a.b": 5}')
    forms = path_forms(both, (("a", "b"), ("a.b",)))
    assert forms == [
        b'v\0\2\0\0\0\1a\0\0\0\1b"5"',
        b"t\0\2\0\0\0\1a\0\0\0\1b5",
        b"v\0\1\0\0\0\x03a.b5",
        b"t\0\1\0\0\0\x03a.b5",
    ]


def test_equal_values_have_one_form_and_their_own_texts() -> None:
    """1.50 and 1.5 are one jsonb value; `->>` gives them as two texts."""
    one, other = (path_forms(jsonb(f'{{"a": {n}}}'), (("a",),)) for n in ("1.50", "15e-1"))
    assert one[0] == other[0] == b"v\0\1\0\0\0\1a1.5"
    assert (one[1][-4:], other[1][-3:]) == (b"1.50", b"1.5")


def test_depth_does_not_matter() -> None:
    """A document as deep as the server takes it is read without recursion."""
    deep = "[" * 5000 + "]" * 5000
    stored = jsonb(f'{{"a": 5, "b": {deep}}}')
    assert path_forms(stored, PATHS)[0].endswith(b"5")
    nested_objects = '{"a": ' * 5000 + "1" + "}" * 5000
    with pytest.raises(CellError, match="0A000"):
        operand_forms(Operand((), Reading.CONTAINED), jsonb(nested_objects), PATHS)


def test_what_is_no_jsonb_is_said_to_be_corrupt() -> None:
    """A stored value without the version byte."""
    with pytest.raises(CellError, match="XX001"):
        path_forms(b"{}", PATHS)
