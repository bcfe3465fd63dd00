"""Workbooks as Excel and exporters write them."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openpyxl import Workbook

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGED = "http://schemas.openxmlformats.org/package/2006/relationships"


def saved(book: Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def workbook(**sheets: Sequence[Sequence[Any]]) -> bytes:
    """Sheets by name, with the values of their rows."""
    book = Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return saved(book)


def by_hand(
    rows: str, *, texts: str | None = None, styles: str = "", main: str = MAIN, more: Mapping[str, bytes] | None = None
) -> bytes:
    """A workbook of one sheet, of which the XML of its rows, its shared texts and its ``cellXfs`` are given."""
    related = f'<Relationships xmlns="{PACKAGED}">'
    kind = main.replace("spreadsheetml/main", "officeDocument/relationships") if main != MAIN else RELATED
    targets = {"worksheet": "worksheets/sheet1.xml", "styles": "styles.xml"}
    if texts is not None:
        targets["sharedStrings"] = "/xl/sharedStrings.xml"
    listed = "".join(f'<Relationship Id="{t}" Type="{kind}/{t}" Target="{to}"/>' for t, to in targets.items())
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'{related}<Relationship Id="r" Type="{kind}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/_rels/workbook.xml.rels": f"{related}{listed}</Relationships>",
        "xl/workbook.xml": f'<x:workbook xmlns:x="{main}" xmlns:r="{kind}"><x:sheets>'
        '<x:sheet name="one" sheetId="1" r:id="worksheet"/></x:sheets></x:workbook>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}">{styles}</styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    if texts is not None:
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{main}">{texts}</sst>'
    return packed({**{name: text.encode() for name, text in parts.items()}, **(more or {})})


def packed(parts: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def changed(book: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """The same workbook with another content of a part."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return packed({**parts, part: change(parts[part])})
