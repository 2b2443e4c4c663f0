"""The sealed value, format version 1: one cell, encrypted and authenticated.

    offset  bytes
    0       2      magic 5E A1
    2       1      version, 1
    3       1      flags: 0x01 an equality term follows; 0x80 is reserved for padded plaintexts
    4       4      key id, big endian: one data key, and so one column
    8       0|16   equality term: HMAC-SHA-256(index key, equality form), first 16 bytes
    ...     12     nonce, random; its first 8 bytes are the cell id
    ...     n      ciphertext, AES-256-GCM
    ...     16     tag; every byte before the nonce is associated data

Values of one key differ before the nonce only in flag and term, so a key prebuilds the two headers
it can meet and reading a value is one comparison, not a parse: what has another magic, version,
flag or key id matches neither. Only then is it worth finding out why (`_fault`).

NIST SP 800-38D (8.3) allows 2^32 values under one key with random nonces. Nothing here counts them
(several proxies seal at once): give a column a fresh key, `add_version`, well before that. Nonces come from the system
for each call: a store of them would save 0.4 us and hand the same ones to both sides of a fork. `seal_many` draws those
of its values at once, and none outlives the call.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hmac import HMAC

from keystore import long
from keystore._raw import Opaque, Secret
from keystore.errors import TamperedValue
from keystore.long import LONG

MAGIC: Final = b"\x5e\xa1"
VERSION: Final = 1
EQUALITY: Final = 0x01
PADDED: Final = 0x80  # reserved: no release writes it, and reading refuses it until one does

HEADER_SIZE: Final = 8
TERM_SIZE: Final = 16
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
CELL_ID_SIZE: Final = 8
OVERHEAD: Final = HEADER_SIZE + NONCE_SIZE + TAG_SIZE  # 36 bytes over the plaintext
OVERHEAD_WITH_TERM: Final = OVERHEAD + TERM_SIZE  # 52

_MINIMUM_SIZE: Final = {
    MAGIC + bytes((VERSION, 0)): OVERHEAD,
    MAGIC + bytes((VERSION, EQUALITY)): OVERHEAD_WITH_TERM,
}
_NEVER: Final = 1 << 62
_SPLIT_WITH_TERM: Final = HEADER_SIZE + TERM_SIZE
_URANDOM: Final = urandom
"""Compiled, a name that was imported is looked up at each call; this is not."""


def looks_sealed(value: bytes) -> bool:
    """Whether `value` has the form of a sealed value: magic, version, known flags, length.

    Says nothing of who sealed it; only `DataKey.open` does.
    """
    return len(value) >= _MINIMUM_SIZE.get(value[:4], _NEVER)


def key_id(value: bytes) -> int:
    """The data key that `value` names, to be looked up in `Keyset.data_keys`. It must look sealed."""
    return int.from_bytes(value[4:8], "big")


def cell_id(value: bytes) -> bytes:
    """The 8 bytes by which the access log names this stored value. It must look sealed."""
    start = _SPLIT_WITH_TERM if value[3] & EQUALITY else HEADER_SIZE
    return value[start : start + CELL_ID_SIZE]


@final
class DataKey(Opaque):
    """One version of a column's data key, to open what it sealed."""

    __slots__ = ("_bare", "_decrypt", "_secret", "_termed", "column", "id", "version")
    column: str
    id: int
    version: int
    _bare: bytes
    _termed: bytes
    _decrypt: Callable[[bytes, bytes, bytes], bytes]
    _secret: Secret

    def __init__(self, column: str, id: int, version: int, secret: Secret) -> None:  # noqa: A002 - the field's name
        self._set(
            column=column,
            id=id,
            version=version,
            _bare=_header(0, id),
            _termed=_header(EQUALITY, id),
            _decrypt=secret.cipher().decrypt,
            _secret=secret,
        )

    def __repr__(self) -> str:
        return f"<DataKey {self.id:08x} of {self.column}, version {self.version}>"

    def open(self, value: bytes) -> bytes:
        """The plaintext in `value`. Raises TamperedValue for anything this key did not seal."""
        prefix = value[:HEADER_SIZE]
        if prefix == self._termed:
            split = _SPLIT_WITH_TERM
            prefix = value[:split]
        elif prefix == self._bare:
            split = HEADER_SIZE
        else:
            raise TamperedValue(self.column, self.id, self._fault(value))
        nonce_end = split + NONCE_SIZE
        size = len(value)
        if size > LONG:
            plaintext = long.unseal(self._secret, value, split)
            if plaintext is not None:
                return plaintext
        elif size >= nonce_end + TAG_SIZE:
            try:
                return self._decrypt(value[split:nonce_end], value[nonce_end:], prefix)
            except InvalidTag:
                pass  # raised below, where no cause is chained to it
        raise TamperedValue(self.column, self.id, self._fault(value))

    def open_many(self, values: list[bytes]) -> list[bytes]:
        """The plaintexts, in order. Raises TamperedValue if this key did not seal all of them."""
        return [self.open(value) for value in values]

    def _fault(self, value: bytes) -> str:
        """Which of the format's rules `value` breaks; not for the hot path."""
        if len(value) < HEADER_SIZE:
            return "shorter than a header"
        if value[:2] != MAGIC:
            return "no sealed value's magic bytes"
        if value[2] != VERSION:
            return f"format version {value[2]}, which this release does not know"
        if value[3] & ~EQUALITY:
            return f"flags 0x{value[3]:02x}, of which this release knows only 0x01"
        if key_id(value) != self.id:
            return f"sealed under key {key_id(value):08x}, opened with {self.id:08x}"
        if not looks_sealed(value):
            return "truncated"
        return "the tag does not match"


