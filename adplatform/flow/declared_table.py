"""Where a table is declared, and which others are made of it, for the texts of messages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeclaredTable:
    """``place`` is the file, and ``has_columns`` whether its columns are there: those of a report are in none.
    ``made_of_it`` are the tables, in order from the nearest."""

    place: str = ""
    has_columns: bool = True
    made_of_it: tuple[str, ...] = ()
