"""What preparing a raw object leaves for the transform."""

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from adplatform.contracts.file_format import FileFormat
from adplatform.files.survey import Survey, survey


@dataclass
class Footer:
    """``line`` is its first one in the delivered file, from 1; ``behind`` is how many follow that are not empty, and
    ``like_rows`` whether one of these looks like a row of the table."""

    line: int
    behind: int = 0
    like_rows: bool = False


@dataclass
class LeftOut:
    """The lines of a delivered file that the prepared one lacks on purpose.

    ``rows`` are those that count: all but empty ones, and a header of several lines once. Of each place where some are
    lacking ``kept`` is how many lines of the prepared file stand before it; ``lines`` and ``sizes`` are how many lines
    and bytes are lacking up to there. ``footer`` is one that is told by the text with which it begins.
    """

    rows: int = 0
    footer: "Footer | None" = None
    kept: "array[int]" = field(default_factory=lambda: array("q"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, kept: int, text: bytes) -> None:
        """Note a line, or a header of several, of the delivered file; so many lines before it are ``kept``."""
        self.rows += bool(text.strip(b"\r\n"))
        lines, sizes = (self.lines[-1], self.sizes[-1]) if self.lines else (0, 0)
        if not self.kept or self.kept[-1] != kept:
            for each, value in ((self.kept, kept), (self.lines, lines), (self.sizes, sizes)):
                each.append(value)
        self.lines[-1] = lines + max(text.count(b"\n"), 1)
        self.sizes[-1] = sizes + len(text)

    def before(self, line: int) -> tuple[int, int]:
        """Lines and bytes that are lacking before a line of the prepared file, counted from 1."""
        place = bisect_right(self.kept, line - 1)
        return (self.lines[place - 1], self.sizes[place - 1]) if place else (0, 0)


@dataclass
class SheetRows:
    """The rows of a sheet by the lines of the text that was made of it, both counted from 1.

    Noted are ``lines`` from which on rows are another number of lines away than before, each with its row in ``rows``.
    """

    lines: "array[int]" = field(default_factory=lambda: array("q"))
    rows: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, line: int, row: int) -> None:
        """Note that a ``row`` begins in that ``line``."""
        if line - row != (self.lines[-1] - self.rows[-1] if self.lines else 0):
            self.lines.append(line)
            self.rows.append(row)

    def of(self, line: int) -> int:
        """The row that begins in a line or goes on there; the line itself where no sheet was read."""
        place = bisect_right(self.lines, line)
        row = line - (self.lines[place - 1] - self.rows[place - 1] if place else 0)
        return min(row, self.rows[place] - 1) if place < len(self.rows) else row


@dataclass(frozen=True)
class InputFile:
    """One prepared file on local disk: decrypted, uncompressed, text in UTF-8, without lines that are left out.

    ``origin`` names the raw object it came from without its name (:func:`adplatform.ledger.objects.file_id`), with
    ``#<place>`` for a member of an archive. The table and the quarantine keep it.
    ``ordinal`` orders the files of a delivery by arrival: of two equal rows the one in the higher ordinal wins.
    ``skipped`` is how many members of its archive are not read, because the feed's ``members`` names others.
    ``survey`` is of text that was surveyed on its way to the disk, and ``sheet`` of text that was made of one.
    ``most`` are the bytes that Parquet may come to, or those of its row groups that were looked at.
    """

    path: Path
    origin: str
    ordinal: int
    left_out: LeftOut = field(default_factory=LeftOut, compare=False)
    skipped: int = 0
    survey: Survey | None = field(default=None, compare=False)
    sheet: SheetRows = field(default_factory=SheetRows, compare=False)
    most: int = field(default=0, compare=False)

    def delivered_line(self, line: int) -> int:
        """The number in the delivered file of a ``line`` of this one, both counted from 1."""
        return line + self.left_out.before(line)[0]

    def delivered_at(self, line: int, position: int) -> int:
        """Where in the delivered text a byte of that ``line`` stands; its ``position`` here, both counted from 0."""
        return position + self.left_out.before(line)[1]


def surveyed(file: InputFile, fmt: FileFormat) -> Survey:
    """The survey of a file of text, which is read if nobody has surveyed it yet."""
    return file.survey or survey(file.path, fmt)
