"""The command that proposes a feed's contract from a sample of its files."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from adplatform.cli.context import console, errors
from adplatform.cli.trials import show_counts, show_rows
from adplatform.contracts.feed import NAME
from adplatform.contracts.source import FileSource
from adplatform.contracts.yaml_files import FILE_NAMES, read_file
from adplatform.contracts.yaml_insert import with_feed
from adplatform.drafting.declaration import feed_yaml
from adplatform.drafting.draft import draft_of
from adplatform.drafting.reads import Reader
from adplatform.drafting.trial import settled
from adplatform.failures import PermanentFailure
from adplatform.patterns import DEFS, Models, faultless_defs, kind_of, read_defs
from adplatform.platform.clock import utc_now

SHOWN_ROWS = 10


def draft(
    feed: Annotated[str, typer.Argument(help="What the feed is to be called, as source/feed.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="A file as the sender writes it, decrypted.", exists=True, dir_okay=False)
    ],
    write: Annotated[bool, typer.Option(help="Add the feed to its source, or make a new partner.")] = False,
) -> None:
    """Propose the contract of a feed from a sample, with the reason of each guess.

    The contract is tried on the sample, by what reads deliveries, before it is printed; what has to be decided says
    REVIEW. The YAML goes to the standard output, all else to the standard error. No value of the sample is shown that
    may be personal. With --write nothing that is there is replaced.
    """
    source, name = _names(feed)
    place = place_of(source, name, DEFS) if write else None
    start = utc_now().date()
    with tempfile.TemporaryDirectory() as directory:
        with Reader() as reader:
            drafted = draft_of(file, reader)
        found = settled(drafted, file, Path(directory) / "trial")
        for change in found.changed:
            errors.print(Text(f"the first draft did not read all rows; changed to {change}"), soft_wrap=True)
        show_counts(found.trial, errors)
        show_rows(found.trial, errors, SHOWN_ROWS, reveal=False)
    if place is None:
        typer.echo(_above(source) + feed_yaml(found.draft, name, start, "    "), nl=False)
        return
    write_feed(place, source, lambda indent: feed_yaml(found.draft, name, start, indent))
    console.print(f"written to {place.file}: look at what says REVIEW, then try files by", soft_wrap=True)
    console.print(f"adplatform check-file {feed} <file>", soft_wrap=True, highlight=False)


_NEW = """\
type: adplatform.components.PartnerPush
attributes:
  source: {source}
  feeds:
"""


def _above(source: str) -> str:
    """What stands above the feed where its source is not declared yet."""
    declared = {getattr(each.model, "source", None): each for each in read_defs()[0]}
    return f"# below feeds in {declared[source].file}\n" if source in declared else _NEW.format(source=source)


@dataclass(frozen=True)
class Place:
    """Where a feed is to be written. ``line`` is where the source's document begins, None for a file that is new."""

    file: Path
    line: int | None


def _names(feed: str) -> tuple[str, str]:
    source, _, name = feed.partition("/")
    if not re.fullmatch(NAME, source) or not re.fullmatch(NAME, name):
        raise PermanentFailure(
            f"{feed!r} is not source/feed: lower-case letters, digits and _, each up to 63 characters"
        )
    return source, name


def place_of(source: str, name: str, defs: Path) -> Place:
    """
    Raises:
        PermanentFailure: there is such a feed, the source is none that takes files, or its file is in the way.
    """
    found = next((each for each in faultless_defs(defs) if getattr(each.model, "source", None) == source), None)
    if found is None:
        file = defs / "partners" / source / FILE_NAMES[0]
        if there := next((each for n in FILE_NAMES if (each := file.parent / n).exists()), None):
            raise PermanentFailure(f"{there} is there and declares another source: nothing was written")
        return Place(file, None)
    if not isinstance(found.model, FileSource):
        raise PermanentFailure(f"{source} ({found.file}:{found.line}) takes no files: give the feed to another source")
    if any(each.name == name for each in found.model.feeds):
        raise PermanentFailure(
            f"{source}/{name} is declared in {found.file}: nothing was written. Choose another name, or leave out "
            "--write and compare"
        )
    return Place(found.file, found.line)


def write_feed(place: Place, source: str, entry: Callable[[str], str]) -> None:
    """Have the feed in its file, which is as before where that makes it one with mistakes.

    Raises:
        PermanentFailure: nothing was written; says why.
    """
    before = None if place.line is None else place.file.read_text(encoding="utf-8")
    if before is None or place.line is None:
        text: str | None = _NEW.format(source=source) + entry("    ")
    else:
        text = with_feed(before, place.line, entry)
    if text is None:
        raise PermanentFailure(f"{place.file}: its feeds are no list of lines; add what is printed without --write")
    place.file.parent.mkdir(parents=True, exist_ok=True)
    with place.file.open("x" if before is None else "w", encoding="utf-8") as out:
        out.write(text)
    _, mistakes = read_file(place.file, Models(), kind_of)
    if not mistakes:
        return
    if before is None:
        place.file.unlink()
    else:
        place.file.write_text(before, encoding="utf-8")
    raise PermanentFailure(f"nothing was written, since it would be wrong: {mistakes[0]}")
