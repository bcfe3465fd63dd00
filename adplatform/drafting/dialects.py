"""How delimited text is written: what stands between fields, around them, before the header and after the last row."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from adplatform.contracts.snake_case import snake

DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x01", "\x1f", "¦")
LONG_DELIMITERS = ("|~|", "~|~", "^|^", "|^|", "||", "::", "~~", "^^", ";;", "##", "$$", "@@")
SAID = {"\t": "a tab", "\x01": "the control character 1", "\x1f": "the unit separator", " ": "a blank"}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_LOOKED_AT = 400
"""Lines by which the delimiter is found."""
_STAND_IN = "\ue000"
"""Stands for a delimiter of several characters, since Python's reader takes one."""
_COMMENTS = ("#", "//", "--", "%")
FOOTERS = re.compile(
    r"(grand totals?|totals?|summary|end of (file|report)|report (generated|created|run)|generated (on|at|by)|rows?"
    r"|number of (rows|records)|record count|gesamt|summe|\*\*\*|©|copyright|disclaimer|confidential|source|notes?"
    r"|trailer|trl|eof)\b|[*=-]{3,}|©",
    re.IGNORECASE,
)
"""What lines below a table begin with; nothing else of a line is ever shown."""


@dataclass(frozen=True)
class Dialect:
    """``agreed`` is the share of records that come to ``fields`` fields, from the first that does to the last, and
    ``covered`` that of all."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    fields: int = 1
    agreed: float = 1.0
    covered: float = 1.0

    @property
    def score(self) -> float:
        return self.agreed * math.sqrt(self.fields * self.covered)


@dataclass(frozen=True)
class Record:
    """``line`` counts from 1."""

    line: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """``preamble`` are the lines before the header, or before the first row where there is none; ``footer`` those after
    the last row, ``footer_start`` the known word that the first of them begins with. ``comment`` begins lines that are
    no records wherever they stand."""

    dialect: Dialect
    header: tuple[str, ...] | None
    rows: tuple[Record, ...]
    header_line: int = 0
    """The line of a header that cannot be read as one, since names stand twice in it or the first is empty: ``header``
    has other names for these. 0 for any other."""
    preamble: int = 0
    sep_line: bool = False
    header_start: str = ""
    """With what the header begins and no line before it; "" where there is no such text."""
    comment: str = ""
    comments_within: bool = False
    """Whether such lines stand behind the header, too."""
    footer: int = 0
    footer_start: str = ""
    repeated_headers: int = 0


def lines_of(text: str) -> list[str]:
    """Physical lines with their ends: of every kind of line end, and of nothing else that Unicode calls one."""
    return _LINE.findall(text)


def records(lines: Sequence[str], dialect: Dialect) -> Iterator[Record]:
    """
    Raises:
        csv.Error: a field is larger than Python's reader takes.
    """
    delimiter, doubled = dialect.delimiter, dialect.escape in (dialect.quote, "")
    stand_in = _STAND_IN if len(delimiter) > 1 else ""
    reader = csv.reader(
        (line.replace(delimiter, stand_in) for line in lines) if stand_in else iter(lines),
        delimiter=stand_in or delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=None if doubled else dialect.escape,
    )
    line = 1
    for fields in reader:
        found = (each.replace(stand_in, delimiter) for each in fields) if stand_in else fields
        yield Record(line, tuple(found))
        line = reader.line_num + 1


def dialect_of(lines: Sequence[str]) -> Dialect:
    """The dialect by which most lines come to the same number of fields, of several the one with more fields."""
    shown = [line for line in lines[:_LOOKED_AT] if line.strip()]
    declared = sep_of(lines)
    if declared:
        shown = shown[1:]
    delimiters = [declared] if declared else [*_long(shown), *DELIMITERS]
    best = Dialect(declared or ",", fields=1, agreed=0.0)
    for delimiter in delimiters:
        if not any(delimiter in line for line in shown):
            continue
        quoted = [_judged(shown, Dialect(delimiter, *each)) for each in _quotings(shown, delimiter)]
        # Quotes are signs like any other only where nothing can be read with them.
        unquoted = [] if any(quoted) else [_judged(shown, Dialect(delimiter, "", ""))]
        for found in (*quoted, *unquoted):
            if found and found.fields > 1 and len(delimiter) > 1:
                return found
            if found and found.fields > 1 and found.score > best.score:
                best = found
    if best.fields > 1 or declared:
        return replace(best, agreed=best.agreed or 1.0)
    # Of one column: a delimiter that stands in no value.
    free = (each for each in (best.delimiter, *DELIMITERS) if not any(each in line for line in shown))
    return replace(best, delimiter=next(free, best.delimiter), agreed=1.0)


def sep_of(lines: Sequence[str]) -> str:
    """The delimiter that a first line for Excel names."""
    found = re.fullmatch(r'"?sep=(.|\\t)"?[\r\n]*', lines[0], re.IGNORECASE) if lines else None
    return found[1].replace("\\t", "\t") if found else ""


def _long(lines: Sequence[str]) -> Iterator[str]:
    """Delimiters of several characters whose characters hardly ever stand alone."""
    text = "".join(lines)
    for delimiter in LONG_DELIMITERS:
        count, marked = text.count(delimiter), sum(not set(delimiter).isdisjoint(line) for line in lines)
        alone = max(text.count(each) - count * delimiter.count(each) for each in set(delimiter))
        if count > 1 and count >= marked * 0.8 and alone <= count / 4:
            yield delimiter


def _quotings(lines: Sequence[str], delimiter: str) -> list[tuple[str, str]]:
    """Pairs of quote and escape that may be meant, the usual one first."""
    text, pairs = "".join(lines), [('"', '"')]
    at_field = rf"(^|{re.escape(delimiter)})"
    if re.search(rf'{at_field}"[^"\n]*\\"', text, re.MULTILINE):
        pairs.append(('"', "\\"))
    if '"' not in text and len(re.findall(rf"{at_field}'[^'\r\n]*'(?={re.escape(delimiter)}|\r?$)", text, re.M)) > 1:
        pairs.insert(0, ("'", "'"))
    return pairs


def _judged(lines: Sequence[str], dialect: Dialect) -> Dialect | None:
    try:
        found = [len(record.fields) for record in records(lines, dialect)]
    except csv.Error:
        return None
    fields, _ = max(Counter(found).items(), key=lambda each: (each[1] * each[0] ** 0.75, each[0]))
    first, last = found.index(fields), len(found) - found[::-1].index(fields)
    # What stands within quotes over several lines is one record: lines that a wrong quote swallows count against it.
    agreed = found.count(fields) / max(last - first, (len(lines) - first - len(found) + last) // 4)
    covered = found.count(fields) / len(found)
    return replace(dialect, fields=fields, agreed=agreed, covered=covered) if agreed >= _AGREED else None


_AGREED = 0.6
"""The least share of records, from the first that fits to the last, that have the same number of fields."""


def table_of(text: str, *, whole: bool = True) -> Table:
    """What of a text is the table. The last record is left out where the text is not whole."""
    lines = lines_of(text)
    dialect = dialect_of(lines)
    first = 1 if sep_of(lines) else 0
    try:
        every = list(records(lines[first:], dialect))
    except csv.Error:  # what a quote begins is longer than any field
        dialect = replace(dialect, quote="", escape="")
        every = list(records(lines[first:], dialect))
    found = [replace(each, line=each.line + first) for each in every if any(each.fields)]
    if not whole and len(found) > 1:
        found = found[:-1]
    comment, body = _without_comments(found, dialect)
    at = _first_row(body, dialect.fields)
    head = body[at] if at < len(body) else None
    named = head is not None and _is_header(head.fields, body[at + 1 :])
    rows = body[at + 1 :] if named else body[at:]
    end = len(rows)
    while end and len(rows[end - 1].fields) != dialect.fields and (len(rows) - end < _MOST_FOOTER):
        end -= 1
    if not end or dialect.fields == 1:
        end = len(rows)
    below, rows = rows[end:], rows[:end]
    kept = [row for row in rows if head is None or not named or row.fields != head.fields]
    return Table(
        dialect,
        _each_once(head.fields) if named and head else None,
        tuple(kept),
        header_line=head.line if named and head and _each_once(head.fields) != head.fields else 0,
        preamble=_preamble(lines[first : head.line - 1]) if head else 0,
        sep_line=bool(first),
        header_start=_header_start(head, lines[first : head.line], dialect) if head else "",
        comment=comment,
        comments_within=bool(comment) and any(line.startswith(comment) for line in lines[head.line if head else 0 :]),
        footer=len(below),
        footer_start=_footer_start(below, kept),
        repeated_headers=len(rows) - len(kept),
    )


def _each_once(header: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for place, field in enumerate(header, start=1):
        name = field if field.strip() or place > 1 else f"column {place}"
        while name.strip() and name in names:
            name += " 2"
        names.append(name)
    return tuple(names)


def _header_start(head: Record, lines: Sequence[str], dialect: Dialect) -> str:
    """The first name, or that with what delimits it: of ``lines`` the last begins so, and no other."""
    name = head.fields[0].rstrip()
    if not name or name != name.lstrip() or "\n" in name or "\r" in name:
        return ""
    begins = [line.lstrip('"') for line in lines]
    texts = (name, name + dialect.delimiter)
    return next(
        (t for t in texts if [line.startswith(t) for line in begins] == [*[False] * (len(begins) - 1), True]), ""
    )


def _footer_start(below: Sequence[Record], rows: Sequence[Record]) -> str:
    """The known word that the first line after the rows begins with, where no row does."""
    word = known_start(below)
    return word if word and not any(row.fields[0].startswith(word) for row in rows) else ""


def _preamble(before: Sequence[str]) -> int:
    """How many lines stand before the header, none where they are all blank, which need no setting."""
    return len(before) if any(line.strip() for line in before) else 0


_MOST_FOOTER = 30
"""Records after the last row: more are rows that are broken."""


def _without_comments(found: Sequence[Record], dialect: Dialect) -> tuple[str, list[Record]]:
    """What begins lines that are no records, and the others. Lines before the table alone are a preamble as well; the
    line right before the first row may be a header that begins so."""
    for mark in _COMMENTS:
        marked = [n for n, each in enumerate(found) if each.fields[0].startswith(mark)]
        if not marked or (dialect.fields > 1 and any(len(found[n].fields) == dialect.fields for n in marked)):
            continue
        if dialect.fields == 1 and marked[0]:
            continue
        return mark, [each for n, each in enumerate(found) if n not in frozenset(marked)]
    return "", list(found)


def _first_row(found: Sequence[Record], fields: int) -> int:
    """Where the table begins: at the first full record after which another has as many fields."""
    full = [n for n, each in enumerate(found) if len(each.fields) == fields]
    for n in full:
        filled = sum(bool(each.strip()) for each in found[n].fields)
        later = [other for other in full if n < other <= n + 3]
        if fields == 1 or (filled > fields / 2 and (later or n == full[-1])):
            return n
    return full[0] if full else 0


_NUMBER = re.compile(r"[-+(]?[$€£]?\s?[0-9][0-9.,'\s]*\s?[%€$£)]?|\(?-\)?")
_VALUE = re.compile(r"@|[0-9]{5}|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}|(true|false|null|n/a|yes|no)", re.IGNORECASE)


def _is_header(fields: Sequence[str], rows: Sequence[Record]) -> bool:
    """Whether the first record is names: of all texts and no values. The first may be empty, as of pandas' index."""
    names = [each.strip() for each in fields]
    rows = [row for row in rows if row.fields != fields]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names[1:]):
        return False
    if any(_NUMBER.fullmatch(each) or is_value(each) or each.lower() in _WORDS for each in names if each):
        return False
    below = [{row.fields[n] for row in rows[:200] if n < len(row.fields)} for n in range(len(names))]
    typed = any(
        values - {""} and all(_NUMBER.fullmatch(v) or _VALUE.search(v) for v in values - {""}) for values in below
    )
    if typed or not names[0]:
        return typed
    # All is text, so only words can tell: a row of a file without a header must not be taken for names of columns.
    known = any(_HEADERS.intersection(snake(each).split("_")) for each in names)
    return known and not any(name in values for name, values in zip(names, below, strict=True))


