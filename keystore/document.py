"""The keystore document: wrapped keys as JSON, and what makes it trustworthy.

    {"format": "sealgate-keystore", "version": 1, "serial": 3, "root_key": "<id>",
     "keys": [{"id", "column", "purpose", "version", "created", "state", "check", "wrapped"}, ...],
     "mac": "<HMAC-SHA-256 of everything above under a subkey of the root key>"}

Two layers, because each alone leaves a hole. Wrapping binds a key to its id, column, purpose, version,
creation and state, so an entry cannot be turned into another. The MAC binds the set of
entries, so none can be removed, added from another keystore, or put in twice. What neither can see
is a whole older document put back: `serial` counts the writes, for whoever keeps the last one.

MACs are over the parsed content in one canonical spelling, so reformatting the file is harmless.
Duplicate names and numbers that are no integers are refused before that: a reader that took the
other one would read something else than what was authenticated.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from keystore.errors import KeystoreError, TamperedKeystore, WrongRootKey
from keystore.key import Key, KeyState, Purpose
from keystore.rootkey import RootKey

FORMAT: Final = "sealgate-keystore"
VERSION: Final = 1
_ROOT_KEY_ID: Final = re.compile("[0-9a-f]{16}")
_MEMBERS: Final = {"format", "version", "serial", "root_key", "keys", "mac"}
_ENTRY: Final = {
    "id": int,
    "column": str,
    "purpose": str,
    "version": int,
    "created": str,
    "state": str,
    "check": str,
    "wrapped": str,
}


@dataclass(frozen=True, slots=True)
class Document:
    """The keys of a keystore, and how many times it has been written."""

    serial: int
    keys: tuple[Key, ...]


def to_json(document: Document, root_key: RootKey) -> bytes:
    """`document` under `root_key`. Wrapping draws nonces: two calls give different bytes."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "serial": document.serial,
        "root_key": root_key.id,
        "keys": [_entry(key, root_key) for key in document.keys],
    }
    content["mac"] = root_key.authenticate(_canonical(content)).hex()
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def from_json(content: bytes, root_key: RootKey, where: str) -> Document:
    """The document in `content`, authenticated. Errors name `where`.

    Raises WrongRootKey, TamperedKeystore, or KeystoreError where it is no keystore at all.
    """
    parsed = _parse(content, where)
    if parsed["root_key"] != root_key.id:
        raise WrongRootKey(
            where,
            f"was written under another root key ({parsed['root_key']}, not {root_key.id})",
            "Point keystore.root_key at the root key this keystore was made with.",
        )
    mac = parsed.pop("mac")
    expected = root_key.authenticate(_canonical(parsed)).hex()
    if not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), expected.encode()):
        raise _tampered(where, "does not carry the MAC of its content")
    keys = tuple(_key(entry, root_key, where) for entry in parsed["keys"])
    _check_set(keys, where)
    return Document(parsed["serial"], keys)


def _entry(key: Key, root_key: RootKey) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": key.id,
        "column": key.column,
        "purpose": key.purpose.value,
        "version": key.version,
        "created": key.created,
        "state": key.state.value,
        "check": "",
        "wrapped": "",
    }
    if key.secret is not None:  # a destroyed key leaves its entry, so that its id stays taken
        entry["check"] = key.secret.check_value()
        entry["wrapped"] = base64.b64encode(root_key.wrap(key.secret, _bound(entry))).decode()
    return entry


def _key(entry: dict[str, Any], root_key: RootKey, where: str) -> Key:
    name = f"key {entry['id']} of {entry['column']}"
    state = KeyState(entry["state"])
    secret = None
    if state is not KeyState.DESTROYED:
        secret = root_key.unwrap(_decoded(entry["wrapped"]), _bound(entry))
        if secret is None:
            raise _tampered(where, f"holds {name} wrapped for another entry, or altered")
        if secret.check_value() != entry["check"]:
            raise _tampered(where, f"holds {name} with the check value of another key")
    return Key(
        id=entry["id"],
        column=entry["column"],
        purpose=Purpose(entry["purpose"]),
        version=entry["version"],
        created=entry["created"],
        state=state,
        secret=secret,
    )


def _bound(entry: dict[str, Any]) -> bytes:
    """Associated data of a wrapped key."""
    names = ("id", "column", "purpose", "version", "created", "state")
    return _canonical(["sealgate keystore key v1", *(entry[name] for name in names)])


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""  # no wrapped key: unwrapping says so


def _parse(content: bytes, where: str) -> dict[str, Any]:
    """The document's JSON with every member of the type it must have."""
    try:
        parsed = json.loads(
            content, object_pairs_hook=_no_twins, parse_float=_no_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict) or parsed.get("format") != FORMAT:
        raise KeystoreError(
            where, "is not a keystore, or not a whole one", "Restore it from your copy."
        )
    if parsed.get("version") != VERSION:
        raise KeystoreError(
            where,
            f"has keystore version {parsed.get('version')!r}; this release reads {VERSION}",
            "Use the release of Sealgate that wrote it, or a newer one.",
        )
    if not _well_formed(parsed):
        raise KeystoreError(
            where, "has members missing, unknown or of a wrong type", "Restore it from your copy."
        )
    return parsed


def _well_formed(parsed: dict[str, Any]) -> bool:
    return (
        parsed.keys() == _MEMBERS
        and type(parsed["serial"]) is int
        and parsed["serial"] >= 1
        and isinstance(parsed["root_key"], str)
        and _ROOT_KEY_ID.fullmatch(parsed["root_key"]) is not None  # quoted in an error
        and isinstance(parsed["keys"], list)
        and all(_well_formed_entry(entry) for entry in parsed["keys"])
    )


def _well_formed_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == _ENTRY.keys()
        # `type`, not isinstance: JSON's true is no key id.
        and all(type(entry[name]) is expected for name, expected in _ENTRY.items())
        and 1 <= entry["id"] < 1 << 32
        and entry["version"] >= 1
        and entry["column"] != ""
        and entry["purpose"] in {purpose.value for purpose in Purpose}
        and entry["state"] in {state.value for state in KeyState}
    )


def _check_set(keys: tuple[Key, ...], where: str) -> None:
    """Authentic documents hold this; a defect of ours must not seal under an ambiguous key."""
    ids = {key.id for key in keys}
    versions = {(key.column, key.purpose, key.version) for key in keys}
    if len(ids) != len(keys) or len(versions) != len(keys):
        raise _tampered(where, "names one key twice")


def _tampered(where: str, problem: str) -> TamperedKeystore:
    return TamperedKeystore(
        where, problem, "Somebody changed the file: restore it from your copy and find out who."
    )


def _no_twins(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _no_number(text: str) -> None:
    raise ValueError("a keystore holds no such number")
