"""What can go wrong with keys and sealed values, named by whose fault it is.

`KeystoreError` is the operator's: a file, a mode, a root key. It always says where, what and how to
mend it. `TamperedValue` is nobody's we can name: a stored value is not what was sealed. Neither
ever carries a key, a plaintext, a ciphertext or a root key's text, and both are raised outside
`except` blocks so that no cause or context is chained to them either.
"""

from __future__ import annotations

from typing import ClassVar


class KeystoreError(Exception):
    """A root key, a keystore file or the keys in it cannot be used as asked.

    `where` is a file or variable, `problem` one clause, `fix` one sentence on what to do.
    """

    def __init__(self, where: str, problem: str, fix: str) -> None:
        super().__init__(f"{where}: {problem}. {fix}")
        self.where = where
        self.problem = problem
        self.fix = fix

    def __reduce__(self) -> tuple[type[KeystoreError], tuple[str, str, str]]:
        return type(self), (self.where, self.problem, self.fix)


class WrongRootKey(KeystoreError):
    """The keystore was written under another root key."""


class TamperedKeystore(KeystoreError):
    """The keystore's content is not what was written under this root key."""


class TamperedValue(Exception):
    """A stored value that this data key did not seal, or that was altered since.

    `reason` says which check failed, for the event and the operator. The text for the client is
    the exception's own: it names the column and nothing of the value.
    """

    sqlstate: ClassVar[str] = "XX001"  # data_corrupted

    def __init__(self, column: str, key_id: int, reason: str) -> None:
        super().__init__(f"sealed value in {column} failed authentication: {reason}")
        self.column = column
        self.key_id = key_id
        self.reason = reason

    def __reduce__(self) -> tuple[type[TamperedValue], tuple[str, int, str]]:
        return type(self), (self.column, self.key_id, self.reason)