_HEADERS = frozenset(
    {
        "id",
        "name",
        "date",
        "day",
        "time",
        "email",
        "mail",
        "phone",
        "city",
        "country",
        "state",
        "region",
        "zip",
        "address",
    }
    | {"campaign", "ad", "adgroup", "group", "keyword", "account", "channel", "source", "medium", "device", "network"}
    | {
        "status",
        "type",
        "category",
        "brand",
        "product",
        "sku",
        "asin",
        "title",
        "url",
        "page",
        "query",
        "term",
        "label",
    }
    | {
        "currency",
        "language",
        "gender",
        "user",
        "customer",
        "member",
        "order",
        "code",
        "number",
        "value",
        "key",
        "note",
    }
    | {
        "description",
        "comment",
        "text",
        "first",
        "last",
        "company",
        "platform",
        "placement",
        "creative",
        "format",
        "tag",
    }
    | {
        "kampagne",
        "anzeige",
        "konto",
        "datum",
        "land",
        "stadt",
        "ort",
        "strasse",
        "nachname",
        "vorname",
        "telefon",
        "art",
    }
    | {"campagne", "pays", "ville", "nom", "prenom", "jour", "pagina", "naam", "stad", "campana", "fecha", "pais"}
    | {"ciudad", "nombre", "apellido", "correo", "citta", "nome", "cognome", "paese", "data", "segment", "audience"}
)
"""Words in names of columns, as exporters and shops write them."""
_WORDS = frozenset({"true", "false", "null", "n/a", "yes", "no", "--", "-"})


def is_value(name: str) -> bool:
    """Whether a name looks like a value of a file without a header, which may be personal."""
    return bool(re.search(r"@|[0-9]{5}", name))


def known_start(below: Sequence[Record]) -> str:
    first = below[0].fields[0].lstrip() if below else ""
    found = FOOTERS.match(first)
    return found[0] if found else ""


def is_plain(lines: Sequence[str]) -> bool:
    """Whether lines may be looked at one by one: no quote goes on into the next."""
    return all(line.count('"') % 2 == 0 for line in lines)