@final
class ColumnKeys(Opaque):
    """What seals a column: its newest active data key, and its index key for search terms."""

    __slots__ = ("_bare", "_encrypt", "_keyed", "_secret", "_termed", "column", "id", "version")
    column: str
    id: int
    version: int
    _bare: bytes
    _termed: bytes
    _encrypt: Callable[[bytes, bytes, bytes], bytes]
    _secret: Secret
    _keyed: HMAC

    def __init__(self, column: str, id: int, version: int, data: Secret, index: Secret) -> None:  # noqa: A002 - the field's name
        self._set(
            column=column,
            id=id,
            version=version,
            _bare=_header(0, id),
            _termed=_header(EQUALITY, id),
            _encrypt=data.cipher().encrypt,
            _secret=data,
            _keyed=index.keyed(),
        )

    def __repr__(self) -> str:
        return f"<ColumnKeys of {self.column}, sealing with {self.id:08x}, version {self.version}>"

    def seal(self, plaintext: bytes, equality_form: bytes | None = None) -> bytes:
        """`plaintext` sealed, with the term of `equality_form` where one is given.

        The form is what the type calls equal (numeric 1.0 and 1.00 have one form); an empty form
        is a form. Two calls with the same arguments give different values.
        """
        return self._seal(plaintext, equality_form, _URANDOM(NONCE_SIZE))

    def seal_many(self, plaintexts: list[bytes], forms: list[bytes] | None = None) -> list[bytes]:
        """Each plaintext sealed, with the term of its form where forms are given: as many as plaintexts."""
        count = len(plaintexts)
        if forms is not None and len(forms) != count:
            raise ValueError("as many equality forms as plaintexts")
        nonces = _URANDOM(NONCE_SIZE * count)
        values = []
        for i in range(count):
            nonce = nonces[NONCE_SIZE * i : NONCE_SIZE * (i + 1)]
            values.append(self._seal(plaintexts[i], None if forms is None else forms[i], nonce))
        return values

    def equality_term(self, form: bytes) -> bytes:
        """16 bytes, the same for every equal value of this column and of no other column."""
        state = self._keyed.copy()
        if len(form) > LONG:
            long.update(state, form)
        else:
            state.update(form)
        term: bytes = state.finalize()
        return term[:TERM_SIZE]

    def _seal(self, plaintext: bytes, equality_form: bytes | None, nonce: bytes) -> bytes:
        """Deterministic, for `seal` and the test vectors: a nonce used twice breaks GCM."""
        if equality_form is None:
            prefix = self._bare
        else:
            prefix = self._termed + self.equality_term(equality_form)
        if len(plaintext) > LONG:
            return long.seal(self._secret, nonce, plaintext, prefix)
        return prefix + nonce + self._encrypt(nonce, plaintext, prefix)


def _header(flags: int, key: int) -> bytes:
    return MAGIC + bytes((VERSION, flags)) + key.to_bytes(4, "big")
