"""The sealed value, format version 1: one cell, encrypted and authenticated.

    offset  bytes
    0       2      magic 5E A1
    2       1      version, 1
    3       1      flags: 0x01 an equality term follows; 0x04 to 0x20 a further term each; 0x80 is reserved for padded plaintexts
    4       4      key id, big endian: one data key, and so one column
    8       0|16   equality term: HMAC-SHA-256(index key, equality form), first 16 bytes
    ...     2 + n  further terms in the order of their flags (`keystore.terms`), each behind its length, big endian
    ...     12     nonce, random; its first 8 bytes are the cell id
    ...     n      ciphertext, AES-256-GCM
    ...     16     tag; every byte before the nonce is associated data

Most columns' values differ before the nonce only in flag and equality term, so a key prebuilds the two headers
of these and reading a value is one comparison, not a parse. Values with further terms are measured (`terms_end`); what has
another magic, version or key id, or unknown flags, matches nothing. Only then is it worth finding out why (`_fault`).

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
from keystore.grams import gram_terms
from keystore.long import LONG
from keystore.order import OrderKey
from keystore.terms import CASEFOLD, FURTHER, LENGTH_SIZE, NO_TERMS, split

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

FLAGS: Final = EQUALITY | FURTHER
"""All that this release knows."""

_MINIMUM_SIZE: Final = {
    MAGIC + bytes((VERSION, flags)): OVERHEAD
    + TERM_SIZE * (flags & EQUALITY)
    + TERM_SIZE * bool(flags & CASEFOLD)
    + LENGTH_SIZE * (flags & FURTHER).bit_count()
    for flags in range(FLAGS + 1)
    if not flags & ~FLAGS
}
_WITH_FURTHER: Final = [header[3] for header in _MINIMUM_SIZE if header[3] & FURTHER]
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
    start = terms_end(value)
    return value[start : start + CELL_ID_SIZE]


def terms_end(value: bytes) -> int:
    """Where the nonce begins: behind the terms that the flags tell of. It may lie past the end of what is no whole value."""
    flags = value[3]
    at = _SPLIT_WITH_TERM if flags & EQUALITY else HEADER_SIZE
    further = flags & FURTHER
    while further:
        if further & 1 and at + 1 < len(value):
            at += LENGTH_SIZE + (value[at] << 8) + value[at + 1]
        further >>= 1
    return at


def terms_by_flag(value: bytes) -> dict[int, bytes]:
    """The terms of a sealed value, that of equality as well. It was opened, or made here."""
    block = value[HEADER_SIZE : terms_end(value)]
    if not value[3] & EQUALITY:
        return split(value[3], block)
    return {EQUALITY: block[:TERM_SIZE], **split(value[3], block[TERM_SIZE:])}


@final
class DataKey(Opaque):
    """One version of a column's data key, to open what it sealed."""

    __slots__ = ("_bare", "_decrypt", "_further", "_secret", "_termed", "column", "id", "version")
    column: str
    id: int
    version: int
    _bare: bytes
    _termed: bytes
    _further: frozenset[bytes]
    _decrypt: Callable[[bytes, bytes, bytes], bytes]
    _secret: Secret

    def __init__(self, column: str, id: int, version: int, secret: Secret) -> None:  # noqa: A002 - the field's name
        self._set(
            column=column,
            id=id,
            version=version,
            _bare=_header(0, id),
            _termed=_header(EQUALITY, id),
            _further=frozenset(_header(flags, id) for flags in _WITH_FURTHER),
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
        elif prefix in self._further:
            split = terms_end(value)
            prefix = value[:split]
        else:
            raise TamperedValue(self.column, self.id, self._fault(value))
        nonce_end = split + NONCE_SIZE
        size = len(value)
        if size > LONG and size >= nonce_end + TAG_SIZE:
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
        if value[3] & ~FLAGS:
            return f"flags 0x{value[3]:02x}, of which this release knows only 0x{FLAGS:02x}"
        if key_id(value) != self.id:
            return f"sealed under key {key_id(value):08x}, opened with {self.id:08x}"
        if not looks_sealed(value):
            return "truncated"
        return "the tag does not match"


@final
class ColumnKeys(Opaque):
    """What seals a column: its newest active data key, and its index key for search terms."""

    __slots__ = (
        "_bare",
        "_encrypt",
        "_folded",
        "_grams",
        "_keyed",
        "_order",
        "_paths",
        "_secret",
        "_termed",
        "column",
        "id",
        "version",
    )
    column: str
    id: int
    version: int
    _bare: bytes
    _termed: bytes
    _encrypt: Callable[[bytes, bytes, bytes], bytes]
    _secret: Secret
    _keyed: HMAC
    _folded: HMAC
    _grams: HMAC
    _paths: HMAC
    _order: OrderKey

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
            _folded=index.derive("sealgate casefold term v1").keyed(),
            _grams=index.derive("sealgate match term v1").keyed(),
            _paths=index.derive("sealgate path term v1").keyed(),
            _order=OrderKey(index.derive("sealgate order term v1")),
        )

    def __repr__(self) -> str:
        return f"<ColumnKeys of {self.column}, sealing with {self.id:08x}, version {self.version}>"

    def seal(
        self, plaintext: bytes, equality_form: bytes | None = None, further: bytes = NO_TERMS
    ) -> bytes:
        """`plaintext` sealed, with the term of `equality_form` where one is given, and with `terms.further` ones.

        The form is what the type calls equal (numeric 1.0 and 1.00 have one form); an empty form
        is a form. Two calls with the same arguments give different values.
        """
        return self._seal(plaintext, equality_form, _URANDOM(NONCE_SIZE), further)

    def seal_many(self, plaintexts: list[bytes], forms: list[bytes] | None = None) -> list[bytes]:
        """Each plaintext sealed, with the term of its form where forms are given: as many as plaintexts."""
        count = len(plaintexts)
        if forms is not None and len(forms) != count:
            raise ValueError("as many equality forms as plaintexts")
        nonces = _URANDOM(NONCE_SIZE * count)
        values = []
        for i in range(count):
            nonce = nonces[NONCE_SIZE * i : NONCE_SIZE * (i + 1)]
            form = None if forms is None else forms[i]
            values.append(self._seal(plaintexts[i], form, nonce, NO_TERMS))
        return values

    def equality_term(self, form: bytes) -> bytes:
        """16 bytes, the same for every equal value of this column, or its search group, and of no other."""
        return _keyed_term(self._keyed, form)

    def casefold_term(self, form: bytes) -> bytes:
        """16 bytes, the same for every text with this case-folded form."""
        return _keyed_term(self._folded, form)

    def order_term(self, form: bytes) -> bytes:
        """8 bytes for each byte of the form; terms sort as forms do. See `keystore.order`."""
        return self._order.term(form)

    def gram_terms(self, grams: list[bytes]) -> bytes:
        """4 bytes for each gram: sorted, distinct, as signed integers, big endian."""
        return gram_terms(self._grams, grams)

    def path_terms(self, forms: list[bytes]) -> bytes:
        """16 bytes for each form of a value at a path, distinct, in no order that tells of the forms."""
        return b"".join(sorted({_keyed_term(self._paths, form) for form in forms}))

    def _seal(
        self,
        plaintext: bytes,
        equality_form: bytes | None,
        nonce: bytes,
        further: bytes = NO_TERMS,
    ) -> bytes:
        """Deterministic, for `seal` and the test vectors: a nonce used twice breaks GCM."""
        if equality_form is None:
            prefix = self._bare
        else:
            prefix = self._termed + self.equality_term(equality_form)
        if further:
            flags = prefix[3] | further[0]
            prefix = prefix[:3] + bytes((flags,)) + prefix[4:] + further[1:]
        if len(plaintext) > LONG:
            return long.seal(self._secret, nonce, plaintext, prefix)
        return prefix + nonce + self._encrypt(nonce, plaintext, prefix)


def _keyed_term(keyed: HMAC, form: bytes) -> bytes:
    state = keyed.copy()
    if len(form) > LONG:
        long.update(state, form)
    else:
        state.update(form)
    term: bytes = state.finalize()
    return term[:TERM_SIZE]


def _header(flags: int, key: int) -> bytes:
    return MAGIC + bytes((VERSION, flags)) + key.to_bytes(4, "big")
