"""The keystore file: what it keeps, what it notices, who may write it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keystore import (
    Keyset,
    KeyState,
    KeystoreError,
    RootKey,
    TamperedKeystore,
    TamperedValue,
    WrongRootKey,
    _files,
    add_columns,
    add_version,
    create,
    create_root_key,
    generate,
    key_id,
    load,
)
from keystore._raw import Secret
from keystore.document import Document, _canonical, from_json, to_json
from keystore.key import Purpose

EMAIL, SSN, ODD = "public.customers.email", "public.customers.ssn", 'public."Odd.Name".é"'
ROOT = RootKey(Secret(bytes(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "keystore.json", ROOT, [EMAIL, SSN])
    return tmp_path / "keystore.json"


def document(path: Path) -> Document:
    return from_json(path.read_bytes(), ROOT, str(path))


# --- what it keeps


def test_values_open_after_a_reload(path: Path) -> None:
    """Keys survive in the file: what one process sealed another opens, and terms agree."""
    one, two = load(path, ROOT), load(path, ROOT)
    value = one.column(EMAIL).seal(b"alice@example.com", b"alice@example.com")
    assert two.data_keys[key_id(value)].open(value) == b"alice@example.com"
    assert two.column(EMAIL).equality_term(b"x") == one.column(EMAIL).equality_term(b"x")
    assert one.version == two.version


def test_a_keyset_knows_its_columns(path: Path) -> None:
    """Columns, what is missing in the order asked, and an error that names the fix."""
    keyset = load(path, ROOT)
    assert keyset.columns == (EMAIL, SSN)
    assert keyset.missing([ODD, SSN, "a.b.c"]) == (ODD, "a.b.c")
    assert {key.column for key in keyset.data_keys.values()} == {EMAIL, SSN}
    with pytest.raises(KeystoreError, match=r"no active keys for column a\.b\.c.*sealgate apply"):
        keyset.column("a.b.c")


def test_every_key_has_an_id_of_its_own(path: Path) -> None:
    """Ids are 32 bits, not zero, and shared by no two keys, index keys included."""
    keys = document(path).keys
    assert len({key.id for key in keys}) == len(keys) == 4
    assert all(0 < key.id < 1 << 32 for key in keys)


def test_every_key_is_another_key(path: Path) -> None:
    """No two keys, of any column or purpose, have the same bytes."""
    checks = [key.secret.check_value() for key in document(path).keys if key.secret]
    assert len(set(checks)) == len(checks) == 4


def test_the_file_is_the_owners_alone(path: Path) -> None:
    """Mode 0600 after creation and after every change, and no file is left beside it but the lock."""
    add_columns(path, ROOT, [ODD])
    add_version(path, ROOT, EMAIL)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["keystore.json", "keystore.json.lock"]  # fmt: skip
    for entry in path.parent.iterdir():
        assert stat.S_IMODE(entry.stat().st_mode) == 0o600


# --- what is added


def test_added_columns_leave_the_others_alone(path: Path) -> None:
    """Only missing columns get keys; the same call again changes nothing, not even the file."""
    before = load(path, ROOT)
    assert add_columns(path, ROOT, [EMAIL, ODD, ODD]) == (ODD,)
    content = path.read_bytes()
    assert add_columns(path, ROOT, iter([EMAIL, ODD])) == ()
    assert path.read_bytes() == content
    after = load(path, ROOT)
    assert after.missing([EMAIL, SSN, ODD]) == ()
    assert before.data_keys.keys() < after.data_keys.keys()
    assert before.version != after.version
    assert document(path).serial == 2


def test_a_new_version_seals_and_the_old_one_still_opens(path: Path) -> None:
    """Rotation: new values name the new key, old values open, terms of both are equal."""
    old = load(path, ROOT)
    before = old.column(EMAIL).seal(b"alice", b"alice")
    assert add_version(path, ROOT, EMAIL) == 2
    assert add_version(path, ROOT, EMAIL) == 3
    new = load(path, ROOT)
    after = new.column(EMAIL).seal(b"alice", b"alice")
    assert new.column(EMAIL).version == 3
    assert [new.data_keys[key_id(value)].version for value in (before, after)] == [1, 3]
    assert [new.data_keys[key_id(value)].open(value) for value in (before, after)] == [b"alice"] * 2
    assert before[8:24] == after[8:24]
    assert key_id(after) not in old.data_keys
    assert new.column(SSN).version == 1


def test_exactly_one_version_is_active(path: Path) -> None:
    """The versions before the newest are deactivated, in NIST's word: they open and do not seal."""
    for _ in range(2):
        add_version(path, ROOT, EMAIL)
    states = {
        key.version: key.state
        for key in document(path).keys
        if key.column == EMAIL and key.purpose is Purpose.DATA
    }
    assert states == {1: KeyState.DEACTIVATED, 2: KeyState.DEACTIVATED, 3: KeyState.ACTIVE}


