"""Key bytes come out of no object, exception or traceback, and stay in one module."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import resource
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import keystore
from keystore import KeystoreError, RootKey, RootKeySource, TamperedValue
from keystore._raw import Secret
from keystore.document import Document, from_json, to_json
from keystore.key import Key, KeyState, Purpose
from keystore.keyset import Keyset
from keystore.sealed import ColumnKeys, DataKey

DATA, INDEX, ROOT = (bytes(range(start, start + 32)) for start in (0x41, 0x81, 0xC1))
PROJECT = Path(__file__).parent.parent.parent


def objects() -> dict[str, object]:
    data, index = Secret(DATA), Secret(INDEX)
    key = Key(7, "public.t.c", Purpose.DATA, 1, "2025-01-01T00:00:00Z", KeyState.ACTIVE, data)
    other = dataclasses.replace(key, id=8, purpose=Purpose.INDEX, secret=index)
    return {
        "Secret": data,
        "Key": key,
        "Keyset": Keyset([key, other]),
        "DataKey": DataKey("public.t.c", 7, 1, data),
        "ColumnKeys": ColumnKeys("public.t.c", 7, 1, data, index),
        "RootKey": RootKey(Secret(ROOT)),
        "Document": Document(1, (key, other)),
    }


def assert_shows_no_key(text: str) -> None:
    """Neither raw, escaped, nor as hexadecimal or a list of numbers: any 6 bytes of a key."""
    for material in (DATA, INDEX, ROOT):
        for start in range(len(material) - 6):
            part = material[start : start + 6]
            for shown in (
                part.decode("latin-1"),
                repr(part)[2:-1],
                part.hex(),
                part.hex().upper(),
                str(list(part))[1:-1],
            ):
                assert shown not in text


def test_the_search_would_find_a_key() -> None:
    """The assertion of this file is not vacuous."""
    for shown in (repr(DATA), DATA.hex(), str(list(ROOT)), f"key={INDEX.hex().upper()}"):
        with pytest.raises(AssertionError):
            assert_shows_no_key(shown)


@pytest.mark.parametrize("name", objects())
def test_no_representation_shows_a_key(name: str) -> None:
    """repr, str and format of everything that holds a key."""
    thing = objects()[name]
    for text in (repr(thing), str(thing), f"{thing}", f"{thing!a}", f"{[thing]}"):
        assert_shows_no_key(text)


@pytest.mark.parametrize("name", objects())
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(lambda thing, p=p: pickle.dumps(thing, p) for p in range(6))],
)
def test_keys_are_not_copied_or_pickled(name: str, copied: Callable[[object], object]) -> None:
    """Copying and pickling fail, or copy a value whose secret is the same opaque object."""
    thing = objects()[name]
    if name in ("Key", "Document") and copied is copy.copy:
        assert_shows_no_key(repr(copied(thing)))
        return
    with pytest.raises(TypeError) as caught:
        copied(thing)
    assert_shows_no_key(str(caught.value))


@pytest.mark.parametrize("name", [name for name in objects() if name not in ("Key", "Document")])
def test_keys_are_frozen_and_have_no_state_to_show(name: str) -> None:
    """No attribute can be set or removed, and neither vars nor __getstate__ answers."""
    thing = objects()[name]
    with pytest.raises(AttributeError, match="frozen"):
        thing.column = "public.t.other"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="frozen"):
        del thing.id  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        vars(thing)
    with pytest.raises(TypeError):
        thing.__getstate__()


def test_a_keyset_key_map_is_read_only() -> None:
    """Nobody adds a key to a keyset that others hold."""
    keyset = keystore.generate(["public.t.c"])
    with pytest.raises(TypeError):
        keyset.data_keys[9] = next(iter(keyset.data_keys.values()))  # type: ignore[index]


def failures(directory: Path) -> Iterator[Callable[[], object]]:
    """Calls that fail while a key is near."""
    text = f"sealgate-root-key-v1:{ROOT.hex()}:00000000\n"
    for name, damaged in (("digest", text), ("prefix", text[9:]), ("short", text[:70])):
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(damaged)
        yield partial(keystore.load_root_key, RootKeySource("file", path))
    keys = objects()
    root, key, document = keys["RootKey"], keys["DataKey"], keys["Document"]
    assert isinstance(root, RootKey)
    assert isinstance(key, DataKey)
    assert isinstance(document, Document)
    content = to_json(document, root)
    yield lambda: key.open(b"\x5e\xa1\x01\0\0\0\0\x07" + bytes(40))
    yield lambda: key.open(b"")
    yield lambda: from_json(content, RootKey(Secret(DATA)), "keystore.json")
    yield lambda: from_json(content.replace(b"active", b"suspended"), root, "keystore.json")
    yield lambda: keystore.create(directory / "missing" / "keystore.json", root, ["public.t.c"])
    yield lambda: keystore.create_root_key(directory / "digest")
    yield lambda: Secret(ROOT + b"too long")


def test_no_failure_shows_a_key(tmp_path: Path) -> None:
    """Neither message, arguments, chained exceptions nor the locals of any frame of ours hold a key."""
    for fail in failures(tmp_path):
        with pytest.raises((KeystoreError, TamperedValue, ValueError)) as caught:
            fail()
        error: BaseException | None = caught.value
        while error is not None:
            assert_shows_no_key(f"{error!r} {error.args!r} {vars(error)!r}")
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if Path(frame.f_code.co_filename).parent.name == "keystore" and (
                    "tests" not in frame.f_code.co_filename
                ):
                    assert_shows_no_key(repr(frame.f_locals))
            error = error.__cause__ or error.__context__


def test_a_failed_write_of_a_root_key_shows_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses the bytes leaves no text of the key in the traceback, and no file."""
    monkeypatch.setattr(Secret, "generate", classmethod(lambda cls: cls(ROOT)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(KeystoreError) as caught:
            keystore.create_root_key(tmp_path / "root.key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert_shows_no_key("".join(shown.format()))
    assert caught.value.problem == "file too large"
    assert list(tmp_path.iterdir()) == []


def test_only_keystore_imports_the_key_bytes() -> None:
    """`keystore._raw` is imported in `keystore` and its tests, and nowhere else."""
    importing = re.compile(r"keystore\._raw|from keystore import .*\b_raw\b")
    for package in ("proxy", "policy", "bench"):
        for path in (PROJECT / package).rglob("*.py"):
            assert not importing.search(path.read_text()), path


def test_a_keystore_file_shows_no_key() -> None:
    """The document holds keys wrapped only."""
    things = objects()
    document, root = things["Document"], things["RootKey"]
    assert isinstance(document, Document)
    assert isinstance(root, RootKey)
    assert_shows_no_key(to_json(document, root).decode("latin-1"))


def test_exceptions_cross_process_borders() -> None:
    """Errors carry no key, so they may be pickled (a worker's error reaches its parent whole)."""
    for error in (KeystoreError("a", "b", "c"), TamperedValue("public.t.c", 7, "truncated")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
