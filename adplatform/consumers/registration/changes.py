"""How what a service has differs from what is declared, and what is to be done about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adplatform.consumers.registration.resource import SOURCE, TABLE, There, Wanted
from adplatform.failures import listed

State = Literal["create", "update", "as declared", "refused"]


@dataclass(frozen=True)
class Difference:
    """``field`` is a path of names, such as ``tableReference.glue.tableName``; None is a value that is left out."""

    field: str
    there: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.field} is {_shown(self.there)} there, and {_shown(self.wanted)} is declared"


@dataclass(frozen=True)
class Change:
    """What ``apply`` does for a wanted resource; ``refusals`` are why it cannot, and say what to do."""

    wanted: Wanted
    state: State
    differences: tuple[Difference, ...] = ()
    refusals: tuple[str, ...] = ()


def compare(wanted: Wanted, there: There | None) -> Change:
    if there is None:
        return Change(wanted, "create")
    if (foreign := _foreign(wanted, there)) is not None:
        return Change(wanted, "refused", refusals=(foreign,))
    found = tuple(differences(there.definition, wanted.definition))
    fixed = [f"{each}: {do}" for each in found for name, do in there.fixed.items() if _touches(each.field, name)]
    state: State = "refused" if fixed else "update" if found else "as declared"
    return Change(wanted, state, found, tuple(fixed))


def differences(there: Any, wanted: Any, at: str = "") -> Iterator[Difference]:
    """In the order of the declaration; what is there and not declared comes last."""
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        for name in dict.fromkeys([*wanted, *there]):
            yield from differences(there.get(name), wanted.get(name), f"{at}.{name}" if at else name)
    elif _plain(there) != _plain(wanted):
        yield Difference(at, there, wanted)


def differing(wanted: Wanted, there: There) -> frozenset[str]:
    """The fields of a definition, without what is in them, that differ."""
    return frozenset(each.field.partition(".")[0] for each in differences(there.definition, wanted.definition))


def _foreign(wanted: Wanted, there: There) -> str | None:
    """Why somebody else's is not touched."""
    if {name: there.tags.get(name) for name in wanted.tags} == wanted.tags:
        return None
    owner = f"is for {there.tags[TABLE]}" if SOURCE in there.tags and TABLE in there.tags else "was made by others"
    tags = " and ".join(f"{name}={value}" for name, value in wanted.tags.items())
    return (
        f"a {wanted.key} {owner}, and is not touched: rename or delete it, or give it the tags {tags} to hand it over"
    )


def _touches(field: str, name: str) -> bool:
    """Whether a difference is of a field, of a part of it, or of what it is a part of."""
    return f"{field}.".startswith(f"{name}.") or name.startswith(f"{field}.")


def _plain(value: Any) -> Any:
    """Without what is empty: services leave that out, or do not."""
    if isinstance(value, Mapping):
        return {name: plain for name, each in value.items() if (plain := _plain(each)) is not None} or None
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value] or None
    return None if value in ("", False) else value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name}: {_shown(each)}' for name, each in value.items() if _plain(each) is not None)})"
    if isinstance(value, list | tuple):
        return listed(map(_shown, value)) or "nothing"
    return "nothing" if _plain(value) is None else str(value)
