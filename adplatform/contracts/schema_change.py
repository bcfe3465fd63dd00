"""How the files of a feed differ from what it declares, a column at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    """ADDED is a column that nobody declared, VANISHED a declared one that files lack. RENAMED is one of each that are
    probably the same; RETYPED is a column of which most values are not of its type any more."""

    ADDED = "added"
    VANISHED = "vanished"
    RENAMED = "renamed"
    RETYPED = "retyped"


@dataclass(frozen=True)
class SchemaChange:
    """``column`` is the declared one, or of an ADDED one what the file calls it. ``became`` is the header that a
    RENAMED column has, or the type that files have for one, "" where they have text. A column whose name may be a value
    has its ``place`` in the header instead, from 1, and a ``mark`` that tells it from others. ``file`` is the first
    file with the change, as messages call it. ``pii`` is the kind of personal data that an ADDED one certainly has."""

    kind: ChangeKind
    column: str = ""
    became: str = ""
    place: int = 0
    mark: str = ""
    file: str = ""
    pii: str = ""

    @property
    def key(self) -> str:
        """The same whichever file shows the change, and when."""
        became = self.became if self.kind is ChangeKind.RENAMED else ""
        return "/".join((self.kind, self.mark or self.column, became))

    @property
    def called(self) -> str:
        """The column, as it may be called before anybody."""
        return self.column or f"column number {self.place}"

    def __str__(self) -> str:
        kind = f" ({self.became})" if self.became else ""
        match self.kind:
            case ChangeKind.ADDED if self.column:
                return f"files have a column that nobody declared: {self.column!r}{kind}"
            case ChangeKind.ADDED:
                return f"files have a column that nobody declared, number {self.place} (its name may be a value)"
            case ChangeKind.VANISHED:
                return f"files lack the column {self.column}"
            case ChangeKind.RENAMED:
                return f"files lack the column {self.column}, and have {self.became!r} that is probably it"
            case ChangeKind.RETYPED:
                return f"most values of {self.column} are not of its type any more{kind}"


def merged(changes: Iterable[SchemaChange]) -> tuple[SchemaChange, ...]:
    """Each change once, with the first file that has it."""
    found: dict[str, SchemaChange] = {}
    for change in changes:
        found.setdefault(change.key, change)
    return tuple(found.values())
