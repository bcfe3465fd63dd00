"""A JSON array of any size to NDJSON, one element at a time.

Every element is checked by the JSON parser and then copied as it was written, because a number that went through a
parser comes out with another spelling (1e2, 1.10, 0.1 + 2**-60).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from adplatform.failures import listed
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.foreign import ERROR_MEMBERS

MAX_ELEMENT = 64 << 20
"""Characters of one element, or of one member beside the records: what must fit in memory."""

_NUMBER_TAIL = 2
"""Characters that may stand between the end of a number and more of it: the parser takes 1 from a window of ``1e+``."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_-]*")
"""Names that are certainly no values."""
_SPACE = re.compile(r"[ \t\n\r]*")


def json_lines(chunks: Iterable[str], records: str | None, origin: str) -> Iterator[bytes]:
    """One line for each element of the array at ``records``, a dotted path of members; of the document when None.

    Raises:
        BadFile: not JSON (with the byte, counted in UTF-8), something after it, or no array at that place.
    """
    # Numbers stay text: only their syntax matters here. A line end inside an element is between tokens: the parser
    # refuses one inside a string.
    for _, written in _document(_Text(iter(chunks), origin, str), records):
        yield written.replace("\r", " ").replace("\n", " ").encode() + b"\n"


def json_values(
    chunks: Iterable[str],
    records: str | None,
    origin: str,
    number: Callable[[str], Any],
    members: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None,
) -> Iterator[Any]:
    """Each element of the array at ``records`` as a Python value; ``number`` makes one of a number as it was written,
    and ``members`` an object of its members in order. By default the last of a name counts.

    Raises:
        BadFile: as :func:`json_lines`.
    """
    for value, _ in _document(_Text(iter(chunks), origin, number, members), records):
        yield value


def _document(text: "_Text", records: str | None) -> Iterator[tuple[Any, str]]:
    yield from _elements(text, records.split(".") if records else [])
    if following := text.peek():
        another = "; of objects one after another set format.kind: ndjson" if following == "{" else ""
        text.refuse(f"is followed by something else{another}")


def _elements(text: "_Text", path: list[str]) -> Iterator[tuple[Any, str]]:
    if path:
        yield from _elements_of_member(text, path)
        return
    if text.peek() != "[":
        text.refuse(f"expected an array: {_in_place_of_array(text)}", Reason.LAYOUT)
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return


def _in_place_of_array(text: "_Text") -> str:
    """What to do with a document that is none."""
    if text.peek() != "{":
        return "set records to the path of the array, or kind: ndjson"
    value, _ = text.value()
    if text.peek() == "{":
        return "one object stands after another; set format.kind: ndjson"
    if told := [name for name in value if name.lower() in ERROR_MEMBERS]:
        return f"it is one object with {listed(map(repr, told))}, as an error is: it says why there is no data"
    arrays = [name for name, each in value.items() if isinstance(each, list) and _PLAIN.fullmatch(name)]
    if arrays:
        return f"it is one object; set format.records to one of its arrays, which are {listed(arrays)}"
    return "it is one object; set format.records to the path of the array, or kind: ndjson"


def _elements_of_member(text: "_Text", path: list[str]) -> Iterator[tuple[Any, str]]:
    if text.peek() != "{":
        text.refuse(f"expected an object with the member {path[0]}, as records says", Reason.LAYOUT)
    text.take("{")
    found = False
    separator = text.take("}") if text.peek() == "}" else ","
    while separator == ",":
        if text.peek() != '"':
            text.refuse("expected a member name")
        name, _ = text.value()
        text.take(":")
        if name != path[0]:
            text.value()
        elif found:
            text.refuse(f"the member {name} stands twice", Reason.LAYOUT)
        else:
            found = True
            yield from _elements(text, path[1:])
        separator = text.take(",}")
    if not found:
        another = "; another object follows, as of format.kind: ndjson" if text.peek() == "{" else ""
        text.refuse(f"the object that ends here has no member {path[0]}, which records names{another}", Reason.LAYOUT)


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


class _Text:
    """A window that moves over a stream of text."""

    def __init__(
        self,
        chunks: Iterator[str],
        origin: str,
        number: Callable[[str], Any],
        members: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None,
    ) -> None:
        self._chunks = chunks
        self._origin = origin
        self._window = ""
        self._at = 0
        self._bytes_before = 0
        self._ended = False
        self._parse = json.JSONDecoder(
            object_pairs_hook=members, parse_float=number, parse_int=number, parse_constant=_no_constant
        ).raw_decode

    def peek(self) -> str:
        """The next character that is not white space, "" at the end."""
        while True:
            match = _SPACE.match(self._window, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._window) or self._ended:
                return self._window[self._at : self._at + 1]
            self._grow()

    def take(self, expected: str) -> str:
        found = self.peek()
        if not found or found not in expected:
            self.refuse("ends too early" if not found else "expected " + " or ".join(expected))
        self._at += 1
        return found

    def value(self) -> tuple[Any, str]:
        """The next value, and how it was written."""
        self.peek()
        while True:
            value, end, error = self._try_value()
            if error is None and (end + _NUMBER_TAIL < len(self._window) or self._ended):
                written = self._window[self._at : end]
                self._at = end
                return value, written
            if self._ended or len(self._window) - self._at > MAX_ELEMENT:
                self._at = end
                self.refuse(error or f"an element has more than {MAX_ELEMENT} characters")
            self._grow()

    def _try_value(self) -> tuple[Any, int, str | None]:
        """The value and where it ends, or where and why it does not."""
        try:
            value, end = self._parse(self._window, self._at)
        except json.JSONDecodeError as e:
            return None, max(e.pos, self._at), e.msg
        except RecursionError:
            return None, self._at, "nested too deeply"
        return value, end, None

    def _grow(self) -> None:
        """At least doubles what is unread, so that a long value is not parsed again for every chunk."""
        self._bytes_before += len(self._window[: self._at].encode())
        parts = [self._window[self._at :]]
        wanted = len(parts[0]) + 1
        while wanted > 0 and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            parts.append(chunk or "")
            wanted -= len(chunk or "")
        self._window, self._at = "".join(parts), 0

    def refuse(self, why: str, reason: Reason = Reason.SYNTAX) -> NoReturn:
        byte = self._bytes_before + len(self._window[: self._at].encode())
        raise BadFile(self._origin, reason, f"JSON at byte {byte}: {why}")
