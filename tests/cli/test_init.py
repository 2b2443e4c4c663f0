"""`sealgate init`: creates both files for their owner only, or neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import keystore
from proxy.cli import main

CONFIGURATION = """
[control]
dsn = "postgresql://sealgate@127.0.0.1:5432/shop"

[columns."public.customers.email"]
type = "text"

[columns."public.customers.ssn"]
type = "text"
"""
COLUMNS = ["public.customers.email", "public.customers.ssn"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sealgate.toml"
    path.write_text(CONFIGURATION)
    return path


def test_creates_root_key_and_keystore(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both have mode 0600, and the keystore opens with the root key and has the columns' keys."""
    assert main(["init", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "sealgate apply --dry-run" in said
    root_key = keystore.load_root_key(keystore.RootKeySource("file", file.parent / "root.key"))
    keyset = keystore.load(file.parent / "keystore.json", root_key)
    assert keyset.missing(COLUMNS) == ()
    for name in ("root.key", "keystore.json"):
        assert (file.parent / name).stat().st_mode & 0o777 == 0o600
        assert (file.parent / name).read_text().strip() not in said


def test_says_what_it_created_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: paths and columns."""
    assert main(["init", "--json", "--config", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "root_key": str(file.parent / "root.key"),
        "keystore": str(file.parent / "keystore.json"),
        "columns": COLUMNS,
    }


@pytest.mark.parametrize("existing", ["root.key", "keystore.json"])
def test_refuses_to_overwrite_either(
    file: Path, existing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that exists stays as it was, and the other is not created."""
    (file.parent / existing).write_text("precious")
    assert main(["init", "--config", str(file)]) == 1
    assert f"{existing} exists and is not overwritten" in capsys.readouterr().err
    assert sorted(path.name for path in file.parent.iterdir()) == sorted([existing, file.name])
    assert (file.parent / existing).read_text() == "precious"


def test_takes_a_root_key_from_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the provider "env" no root key is made; without the variable nothing is."""
    file.write_text(
        CONFIGURATION + '[keystore]\nroot_key = { provider = "env", name = "SEALGATE_TEST_KEY" }\n'
    )
    monkeypatch.delenv("SEALGATE_TEST_KEY", raising=False)
    assert main(["init", "--config", str(file)]) == 1
    assert "SEALGATE_TEST_KEY: is not set" in capsys.readouterr().err
    assert not (file.parent / "keystore.json").exists()

    keystore.create_root_key(file.parent / "made.key")
    text = (file.parent / "made.key").read_text().strip()
    monkeypatch.setenv("SEALGATE_TEST_KEY", text)
    assert main(["init", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "environment variable SEALGATE_TEST_KEY" in said
    assert text not in said
    assert not (file.parent / "root.key").exists()


def test_a_directory_that_is_missing_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system's reason and the file, in one line."""
    file.write_text(CONFIGURATION + '[keystore]\npath = "missing/keystore.json"\n')
    assert main(["init", "--config", str(file)]) == 1
    assert "missing/keystore.json" in capsys.readouterr().err
