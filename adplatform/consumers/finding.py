"""What keeps a service from reading a table as it is meant to."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """With an ``error`` the service refuses the table, drops rows, or shows what it must not; with a ``warning`` it may
    read something else than is meant. ``setting`` is where that is said below the consumer, as ``rule.join``, and
    ``column`` the one concerned, "" for the table. ``text`` says what to do, and holds no value of the data."""

    level: Level
    text: str
    column: str = ""
    setting: str = ""

    def __str__(self) -> str:
        return f"column {self.column}: {self.text}" if self.column else self.text
