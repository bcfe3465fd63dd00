"""A contract proposed from a sample, with the reason of each guess."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.months import LANGUAGES
from adplatform.contracts.names import catalog_names
from adplatform.contracts.pii import PiiKind
from adplatform.contracts.presets import preset_of, presets_like
from adplatform.drafting import columns as col
from adplatform.drafting import dialects, keys, shapes
from adplatform.drafting import personal as pers
from adplatform.drafting.encodings import decoded, encoding_of
from adplatform.drafting.reads import Reader
from adplatform.drafting.sample import Sample, is_workbook, sample
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.magic import HEAD, data_kind_of
from adplatform.files.unpack import unpack
from adplatform.platform.late import Late
from adplatform.transform.compile import INTERNAL_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Late("pyarrow")

_FORM = re.compile(r"\s*(<!doctype html|<html|<\?xml|<[a-z]+[ >])", re.IGNORECASE)


@dataclass(frozen=True)
class DraftColumn:
    """``settings`` as YAML writes them, without the name in the table."""

    name: str
    settings: Mapping[str, Any]
    why: str = ""

    @property
    def type(self) -> str:
        return col.type_in(self.settings)


@dataclass(frozen=True)
class Draft:
    """``format`` are settings of the format, each with its reason; ``others`` those of the contract. ``remarks`` are
    sentences of what else was seen."""

    format: Mapping[str, tuple[Any, str]]
    columns: tuple[DraftColumn, ...]
    key: tuple[str, ...] = ()
    others: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    about: str = ""
    sampled: bytes | None = field(default=None, repr=False)
    """A file of what was looked at, where that was not all."""
    beginning: str = field(default="", repr=False)
    """Of a table the text that was looked at, by which its exporter may be told."""

    def settings(self) -> dict[str, Any]:
        """What a contract is made of."""
        found: dict[str, Any] = {"columns": {column.name: dict(column.settings) for column in self.columns}}
        if self.format:
            found["format"] = {name: value for name, (value, _) in self.format.items()}
        if self.key:
            found["key"] = list(self.key)
        return found | {name: value for name, (value, _) in self.others.items()}


def draft_of(path: Path, reader: Reader) -> Draft:
    """
    Raises:
        PermanentFailure: nothing that a feed can be made of.
    """
    if is_workbook(path):
        return _of_workbook(path, reader)
    found = sample(path)
    if not found.start:
        raise PermanentFailure(f"{path} is empty: draft from a file with rows")
    if (binary := data_kind_of(found.start[:HEAD])) and found.packed:
        raise PermanentFailure(f"{path} has {binary} inside: draft from the file inside")
    if binary == "Parquet":
        return _of_parquet(path, "parquet", reader)
    if binary == "Avro":
        return _of_avro(path, reader)
    encoding = encoding_of(found.start, whole=found.whole)
    text = decoded(found.start, encoding.name)
    if "\0" in text:
        raise PermanentFailure(f"{path} is binary data and no format that is read here")
    if _FORM.match(text):
        raise PermanentFailure(
            f"{path} is a page or document of HTML or XML, not a table: look at it, and ask for data"
        )
    fmt: dict[str, tuple[Any, str]] = {}
    if found.pattern:
        fmt["members"] = found.pattern, f"of {found.files} files in the archive"
    if encoding.name != "utf-8":
        fmt["encoding"] = encoding.name, encoding.reason
    if kind := shapes.json_kind(text):
        return _of_json(text, kind, found, fmt, reader)
    return _of_table(text, found, encoding.name, fmt, reader)


def _of_parquet(path: Path, kind: str, reader: Reader) -> Draft:
    try:
        columns = shapes.of_parquet(path)
    except pa.ArrowException as e:
        raise PermanentFailure(f"{path} begins as Parquet and cannot be read: ask for the file again") from e
    return _drafted(columns, {"kind": (kind, "")}, reader, about=f"{kind}, {columns.rows:,} rows looked at")


def _of_avro(path: Path, reader: Reader) -> Draft:
    with TemporaryDirectory() as work:
        files = unpack(path, str(path), FileFormat(kind="avro"), Path(work), 0)
        if not files:
            raise PermanentFailure(f"{path} is empty: draft from a file with rows")
        return _of_parquet(files[0].path, "avro", reader)


def _of_workbook(path: Path, reader: Reader) -> Draft:
    """Of several sheets with data the one with most of it is taken."""
    fmt: dict[str, tuple[Any, str]] = {"kind": ("xlsx", "")}
    text = _sheet(path, None)
    if not text:
        found = [(len(each), number) for number in range(1, _MOST_SHEETS + 1) if (each := _sheet(path, number))]
        if not found:
            raise PermanentFailure(f"{path} has no sheet with data that is not hidden: draft from one with rows")
        _, number = max(found, key=lambda each: (each[0], -each[1]))
        fmt["sheet"] = number, f"REVIEW: the one with most data of {len(found)}; its name may stand here as well"
        text = _sheet(path, number)
    return _of_table(text, Sample(text.encode()), "utf-8", fmt, reader)


_MOST_SHEETS = 50


def _sheet(path: Path, sheet: int | None) -> str:
    """The text of a sheet, "" where there is none, or where nobody knows which of several is meant.

    Raises:
        PermanentFailure: the workbook is damaged or too large.
    """
    with TemporaryDirectory() as work:
        try:
            files = unpack(path, str(path), FileFormat(kind="xlsx", sheet=sheet), Path(work), 0)
        except BadFile as e:
            if e.reason is not Reason.LAYOUT:
                raise
            return ""
        return files[0].path.read_text(encoding="utf-8") if files else ""


def _of_json(
    text: str, kind: tuple[str, str | None], found: Sample, fmt: dict[str, tuple[Any, str]], reader: Reader
) -> Draft:
    name, path = kind
    documents = shapes.documents(text, name, path, whole=found.whole)
    columns = shapes.of_documents(document for document, _ in documents)
    if not columns.texts:
        raise PermanentFailure(
            "no object with members was found in the JSON of the sample: draft from a file with rows"
        )
    fmt["kind"] = name, "one object in each line" if name == "ndjson" else "one document"
    if path:
        fmt["records"] = path, "the longest array of objects"
    drafted = _drafted(columns, fmt, reader, about=f"{name}, {_seen(columns.rows, found)}")
    if found.whole:
        return drafted
    written = shapes.document_of([written for _, written in documents], name, path)
    return replace(drafted, sampled=written.encode(fmt.get("encoding", ("utf-8", ""))[0]))


def _of_table(text: str, found: Sample, encoding: str, fmt: dict[str, tuple[Any, str]], reader: Reader) -> Draft:
    table = dialects.table_of(text, whole=found.whole)
    end = dialects.lines_of(decoded(found.end, encoding))[1:] if found.end else []
    below = _below(end, table) if end else []
    if below:
        table = replace(table, footer=len(below), footer_start=dialects.known_start(below))
    dialect = table.dialect
    header = table.header or tuple(f"column {n}" for n in range(1, dialect.fields + 1))
    fmt |= _format(table)
    rows = [row.fields for row in table.rows if len(row.fields) == dialect.fields]
    totals = _totals(header, rows)
    if totals:
        rows = [row for row in rows if not _is_total(row, totals)]
    columns = shapes.of_table(header, rows)
    about = f"{fmt.get('kind', ('csv', ''))[0]}, {dialect.fields} columns, {_seen(columns.rows, found)}"
    has_header = table.header is not None and not table.header_line
    drafted = _drafted(columns, fmt, reader, about=about, has_header=has_header, beginning=text)
    if totals:
        name = drafted.columns[[n for n in header if n.strip()].index(header[totals[0]])].name
        words = ", ".join(f"'{word}'" for word in totals[1])
        condition = f"{name} = {words}" if len(totals[1]) == 1 else f"{name} in ({words})"
        drafted = replace(drafted, others={**drafted.others, "skip_rows_where": (condition, "rows of totals")})
    drafted = replace(drafted, beginning=text)
    if found.whole:
        return drafted
    lines = dialects.lines_of(text)
    last = table.rows[-1].line if table.rows else len(lines)
    kept = "".join([*lines[: min(last, len(lines) - 1)], *(end[-len(below) :] if below else ())])
    return replace(drafted, sampled=kept.encode(encoding, "replace"))


def _seen(rows: int, found: Sample) -> str:
    where = "all of the file" if found.whole else "the beginning of the file"
    archive = f", one of {found.files} files of the archive" if found.files > 1 else ""
    return f"{rows:,} rows looked at, {where}{archive}"


def _below(end: Sequence[str], table: dialects.Table) -> list[dialects.Record]:
    """The lines after the last row, by the end of a file whose beginning is known."""
    if not dialects.is_plain(end) or table.dialect.fields == 1:
        return []
    found = [each for each in dialects.records(end, table.dialect) if any(each.fields)]
    rows = len(found)
    while rows and len(found[rows - 1].fields) != table.dialect.fields:
        rows -= 1
    return found[rows:] if rows else []


def _format(table: dialects.Table) -> dict[str, tuple[Any, str]]:
    dialect, fmt = table.dialect, dict[str, tuple[Any, str]]()
    if dialect.delimiter != "," and not table.sep_line:
        said = dialects.SAID.get(dialect.delimiter, "")
        share = f"{dialect.fields} fields in {dialect.agreed:.0%} of the lines looked at"
        share = share if dialect.fields > 1 else "one column, and this stands in no value of it"
        fmt["delimiter"] = dialect.delimiter, f"{said}: {share}" if said else share
    elif dialect.delimiter != ",":
        fmt["delimiter"] = dialect.delimiter, "as the first line says"
    if not dialect.quote:
        fmt["quote"] = "", "REVIEW: a quote is not closed, so quotes are taken for a sign like any other"
        fmt["escape"] = "", ""
    elif dialect.quote != '"':
        fmt["quote"] = dialect.quote, "fields stand in these"
    if dialect.escape != dialect.quote:
        fmt["escape"] = dialect.escape, "stands before quotes within fields"
    elif dialect.quote not in ("", '"'):
        fmt["escape"] = dialect.quote, "quotes within fields are doubled"
    fmt |= _beginning(table)
    if table.comment and table.comments_within:
        fmt["comment"] = table.comment, "begins lines that are no rows"
    if table.footer_start:
        fmt["skip_footer"] = {"starts_with": table.footer_start}, f"{_lines(table.footer)} after the last row"
    elif table.footer:
        fmt["skip_footer"] = table.footer, "lines after the last row"
    if table.repeated_headers and not table.header_line:
        fmt["repeated_header"] = "leave_out", f"{table.repeated_headers} more lines have the text of the header"
    return fmt


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _beginning(table: dialects.Table) -> dict[str, tuple[Any, str]]:
    if table.header is None:
        found: dict[str, tuple[Any, str]] = {
            "header": (False, "the first line has values; REVIEW: give the columns their names")
        }
        return found | ({"skip_lines": (table.preamble, "lines before the first row")} if table.preamble else {})
    if table.header_line:
        why = "names stand twice in it, or one is empty, so the columns are declared in its order"
        return {"header": (False, why), "skip_lines": (table.header_line, "the header included")}
    if not table.preamble:
        return {}
    if table.header_start:
        return {"header": ({"starts_with": table.header_start}, f"{_lines(table.preamble)} before it")}
    return {"skip_lines": (table.preamble, "lines before the header")}


_TOTAL_WORDS = frozenset(
    {"total", "totals", "grand total", "report total", "subtotal", "gesamt", "summe", "insgesamt", "total général"}
    | {"total: account", "total: campaigns", "total: search", "total: all", "totale", "totaal", "sum"}
)
MOST_TOTALS = 20
"""Rows of totals that a file may have."""


def _totals(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[int, tuple[str, ...]] | None:
    """The column by which rows of totals are known, and what they say there: known words, in few rows."""
    for n, _ in enumerate(header):
        said = [row[n] for row in rows if row[n].strip().lower() in _TOTAL_WORDS]
        if said and len(said) <= min(MOST_TOTALS, max(1, len(rows) // 5)) and len(said) < len(rows):
            return n, tuple(dict.fromkeys(said))
    return None


def _is_total(row: Sequence[str], totals: tuple[int, tuple[str, ...]]) -> bool:
    return row[totals[0]] in totals[1]


def _drafted(
    found: shapes.Columns,
    fmt: dict[str, tuple[Any, str]],
    reader: Reader,
    *,
    about: str,
    has_header: bool = True,
    beginning: str = "",
) -> Draft:
    if any("{{" in name or "{%" in name for name in (*found.texts, *(str(value) for value, _ in fmt.values()))):
        raise PermanentFailure(
            "a name in the file is written as a template is, and would be read as one in YAML: have it renamed"
        )
    names = catalog_names(found.texts, INTERNAL_COLUMNS)
    different = {field: list(dict.fromkeys(filter(None, texts))) for field, texts in found.texts.items()}
    by_name = {names[field]: texts for field, texts in different.items()}
    guesses = {name: guess for name, texts in by_name.items() if (guess := _personal(name, texts))}
    people = any(not pers.is_place(guess) for guess in guesses.values())
    country = pers.country_of({name: texts for name, texts in by_name.items() if name not in guesses})
    evidence = _evidence(by_name, beginning)
    drafted = []
    for source, name in names.items():
        texts, guess = different[source], guesses.get(name)
        settings: dict[str, Any]
        if guess and (people or not pers.is_place(guess)):
            settings, why = _pii(guess, country), f"REVIEW: {guess.reason}"
        else:
            reading = _reading(name, texts, found.types.get(source), evidence, reader)
            settings, whys = dict(reading.settings), [reading.why]
            if guess:
                whys.append("a place, and nobody else's data is here; REVIEW: pii: " + str(guess.kind) + " if it is")
            elif not texts:
                whys.append("without a value in the sample")
            else:
                whys.append(pers.remark(name, texts))
            words = col.shown_words(texts, found.rows) if reading.type == "string" else []
            if words:
                whys.append(f"allowed: [{', '.join(words)}] if there are no others")
            why = "; ".join(filter(None, whys))
        spelled = {"field": source} if has_header and source != name else {}
        drafted.append(DraftColumn(name, {**spelled, **settings}, why))
    return _with_keys(Draft(fmt, tuple(drafted), about=about), {names[f]: t for f, t in found.texts.items()}, found)


def _personal(name: str, texts: Sequence[str]) -> pers.Guess | None:
    guess = pers.personal(name, texts)
    # `mobile` and `emails` are counts in reports.
    if (
        guess
        and guess.kind in (PiiKind.EMAIL, PiiKind.PHONE)
        and texts
        and all(len(re.sub(r"\D", "", text)) < 7 and not re.search("@|[A-Za-z]", text) for text in texts)
    ):
        return None
    return guess


def _pii(guess: pers.Guess, country: str | None) -> dict[str, Any]:
    if guess.kind is None:
        return {"drop": True}
    by_country = (PiiKind.PHONE, PiiKind.STATE, PiiKind.POSTAL_CODE)
    if guess.kind in by_country and country:
        return {"pii": {"kind": str(guess.kind), "country_column": country}}
    return {"pii": str(guess.kind)}


def _evidence(columns: Mapping[str, Sequence[str]], beginning: str) -> col.Evidence:
    """What columns say that leave nothing open, and where none does, the only exporter whose files begin so; nothing
    where columns differ."""
    commas = {said for texts in columns.values() if (said := col.comma_certain(texts)) is not None}
    orders = {said for texts in columns.values() if (said := col.day_order(texts)) is not None}
    presets = [preset_of(name) for name in presets_like(beginning)] if beginning else []
    usual = col.Evidence.of_exporter(presets[0].title, presets[0].defaults) if len(presets) == 1 else col.Evidence()
    found = col.Evidence(
        commas.pop() if len(commas) == 1 else None if commas else usual.decimal_comma,
        orders.pop() if len(orders) == 1 else None if orders else usual.day_first,
    )
    return found if orders else replace(found, day_first_by=usual.day_first_by)


def _reading(
    name: str, texts: Sequence[str], declared: str | None, evidence: col.Evidence, reader: Reader
) -> col.Reading:
    """The first reading that the transform agrees to for every text."""
    if declared:
        return col.Reading({"type": declared})
    if not texts:
        return col.Reading({"type": "string"})
    for reading in col.readings(name, texts, evidence, LANGUAGES):
        if reading.settings == {"type": "string"} or reader.read_all(dict(reading.settings), FileFormat(), texts):
            return reading
    return col.Reading({"type": "string"})


def _with_keys(drafted: Draft, texts: Mapping[str, Sequence[str | None]], found: shapes.Columns) -> Draft:
    types = {c.name: c.type for c in drafted.columns}
    remarks = list(drafted.remarks)
    open_columns = {c.name for c in drafted.columns if not c.settings.get("pii") and not c.settings.get("drop")}
    candidate = keys.key_candidate({n: t for n, t in texts.items() if n in open_columns}, types)
    columns, key = drafted.columns, drafted.key
    if candidate and candidate.sure:
        key = candidate.columns
        columns = tuple(
            replace(
                c,
                settings={**c.settings, "required": True},
                why="; ".join(filter(None, (c.why, f"no gap and no value twice in {found.rows:,} rows"))),
            )
            if c.name in key
            else c
            for c in columns
        )
    elif candidate:
        named = ", ".join(candidate.columns)
        remarks.append(
            f"key: [{named}] has no gap and nothing twice in {found.rows:,} rows; with it the newest row of each "
            "is kept (its columns then need required: true)"
        )
    else:
        remarks.append("no key: no columns without gaps are different in each row, so every row is kept")
    days = [n for n, kind in types.items() if kind == "date" and n in open_columns]
    if days:
        remarks.append(
            f"partition_by: dt (default) is the date of delivery; {days[0]} may be it where deliveries bring several "
            "dates again (it is then required, and part of the key)"
        )
    gaps = [n for n, each in texts.items() if n in open_columns and not all(each)]
    if found.rows and len(gaps) < len(texts):
        remarks.append(
            "required: true quarantines rows without a value; columns with gaps in the sample: "
            + (", ".join(gaps[:20]) or "none")
        )
    if found.left_out:
        remarks.append(
            f"REVIEW: {found.left_out} columns are left out, whose names look like values or cannot be declared"
        )
    return replace(drafted, columns=columns, key=key, remarks=tuple(remarks))


def with_columns(drafted: Draft, changed: Iterable[DraftColumn]) -> Draft:
    """The draft with some of its columns changed."""
    by_name = {column.name: column for column in changed}
    return replace(drafted, columns=tuple(by_name.get(c.name, c) for c in drafted.columns))
