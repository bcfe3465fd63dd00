"""What one pass over the bytes of a text shows: how many lines there are, and whether a record of it might be too long.

Files are surveyed while they are unpacked, so that nobody has to read gigabytes of text once more for that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adplatform.contracts.file_format import FileFormat
from adplatform.files.record_lines import Dialect, line_feeds

LONG_LINE = 4 << 10
"""Bytes of a line that might be a record, or part of one, that is longer or wider than can be read."""
LONG_QUOTES = 4 << 20
"""Bytes over which quotes might be open that might be such a record; over twice as many they always show."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Survey:
    """``lines`` counts the last one with or without an end. ``suspect`` is a text of which a line has ``LONG_LINE``
    bytes, or in which quotes might stay open over ``LONG_QUOTES``; a ``mixed`` one has line feeds with a carriage
    return before them and such without."""

    lines: int
    suspect: bool
    mixed: bool = False


class Surveyor:
    """Takes the chunks of a text in their order, whatever their sizes."""

    def __init__(self, fmt: FileFormat) -> None:
        self._dialect = Dialect.of(fmt)
        self._feeds, self._returns, self._both = 0, 0, 0
        self._last = b"\n"
        self._line, self._long_line = 0, False
        self._opened, self._open, self._long_quotes = False, 0, False

    @property
    def rows(self) -> int:
        """Ends of lines so far, be they those of old Macs."""
        return max(self._feeds, self._returns)

    @property
    def found(self) -> Survey:
        lines = self._feeds + (self._last != b"\n")
        return Survey(lines, self._long_line or self._long_quotes, 0 < self._both < self._feeds)

    def over(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        for chunk in chunks:
            self.take(chunk)
            yield chunk

    def take(self, chunk: bytes) -> None:
        self._feeds += line_feeds(chunk)
        self._both += self._last == b"\r" and chunk.startswith(b"\n")
        if b"\r" in chunk:
            self._returns += chunk.count(b"\r")
            self._both += chunk.count(b"\r\n")
        self._last = chunk[-1:] or self._last
        if not self._long_line:
            self._take_lines(chunk)
        if self._dialect.quote and not self._long_quotes:
            self._take_quotes(chunk)

    def _take_lines(self, chunk: bytes) -> None:
        begins = -self._line
        while begins + LONG_LINE <= len(chunk):
            end = chunk.rfind(b"\n", max(begins, 0), begins + LONG_LINE)
            if end < 0:
                self._long_line = True
                return
            begins = end + 1
        self._line = len(chunk) - max(begins, chunk.rfind(b"\n", max(begins, 0)) + 1 or begins)

    def _take_quotes(self, chunk: bytes) -> None:
        quote, quotes = self._dialect.quote, self._dialect.quotes
        self._opened = self._opened or quote in chunk
        # One at the edge closes nothing for certain: what is beside it is in another chunk.
        closed = any(each[0] == quote for each in quotes.finditer(chunk.strip(quote)))
        self._open = 0 if closed else self._open + len(chunk)
        self._long_quotes = self._opened and self._open >= LONG_QUOTES


def survey(path: Path, fmt: FileFormat) -> Survey:
    """Of a file that lies on the disk."""
    surveyor = Surveyor(fmt)
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            surveyor.take(chunk)
    return surveyor.found
