"""Where the root key is, as the configuration says: read by its annotations, which compiled classes do not keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keystore.errors import KeystoreError


@dataclass(frozen=True, slots=True)
class RootKeySource:
    """Where the root key is: `provider = "file"` with `path`, or `provider = "env"` with `name`."""

    provider: str
    path: Path | str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        given = (self.path is not None, self.name is not None)
        if given != {"file": (True, False), "env": (False, True)}.get(self.provider):
            raise KeystoreError(
                "keystore.root_key",
                f"provider {self.provider!r} with these keys is not a root key's source",
                'Write { provider = "file", path = "root.key" } or { provider = "env", name = "SEALGATE_ROOT_KEY" }.',
            )
