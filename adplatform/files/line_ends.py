"""Text whose lines end with carriage returns alone, as Excel for the Mac writes "CSV (Macintosh)"."""

import re
from collections.abc import Iterator
from itertools import chain

from adplatform.contracts.file_format import FileFormat

SAMPLE = 64 << 10
"""Bytes in which the first line ends, or the file is taken for one whose lines end otherwise."""
_ALONE = re.compile(rb"\r(?!\n)")


def ends_with_returns(head: bytes, fmt: FileFormat) -> bool:
    """Whether the first line of UTF-8 text that begins with ``head`` ends with a carriage return and no line feed."""
    if b"\r" not in head:
        return False
    quote = fmt.quote.encode() if fmt.kind == "csv" else b""
    inside = False
    for found in re.finditer(rb"\r+\n?|\n" + (b"|" + re.escape(quote) if quote else b""), head):
        if quote and found[0] == quote:
            inside = not inside
        elif not inside:
            return not found[0].endswith(b"\n") and (found.end() < len(head) or len(head) < SAMPLE)
    return False


def with_line_feeds(chunks: Iterator[bytes], fmt: FileFormat) -> Iterator[bytes]:
    """The same UTF-8, with line feeds in the place of carriage returns where its lines end with these: of as many bytes
    and lines. Also those within quotes are replaced."""
    head = b""
    while len(head) < SAMPLE and (chunk := next(chunks, b"")):
        head += chunk
    rest = chain([head], chunks) if head else chunks
    return _replaced(rest) if ends_with_returns(head, fmt) else rest


def _replaced(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        text = held + chunk
        held = b"\r" if text.endswith(b"\r") else b""
        yield _ALONE.sub(b"\n", text.removesuffix(held) if held else text)
    if held:
        yield b"\n"
