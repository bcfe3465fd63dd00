"""Where a table is declared, and which others are made of it, for the texts of messages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeclaredTable:
    """``place`` is the file, and ``made_of_it`` are the tables, in order from the nearest."""

    place: str = ""
    made_of_it: tuple[str, ...] = ()


def unknown(_: str) -> DeclaredTable:
    """Of a table that nothing is known of."""
    return DeclaredTable()