def test_a_version_of_no_column_is_refused(path: Path) -> None:
    """A misspelled label does not make a key that seals nothing."""
    content = path.read_bytes()
    with pytest.raises(KeystoreError, match=r"column public\.customers\.mail: has no keys"):
        add_version(path, ROOT, "public.customers.mail")
    assert path.read_bytes() == content


@pytest.mark.parametrize("label", ["", "public.t.\n", "a\0b", "\ud800"])
def test_what_is_no_label_gets_no_keys(path: Path, label: str) -> None:
    """Labels are printable and not empty."""
    with pytest.raises(KeystoreError, match="is no column's label"):
        add_columns(path, ROOT, [label])


@pytest.mark.parametrize(
    ("state", "seals", "opens"),
    [
        (KeyState.PRE_ACTIVATION, False, False),
        (KeyState.ACTIVE, True, True),
        (KeyState.SUSPENDED, False, True),
        (KeyState.DEACTIVATED, False, True),
        (KeyState.COMPROMISED, False, True),
        (KeyState.DESTROYED, False, False),
    ],
)
def test_states_allow_what_nist_allows(
    path: Path, state: KeyState, seals: bool, opens: bool
) -> None:
    """SP 800-57 Part 1 section 7, through the file: a destroyed key's entry stays, without a key."""
    value = load(path, ROOT).column(EMAIL).seal(b"x")
    keys = tuple(
        replace(key, state=state, secret=None if state is KeyState.DESTROYED else key.secret)
        if key.id == key_id(value)
        else key
        for key in document(path).keys
    )
    again = from_json(to_json(Document(2, keys), ROOT), ROOT, "keystore")
    assert again.keys[0].id == key_id(value)
    keyset = Keyset(again.keys)
    assert (keyset.missing([EMAIL]) == ()) is seals
    assert (key_id(value) in keyset.data_keys) is opens


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_active_keys_the_newest_version_seals(path: Path, order: int) -> None:
    """Whatever order the entries are in, and whichever has the larger id."""
    add_version(path, ROOT, EMAIL)
    keys = tuple(replace(key, state=KeyState.ACTIVE) for key in document(path).keys)
    assert Keyset(keys[::order]).column(EMAIL).version == 2


def test_generated_keys_are_fresh() -> None:
    """Keys for tests and `explain` share ids between runs but never bytes."""
    one, two = generate([EMAIL, SSN]), generate([EMAIL, SSN])
    value = one.column(EMAIL).seal(b"x")
    with pytest.raises(TamperedValue):
        two.data_keys[key_id(value)].open(value)


# --- creating and writing


def test_creating_never_overwrites(path: Path) -> None:
    """The keys in an existing keystore are the only way to what they sealed."""
    content = path.read_bytes()
    with pytest.raises(KeystoreError, match="already exists and is not overwritten"):
        create(path, ROOT, [ODD])
    assert path.read_bytes() == content


def test_a_link_to_the_keystore_stays_a_link(path: Path) -> None:
    """Writing through a symbolic link writes the file it names."""
    link = path.parent / "link.json"
    link.symlink_to(path)
    add_columns(link, ROOT, [ODD])
    assert link.is_symlink()
    assert load(path, ROOT).missing([ODD]) == ()


def test_a_write_that_fails_changes_nothing(path: Path) -> None:
    """A crash in the middle of writing leaves the old file whole and no half of a new one."""
    content = path.read_bytes()

    def fail(file: Any) -> None:
        file.write(content[:100])
        raise OSError(28, "No space left on device")

    with pytest.raises(KeystoreError, match="no space left on device"):
        _files.replace(path, fail)
    assert path.read_bytes() == content
    assert len(list(path.parent.iterdir())) == 2


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Missing directory, missing file, a directory in its place."""
    for call in (
        lambda: create(tmp_path / "missing" / "k.json", ROOT, []),
        lambda: load(tmp_path / "k.json", ROOT),
        lambda: load(tmp_path, ROOT),
    ):
        with pytest.raises(KeystoreError, match=str(tmp_path)):
            call()


WRITER = """
import sys
from keystore import RootKeySource, add_columns, add_version, load_root_key
path, root, name = sys.argv[1:]
key = load_root_key(RootKeySource("file", root))
for number in range(5):
    add_columns(path, key, [f"public.t.{name}_{number}"])
    add_version(path, key, "public.t.shared")
