"""A file as a feed reads it, with one made-up row, for the page that a partner gets."""

import csv
import io
import json
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat, LineStart
from adplatform.contracts.pii import PiiKind
from adplatform.drafting.trial import try_contract
from adplatform.failures import PermanentFailure
from adplatform.flow.source import FeedFlow

_PERSONAL = {
    PiiKind.EMAIL: "jane@example.com",
    PiiKind.PHONE: "+442079460958",  # one of those that Ofcom keeps free for dramas
    PiiKind.FIRST_NAME: "Jane",
    PiiKind.LAST_NAME: "Doe",
    PiiKind.STREET_ADDRESS: "1 Example Street",
    PiiKind.CITY: "London",
    PiiKind.STATE: "CA",
    PiiKind.POSTAL_CODE: "94107",
    PiiKind.COUNTRY: "US",
    PiiKind.DEVICE_ID: "6d92078a-8246-4ba4-ae5b-76104861e7dc",
    PiiKind.GENERIC_ID: "id-1",
}


def example_text(flow: FeedFlow, day: date) -> str:
    """The file, decrypted and uncompressed, of the delivery date ``day``; the header alone where a row cannot be made
    up that the feed takes, and "" for files that are no text."""
    form, columns = flow.feed.format, flow.feed.read_columns
    values = {column.field_name: _value(column, day) for column in columns}
    text = _written(form, values)
    if text and _is_taken(flow, text):
        return text
    return _delimited(form, [list(_header_first(form, values))]) if form.kind == "csv" and form.has_header else ""


def _is_taken(flow: FeedFlow, text: str) -> bool:
    with tempfile.TemporaryDirectory() as work:
        file = Path(work, "example")
        file.write_bytes(text.encode(flow.feed.format.encoding))
        try:
            trial = try_contract(flow.feed.contract, file, Path(work), flow.feed.limits)
        except PermanentFailure:
            return False
    return trial.staged.clean == 1


def _written(form: FileFormat, values: dict[str, str]) -> str:
    if form.kind == "csv":
        values = _header_first(form, values)
        return _delimited(form, [list(values)] * form.has_header + [list(values.values())])
    if form.kind not in ("ndjson", "json"):
        return ""
    document: dict[str, Any] = {}
    for field, value in values.items():
        *outer, name = field.split(".")
        place = document
        for each in outer:
            place = place.setdefault(each, {})
        place[name] = value
    if form.kind == "ndjson":
        return json.dumps(document, ensure_ascii=False) + "\n"
    whole: Any = [document]
    for name in reversed(form.records.split(".") if form.records else []):
        whole = {name: whole}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _header_first(form: FileFormat, values: dict[str, str]) -> dict[str, str]:
    """The same, so that the header begins as the feed wants it."""
    if not isinstance(form.header, LineStart) or form.header_order == "strict":
        return values
    begins = form.header.starts_with
    return dict(sorted(values.items(), key=lambda item: not item[0].startswith(begins)))


def _delimited(form: FileFormat, rows: list[list[str]]) -> str:
    """With as many lines around the rows as the feed takes off."""
    footer = form.skip_footer if isinstance(form.skip_footer, int) else 0
    above = "".join(f"title {n}\n" for n in range(1, form.skip_lines + 1))
    return above + _rows(form, rows) + "".join(f"footer {n}\n" for n in range(1, footer + 1))


def _rows(form: FileFormat, rows: list[list[str]]) -> str:
    if len(form.delimiter) > 1:
        return "".join(form.delimiter.join(row) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=form.delimiter,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        lineterminator="\n",
    )
    writer.writerows(rows)
    return text.getvalue()


def _value(column: Column, day: date) -> str:
    if column.allowed:
        return column.allowed[0]
    if column.pii and column.data_type.name == "string":
        return _PERSONAL[column.pii.kind]
    match column.data_type.name:
        case "boolean":
            return column.true_values[0]
        case "date":
            return column.min or day.isoformat()
        case "timestamp":
            return column.min or f"{day}T09:30:00Z"
        case "string":
            return "" if column.pattern and not column.required else "example"
        case "int" | "bigint":
            return column.min or "1"
        case "double":
            return column.min or ("0,5" if column.decimal_comma else "0.5")
        case "decimal":
            least = Decimal(1).scaleb(-column.data_type.scale)
            written = column.min or f"{least if column.data_type.precision == column.data_type.scale else least + 1:f}"
            return written.replace(".", ",") if column.decimal_comma else written
