"""What taking records out of a file comes to, and by what it is judged."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Judge = Callable[[str, Mapping[str, str]], bool]
"""Whether a record is to be taken out, by its text as it is written and by its texts by column where it has columns."""


@dataclass(frozen=True)
class Parted:
    """How many records were ``taken`` out of a file, and how many are ``left``. ``unseen`` are parts of it that no feed
    reads and nobody here can look into; where something is taken, what is left of the file lacks them."""

    taken: int
    left: int
    unseen: int = 0


def texts_of(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The texts within a value of JSON or Avro by the name of the member that each is in, the keys of members too."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield f"{key}?", key
            yield from texts_of(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from texts_of(each, f"{name}[{number}]")
    elif isinstance(value, bytes):
        yield name, value.decode("utf-8", "replace")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield name, str(value)
