"""What is found while a contract is read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


def one_line(text: str) -> str:
    """A text of others as it may stand in a comment or on a terminal."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


@dataclass(frozen=True)
class Left:
    """Something in a contract that no declaration can carry: where it stands, why, and what to do."""

    place: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return one_line(f"{self.place}: {self.reason}; {self.remedy}")


@dataclass(frozen=True)
class Notes:
    """``left`` is what is not carried; ``asks`` are what somebody has to decide, in sentences."""

    left: list[Left] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)

    def leave(self, place: str, reason: str, remedy: str) -> None:
        self.left.append(Left(place, reason, remedy))

    def ask(self, text: str) -> None:
        self.asks.append(one_line(text))

    def leave_others(self, given: Mapping[str, Any], known: Collection[str], place: str) -> None:
        """Name every member that is not known."""
        for name in given:
            if name not in known:
                reason, remedy = _OTHERS.get(name, _NO_WORD)
                self.leave(f"{place}.{name}" if place else name, reason, remedy)


_KEEP = "keep it in the contract"
_NO_WORD = ("a declaration has no word for it", _KEEP)
_OTHERS: Mapping[str, tuple[str, str]] = {
    "authoritativeDefinitions": ("a declaration has no links", "put what matters in the description"),
    "businessName": ("a column has one name and a comment", "put it in the comment"),
    "criticalDataElement": _NO_WORD,
    "encryptedName": ("columns are stored in the forms that pii names", "set pii with kind and treatment"),
    "examples": ("values of files stay out of declarations", "try a sample by `adplatform check-file`"),
    "items": ("lists are no column", "have the sender write one row for each member, or one text"),
    "price": _NO_WORD,
    "relationships": ("tables are checked each by itself", "test it behind the table, in dbt for example"),
    "roles": ("who may read is set in AWS", "grant it in Lake Formation or IAM"),
    "slaDefaultElement": ("what a time is measured on is fixed", _KEEP),
    "support": ("messages go to SNS topics", "set topics of the source"),
    "physicalName": ("a table is called as its feed", "rename the feed, if it is to be called so"),
    "tags": ("assets have tags of a name and a value", "set tags of the source"),
    "transformDescription": ("how a column came to be is its owner's", "put it in the comment"),
    "transformLogic": (
        "SQL of others is not taken over",
        "write it as expression, in Spark SQL, if it is to be computed",
    ),
    "transformSourceObjects": ("how a column came to be is its owner's", _KEEP),
}
