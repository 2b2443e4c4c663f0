"""`honey.json`: which rows and columns are honey. Mode 0600: who knows it walks around it. [io]"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from proxy.detection.honey import Honey, HoneyDamaged, read_honey
from proxy.detection.state_file import StateFile, StateUnreadable

NAME: Final = "honey.json"


class HoneyFile(StateFile):
    """`state`: the directory ([audit] state)."""

    def __init__(self, state: Path) -> None:
        super().__init__(state / NAME)

    def read(self) -> Honey:
        """A file that is not there: there is no honey. Raises StateUnreadable."""
        data = self.data()
        if data is None:
            return Honey()
        try:
            return read_honey(data.decode("utf-8", "surrogatepass"))
        except (HoneyDamaged, UnicodeDecodeError) as damaged:
            text = str(damaged) if isinstance(damaged, HoneyDamaged) else "is damaged"
            raise StateUnreadable(text) from None

    def change(self, changed: Callable[[Honey], Honey]) -> None:
        """Raises StateUnreadable, OSError."""
        with self.locked():
            self.write(changed(self.read()).text())
