"""Root keys from a file and from the environment: what is accepted, and what errors say."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from keystore import KeystoreError, RootKeySource, create_root_key, load_root_key

VARIABLE = "SEALGATE_TEST_ROOT_KEY"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_root_key(tmp_path / "root.key")
    return tmp_path / "root.key"


def from_file(path: Path) -> str:
    return load_root_key(RootKeySource(provider="file", path=path)).id


def test_a_created_root_key_loads(tmp_path: Path) -> None:
    """What create_root_key wrote is the root key that it returned."""
    created = create_root_key(tmp_path / "root.key")
    assert from_file(tmp_path / "root.key") == created.id
    assert create_root_key(tmp_path / "other.key").id != created.id


def test_the_text_is_one_recognisable_line(path: Path) -> None:
    """Secret scanners can find it, and it can be pasted into a variable."""
    assert re.fullmatch(r"sealgate-root-key-v1:[0-9a-f]{64}:[0-9a-f]{8}\n", path.read_text())


def test_the_text_is_the_same_root_key_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both providers read one format, with or without the line's end."""
    for text in (path.read_text(), path.read_text().strip()):
        monkeypatch.setenv(VARIABLE, text)
        assert load_root_key(RootKeySource(provider="env", name=VARIABLE)).id == from_file(path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_the_owners_alone_under_any_umask(tmp_path: Path, umask: int) -> None:
    """Mode 0600, neither wider nor narrower."""
    before = os.umask(umask)
    try:
        create_root_key(tmp_path / "root.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "root.key").stat().st_mode) == 0o600


def test_creating_never_overwrites(path: Path) -> None:
    """Not a root key, not another file, not even a dangling link; and nothing is left behind."""
    text = path.read_text()
    (path.parent / "link").symlink_to("nowhere")
    for taken in (path, path.parent / "link"):
        with pytest.raises(KeystoreError, match="already exists and is not overwritten") as caught:
            create_root_key(taken)
        assert caught.value.where == str(taken)
    assert path.read_text() == text
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["link", "root.key"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o610, 0o601, 0o620])
def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    """Any bit for group or others, and the error has the command that mends it."""
    path.chmod(mode)
    with pytest.raises(KeystoreError) as caught:
        from_file(path)
    assert f"has mode {mode:04o}" in caught.value.problem
    assert f"chmod 600 {path}" in caught.value.fix


def test_a_read_only_file_is_accepted(path: Path) -> None:
    """Mode 0400 is stricter than asked, not wrong; a link to the file is followed."""
    path.chmod(0o400)
    (path.parent / "link").symlink_to(path)
    assert from_file(path.parent / "link") == from_file(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_refused(path: Path) -> None:
    """Its owner could change the root key under us."""
    os.chown(path, 12345, 0)
    with pytest.raises(KeystoreError, match="belongs to user 12345"):
        from_file(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-10],
        lambda text: text[1:],
        lambda text: text.replace("v1", "v2"),
        lambda text: text.upper(),
        lambda text: text + text,
        lambda text: text[:21] + ("1" if text[21] == "0" else "0") + text[22:],
        lambda text: text.split(":")[1],
        lambda text: "\ufeff" + text,
    ],
)
def test_damaged_text_is_no_root_key(
    path: Path, monkeypatch: pytest.MonkeyPatch, damage: object
) -> None:
    """One mistyped digit is found before another key is made of it; the error says where."""
    text = damage(path.read_text())  # type: ignore[operator]
    path.write_text(text)
    with pytest.raises(KeystoreError, match="holds no root key") as caught:
        from_file(path)
    assert caught.value.where == str(path)
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(KeystoreError, match="holds no root key") as caught:
        load_root_key(RootKeySource(provider="env", name=VARIABLE))
    assert caught.value.where == f"environment variable {VARIABLE}"


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file and an unset variable are named, with what to do."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(KeystoreError, match=r"missing\.key: no such file or directory"):
        from_file(tmp_path / "missing.key")
    with pytest.raises(KeystoreError, match=f"variable {VARIABLE}: is not set. Set it to"):
        load_root_key(RootKeySource(provider="env", name=VARIABLE))


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A directory is an error, and a named pipe does not hang the start."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeystoreError, match="is not a regular file"):
            from_file(path)


@pytest.mark.parametrize(
    "source",
    [
        {"provider": "vault"},
        {"provider": "file"},
        {"provider": "file", "name": "X"},
        {"provider": "file", "path": "x", "name": "X"},
        {"provider": "env"},
        {"provider": "env", "path": "x"},
    ],
)
def test_a_source_has_what_its_provider_needs(source: dict[str, str]) -> None:
    """A provider we do not have, or with the other one's key, is refused with both spellings."""
    with pytest.raises(KeystoreError, match=r'provider = "file", path') as caught:
        RootKeySource(**source)
    assert caught.value.where == "keystore.root_key"
