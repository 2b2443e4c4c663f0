"""Root keys: the one secret that is not in the keystore, and where it comes from. [io]

    provider "file"  a file that only its owner may read, made by `create_root_key`
    provider "env"   an environment variable with the same text

The text is `sealgate-root-key-v1:<64 hex digits>:<8 hex digits>`. The root key itself encrypts
nothing: HKDF gives one subkey to wrap keys, one to authenticate the keystore document, and an id
by which a keystore recognises its root key.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from keystore._files import reported, write_new
from keystore._raw import ROOT_KEY_PREFIX, Opaque, Secret
from keystore.errors import KeystoreError
from keystore.source import RootKeySource

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_TEXT: Final = 4096


@final
class RootKey(Opaque):
    """Wraps keys and authenticates the keystore; `id` tells one root key from another."""

    __slots__ = ("_cipher", "_keyed", "id")
    id: str
    _cipher: AESGCM
    _keyed: HMAC

    def __init__(self, secret: Secret) -> None:
        self._set(
            id=secret.derive("sealgate root key id v1").check_value(),
            _cipher=secret.derive("sealgate keystore wrapping v1").cipher(),
            _keyed=secret.derive("sealgate keystore document v1").keyed(),
        )

    def __repr__(self) -> str:
        return f"<RootKey {self.id}>"

    def authenticate(self, document: bytes) -> bytes:
        """HMAC-SHA-256 of a document under its own subkey: 32 bytes."""
        state = self._keyed.copy()
        state.update(document)
        return state.finalize()

    def wrap(self, secret: Secret, associated_data: bytes) -> bytes:
        return secret.wrap(self._cipher, associated_data)

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> Secret | None:
        """The key that was wrapped; None where anything of it or its associated data differs."""
        return Secret.unwrap(self._cipher, wrapped, associated_data)


def create_root_key(path: Path | str) -> RootKey:
    """Make a root key and write it to `path`, mode 0600. Never overwrites."""
    secret = Secret.generate()
    write_new(Path(path), secret.write_root_key)
    return RootKey(secret)


def load_root_key(source: RootKeySource) -> RootKey:
    """The root key at `source`. Raises KeystoreError naming file or variable, and the fix."""
    if source.provider == "env":
        return _from_environment(str(source.name))
    return _from_file(Path(str(source.path)))


def _from_file(path: Path) -> RootKey:
    with reported(path):
        # Not blocking: a named pipe in its place must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # Looked at through the descriptor: the file that was checked is the file that is read.
        _check_private(path, os.fstat(descriptor))
        with reported(path):
            secret = Secret.read_root_key(os.read(descriptor, _LONGEST_TEXT))
    finally:
        os.close(descriptor)
    if secret is None:
        raise _not_a_root_key(str(path))
    return RootKey(secret)


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeystoreError(str(path), "is not a regular file", "Name the root key's own file.")
    if status.st_mode & _OTHERS:
        raise KeystoreError(
            str(path),
            f"has mode {stat.S_IMODE(status.st_mode):04o}, so others may read the root key",
            f"Run `chmod 600 {path}`, and consider whether it has been read.",
        )
    if status.st_uid not in (0, os.geteuid()):
        raise KeystoreError(
            str(path),
            f"belongs to user {status.st_uid}, who may read and change the root key",
            f"Run `chown {os.geteuid()} {path}`, or start Sealgate as that user.",
        )


def _from_environment(name: str) -> RootKey:
    if name not in os.environ:
        raise KeystoreError(
            f"environment variable {name}",
            "is not set",
            "Set it to the text of a root key, as in the file that `sealgate init` makes.",
        )
    secret = Secret.read_root_key(os.environb.get(name.encode(), b""))
    if secret is None:
        raise _not_a_root_key(f"environment variable {name}")
    return RootKey(secret)


def _not_a_root_key(where: str) -> KeystoreError:
    return KeystoreError(
        where,
        "holds no root key, or one that was mistyped or cut off",
        f"Its text is one line that begins with {ROOT_KEY_PREFIX}: restore it from your copy.",
    )