"""


def test_writers_take_turns(tmp_path: Path) -> None:
    """Four processes adding columns and versions at once lose none of each other's keys."""
    path, root = tmp_path / "keystore.json", tmp_path / "root.key"
    root_key = create_root_key(root)
    create(path, root_key, ["public.t.shared"])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(root), name])
        for name in "abcd"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    keyset = load(path, root_key)
    assert keyset.missing(f"public.t.{name}_{n}" for name in "abcd" for n in range(5)) == ()
    assert keyset.column("public.t.shared").version == 21
    assert from_json(path.read_bytes(), root_key, "").serial == 41


def test_a_reader_never_sees_half_a_file(path: Path) -> None:
    """Loading needs no lock: while another process rewrites the file, every load is whole."""
    script = (
        "import sys; from keystore import add_version; from keystore._raw import Secret;"
        "from keystore import RootKey\n"
        f"for _ in range(30): add_version(sys.argv[1], RootKey(Secret(bytes(32))), {EMAIL!r})"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
    loads = 0
    while writer.poll() is None:
        load(path, ROOT)
        loads += 1
    assert writer.returncode == 0
    assert loads > 1


# --- what it notices


def test_another_root_key_is_told_from_a_changed_file(path: Path) -> None:
    """The error for the wrong root key says so, and names both by their ids."""
    other = RootKey(Secret(bytes(31) + b"\1"))
    with pytest.raises(WrongRootKey) as caught:
        load(path, other)
    assert ROOT.id in str(caught.value)
    assert other.id in str(caught.value)
    assert caught.value.where == str(path)


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "an entry removed": lambda d: d["keys"].pop(),
    "an entry twice": lambda d: d["keys"].append(d["keys"][0]),
    "all entries removed": lambda d: d["keys"].clear(),
    "entries in another order": lambda d: d["keys"].reverse(),
    "an entry of another keystore": lambda d: d["keys"].append(foreign_entry()),
    "a key bound to another column": lambda d: d["keys"][0].update(column=SSN),
    "an index key made a data key": lambda d: d["keys"][1].update(purpose="data"),
    "another id": lambda d: d["keys"][0].update(id=d["keys"][0]["id"] ^ 1),
    "another version": lambda d: d["keys"][0].update(version=2),
    "another creation": lambda d: d["keys"][0].update(created="2001-01-01T00:00:00Z"),
    "a key brought back": lambda d: d["keys"][0].update(state="deactivated"),
    "another check value": lambda d: d["keys"][0].update(check="0" * 16),
    "wrapped keys exchanged": lambda d: exchange(d["keys"], "wrapped"),
    "columns exchanged": lambda d: exchange(d["keys"], "column"),
    "an earlier serial": lambda d: d.update(serial=7),
    "no MAC": lambda d: d.update(mac=""),
    "a MAC of another type": lambda d: d.update(mac=[1]),
    "a MAC that is no ASCII": lambda d: d.update(mac="é"),
}


def foreign_entry() -> dict[str, Any]:
    keys = from_json(to_json(Document(1, foreign_keys()), ROOT), ROOT, "").keys
    entry: dict[str, Any] = json.loads(to_json(Document(1, keys), ROOT))["keys"][0]
    return entry


def foreign_keys() -> tuple[Any, ...]:
    from keystore.keystore import _with_columns

    return _with_columns((), [ODD], {})


def exchange(entries: list[dict[str, Any]], name: str) -> None:
    entries[0][name], entries[2][name] = entries[2][name], entries[0][name]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_document_is_noticed(path: Path, change: str) -> None:
    """The MAC covers the set of entries and everything in them."""
    parsed = json.loads(path.read_bytes())
    CHANGES[change](parsed)
    path.write_text(json.dumps(parsed))
    with pytest.raises(TamperedKeystore, match="restore it from your copy") as caught:
        load(path, ROOT)
    assert caught.value.where == str(path)


# What each entry proves for itself; the set of entries is the MAC's alone.
OF_AN_ENTRY = [
    "an entry twice",
    "a key bound to another column",
    "an index key made a data key",
    "another id",
    "another version",
    "another creation",
    "a key brought back",
    "another check value",
    "wrapped keys exchanged",
    "columns exchanged",
]


@pytest.mark.parametrize("change", OF_AN_ENTRY)
def test_a_changed_entry_is_noticed_by_wrapping_alone(path: Path, change: str) -> None:
    """Even a document with a right MAC unwraps no key as something it was not wrapped as."""
    parsed = json.loads(path.read_bytes())
    CHANGES[change](parsed)
    del parsed["mac"]
    parsed["mac"] = ROOT.authenticate(_canonical(parsed)).hex()
    with pytest.raises(TamperedKeystore, match=r"holds key|names one key twice"):
        from_json(json.dumps(parsed).encode(), ROOT, "keystore.json")


