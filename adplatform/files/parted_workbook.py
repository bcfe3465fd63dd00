"""Taking records out of a workbook.

What is left of one is written anew, with the values of all cells as the texts that they are read as, each where it was.
Formulas, formats, comments, properties, caches of pivot tables and whatever else may repeat a value go.
"""

import html
import shutil
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from adplatform.contracts.file_format import CellRange, FileFormat, LineStart
from adplatform.files.budget import Budget
from adplatform.files.compression import part_content
from adplatform.files.parted import Judge, Parted
from adplatform.files.sheet_text import is_header, line_of, narrowed
from adplatform.files.workbook import Row, Sheet, Workbook, opened_workbook, spelled

_EPOCH = (1980, 1, 1, 0, 0, 0)
_OVERLAP = 1 << 10
_ERASED = "erased"
"""Stands in a row that must stay for what it said."""
_NO_COLUMNS: Mapping[str, str] = {}
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PLAIN = FileFormat(kind="xlsx")


@dataclass(frozen=True)
class _Judged:
    """A row, and whether it is judged to go; ``instead`` is what must stand in its place then."""

    row: Row
    goes: bool = False
    counts: bool = True
    instead: str = ""


def part_workbook(path: Path, target: Path, form: FileFormat | None, judge: Judge, budget: Budget) -> Parted:
    """As :func:`adplatform.files.records.part`. Where the person is in none of the rows, and somewhere else in the
    workbook, that counts as one record."""
    form = form if form is not None and form.kind == "xlsx" else _PLAIN
    taken, left, first = 0, 0, CellRange.of(form.range or "A1").first_column
    with opened_workbook(path, budget.origin, budget) as workbook, ExitStack() as stack:
        out = stack.enter_context(zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED))
        names = [f"sheet-{n}" if judge(each.name, {}) else each.name for n, each in enumerate(workbook.sheets, start=1)]
        for name, content in _around(workbook, names).items():
            out.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
        for number, sheet in enumerate(workbook.sheets, start=1):
            with out.open(_entry(f"xl/worksheets/sheet{number}.xml"), "w") as part:
                part.write(f'<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
                for each in _judged(workbook.rows(sheet), form, judge):
                    taken, left = taken + each.goes, left + (each.counts and not each.goes)
                    cells = {first: each.instead} if each.instead else each.row.cells
                    if not each.goes or each.instead:
                        part.write(_row(each.row.number, cells).encode())
                part.write(b"</sheetData></worksheet>")
        taken += sum(old.name != new for old, new in zip(workbook.sheets, names, strict=True))
        unseen = sum(map(_is_unseen, workbook.archive.namelist()))
        if not taken and _is_elsewhere(workbook, judge):
            taken = 1
    if not taken:
        shutil.copyfile(path, target)
    return Parted(taken, left, unseen)


def _judged(rows: Iterator[Row], form: FileFormat, judge: Judge) -> Iterator[_Judged]:
    footer = form.skip_footer
    names: dict[int, str] = {}
    last: deque[_Judged] = deque()
    cells = CellRange.of(form.range or "A1")
    for row in rows:
        text = line_of(row, 0)
        within = narrowed(row, cells)
        if form.has_header and not names and within and is_header(line_of(within, 0), within, form):
            names = dict(row.cells)
            yield _Judged(row, counts=False)
            continue
        is_record = bool(names) or not form.has_header
        values = {names.get(column, f"[{column}]"): value for column, value in row.cells.items()}
        goes = judge(text, values if is_record else _NO_COLUMNS)
        instead = _beginning(row, footer) if goes and is_record and isinstance(footer, LineStart) else ""
        last.append(_Judged(row, goes, is_record, instead))
        if len(last) > (footer if isinstance(footer, int) else 0):
            yield last.popleft()
    # Of a footer of so many rows all must stay, or rows above would be taken for it.
    yield from (_Judged(each.row, each.goes, False, _ERASED if each.goes else "") for each in last)


def _beginning(row: Row, start: LineStart) -> str:
    first = row.cells[min(row.cells)]
    return next((text for text in start.starts_with if first.startswith(text)), "")


def _is_elsewhere(workbook: Workbook, judge: Judge) -> bool:
    """Whether what is judged to go stands in the package beside the values of cells."""
    if any(judge(text, {}) for text in workbook.texts()):
        return True
    return any(judge(piece, {}) for name in workbook.archive.namelist() for piece in _pieces(workbook, name))


def _pieces(workbook: Workbook, name: str) -> Iterator[str]:
    """What a part says, in pieces that overlap."""
    yield name
    if name.endswith("/"):
        return
    before = b""
    for chunk in workbook.budget.spend(part_content(workbook.archive, name, workbook.origin)):
        yield html.unescape((before + chunk).decode("utf-8", "replace"))
        before = chunk[-_OVERLAP:]


def _is_unseen(name: str) -> bool:
    return "/embeddings/" in name or (name.endswith(".bin") and "/printerSettings/" not in name)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _row(number: int, cells: Mapping[int, str]) -> str:
    texts = {f"{_letters(column)}{number}": escape(spelled(text)) for column, text in sorted(cells.items())}
    written = "".join(
        f'<c r="{cell}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>' for cell, text in texts.items()
    )
    return f'<row r="{number}">{written}</row>'


def _letters(column: int) -> str:
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _around(workbook: Workbook, names: Iterable[str]) -> Mapping[str, str]:
    """The parts that say where the sheets are."""
    numbered = list(enumerate(zip(workbook.sheets, names, strict=True), start=1))
    sheets = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" state="{_state(sheet)}" r:id="s{n}"/>'
        for n, (sheet, name) in numbered
    )
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>'
        for n, _ in numbered
    )
    related = "".join(
        f'<Relationship Id="s{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n, _ in numbered
    )
    main = f'<Relationship Id="w" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    return {
        "[Content_Types].xml": f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.'
        'openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType='
        f'"{_SHEET_TYPE}.sheet.main+xml"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}">{main}</Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">{related}</Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>',
    }


def _state(sheet: Sheet) -> str:
    return "hidden" if sheet.hidden else "visible"
