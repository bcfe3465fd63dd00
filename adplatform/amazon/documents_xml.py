"""A report in XML to its rows, one element at a time, by the parser of the standard library (Expat).

A document that declares a document type is refused: entities, of this document or others, are then never read. Expat
reads what is decoded already, so that what the declaration says of the encoding no longer matters to it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn
from xml.parsers.expat import ExpatError, ParserCreate

from adplatform.files.bad_file import BadFile, Reason

Members = dict[str, Any]
TEXT = "#text"
"""The member with the text of an element that has attributes, too; an attribute is a member ``@name``."""
_DECLARED = re.compile(rb"""\A<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_DEEPEST = 100
"""Elements in each other within a row."""
_LARGEST = 64 << 20
"""Characters of one row: what must fit in memory."""


def declared_charset(head: bytes) -> str:
    """The encoding that the XML declaration names, "" for none."""
    found = _DECLARED.match(head)
    return found[1].decode("ascii") if found else ""


def xml_rows(chunks: Iterable[str], records: str, origin: str) -> Iterator[Members]:
    """A row for each element at ``records``, the dotted path of names from the root on.

    Its children are members, by their names without prefixes: one that is repeated an array, one without children and
    attributes its text, and an empty one None.

    Raises:
        BadFile: not XML, or not to its end; another root; a document type; a row that is too large or too deep.
    """
    rows = _Rows(records.split("."), origin)
    for chunk in chunks:
        rows.feed(chunk)
        yield from rows.taken()
    rows.end()
    yield from rows.taken()


class _Rows:
    """Expat's events to rows. Of what stands outside of rows nothing is kept."""

    def __init__(self, path: Sequence[str], origin: str) -> None:
        self._path, self._origin = path, origin
        self._names: list[str] = []
        self._open: list[tuple[Members, list[str]]] = []
        self._done: list[Members] = []
        self._size = 0
        self._parser = ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._finish
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: str) -> None:
        self._parse(chunk, final=False)

    def end(self) -> None:
        self._parse("", final=True)

    def taken(self) -> list[Members]:
        """The rows that are whole by now."""
        done, self._done = self._done, []
        return done

    def _parse(self, chunk: str, *, final: bool) -> None:
        try:
            self._parser.Parse(chunk, final)
        except ExpatError as e:
            raise BadFile(self._origin, Reason.SYNTAX, f"XML at line {e.lineno}, column {e.offset + 1}: {e}") from e

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self._names and name != self._path[0]:
            self._refuse(f"its root is {name}, not {self._path[0]}")
        self._names.append(name)
        if self._open or self._names == self._path:
            self._grow(sum(map(len, attributes)) + sum(map(len, attributes.values())) + len(name))
            self._open.append(({f"@{n.rpartition(':')[2]}": value for n, value in attributes.items()}, []))
            if len(self._open) > _DEEPEST:
                self._refuse(f"a row has more than {_DEEPEST} elements in each other")

    def _text(self, text: str) -> None:
        if self._open:
            self._grow(len(text))
            self._open[-1][1].append(text)

    def _finish(self, _tag: str) -> None:
        name = self._names.pop()
        if not self._open:
            return
        members, texts = self._open.pop()
        text = "".join(texts).strip()
        if not self._open:
            self._done.append({**members, TEXT: text} if text else members)
            self._size = 0
            return
        value = {**members, TEXT: text} if members and text else members or text or None
        parent = self._open[-1][0]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def _grow(self, more: int) -> None:
        self._size += more
        if self._size > _LARGEST:
            self._refuse(f"a row has more than {_LARGEST} characters")

    def _doctype(self, *_: object) -> None:
        self._refuse("it declares a document type, which no report of Amazon's does; its entities are not read")

    def _refuse(self, why: str) -> NoReturn:
        raise BadFile(self._origin, Reason.LAYOUT, f"XML: {why}")
