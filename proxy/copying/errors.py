"""What is wrong with a stream of COPY data."""

from __future__ import annotations

BAD_COPY_FILE_FORMAT = "22P04"


class CopyError(Exception):
    """The data is not what the server would take: its SQLSTATE and words, without the data. Holds no value."""

    def __init__(
        self, message: str, hint: str = "", sqlstate: str = BAD_COPY_FILE_FORMAT, column: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.sqlstate = sqlstate
        self.column = column