def test_reformatting_is_harmless(path: Path) -> None:
    """Spelling is not content: other indentation and member order load as the same keys."""
    before = load(path, ROOT).version
    parsed = json.loads(path.read_bytes())
    path.write_text(json.dumps(dict(reversed(parsed.items())), sort_keys=False, indent=8))
    assert load(path, ROOT).version == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"format": "something"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": "sealgate-keystore", "version": 1}',
        b'{"format": "sealgate-keystore", "version": 2}',
        b'{"format": "sealgate-keystore", "format": "sealgate-keystore"}',
        b'{"format": "sealgate-keystore", "version": 1.0}',
        b'{"format": "sealgate-keystore", "version": NaN}',
        b'{"format": "sealgate-keystore", "version": ' + b"1" * 5000 + b"}",
    ],
    ids=lambda content: content[:40].decode("latin-1"),
)
def test_what_is_no_keystore_is_refused(path: Path, content: bytes) -> None:
    """Any other file is an error that names it, never another exception."""
    path.write_bytes(content)
    with pytest.raises(KeystoreError) as caught:
        load(path, ROOT)
    assert caught.value.where == str(path)
    assert not isinstance(caught.value, TamperedKeystore)


def test_a_member_given_twice_is_refused(path: Path) -> None:
    """Readers differ in which one counts; ours counts none."""
    content = path.read_bytes().replace(b'"serial": 1,', b'"serial": 1, "serial": 1,')
    path.write_bytes(content)
    with pytest.raises(KeystoreError, match="is not a keystore"):
        load(path, ROOT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", True),
        ("id", "7"),
        ("id", 0),
        ("id", 1 << 32),
        ("id", -1),
        ("version", 0),
        ("version", None),
        ("column", ""),
        ("column", 5),
        ("purpose", "both"),
        ("state", "enabled"),
        ("wrapped", None),
        ("created", 5),
        ("extra", "x"),
    ],
)
def test_entries_have_the_types_they_must_have(path: Path, name: str, value: object) -> None:
    """Also under a right MAC: a defect that writes nonsense is not read as something."""
    parsed = json.loads(path.read_bytes())
    parsed["keys"][0][name] = value
    del parsed["mac"]
    parsed["mac"] = ROOT.authenticate(_canonical(parsed)).hex()
    with pytest.raises(KeystoreError, match="missing, unknown or of a wrong type"):
        from_json(json.dumps(parsed).encode(), ROOT, "keystore.json")


CONTENT = to_json(Document(1, foreign_keys()), ROOT)
VERSION = Keyset(from_json(CONTENT, ROOT, "").keys).version


@given(at=st.integers(0, len(CONTENT) - 1), byte=st.integers(0, 255))
@example(at=0, byte=0)
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_byte_is_harmless_or_noticed(at: int, byte: int) -> None:
    """Any one byte replaced: the same keys (it was a blank), or a KeystoreError."""
    try:
        keys = from_json(CONTENT[:at] + bytes((byte,)) + CONTENT[at + 1 :], ROOT, "k").keys
    except KeystoreError:
        return
    assert Keyset(keys).version == VERSION


def test_a_cut_file_is_noticed() -> None:
    """Every prefix is refused but the one that lacks the last line's end."""
    for end in range(len(CONTENT) - 1):
        with pytest.raises(KeystoreError):
            from_json(CONTENT[:end], ROOT, "k")
    from_json(CONTENT[:-1], ROOT, "k")


def test_ids_are_drawn_until_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random id that is taken is not taken twice."""
    from keystore.keystore import _unused_id

    drawn = iter([4, 4, 9, 6])
    monkeypatch.setattr("keystore.keystore.secrets.randbelow", lambda bound: next(drawn))
    assert _unused_id({5, 10}) == 7


def test_a_root_key_opens_what_it_wrote_years_ago() -> None:
    """Derivations and the document's form are a promise: this keystore was written in version 0.1.0."""
    stored = Path(__file__).parent.parent / "vectors" / "keystore_v1.json"
    vector = json.loads(stored.read_text())
    root_key = RootKey(Secret(bytes.fromhex(vector["root_key"])))
    assert root_key.id == vector["root_key_id"]
    keyset = Keyset(from_json(json.dumps(vector["keystore"]).encode(), root_key, "vector").keys)
    assert keyset.version == vector["keyset_version"]
    for value in vector["values"]:
        stored_value = bytes.fromhex(value["sealed"])
        assert keyset.data_keys[key_id(stored_value)].open(stored_value).hex() == value["plaintext"]
        assert (
            keyset.column(value["column"]).equality_term(bytes.fromhex(value["plaintext"])).hex()
            == value["term"]
        )
