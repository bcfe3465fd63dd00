"""Rows of csv that end early, given the fields that they lack, for ``ragged_rows: pad``.

DuckDB has an option for that (``null_padding``), under which it makes half a row of what follows a quote that nobody
closes, without a word. So a file with such rows is read from a copy in which no row is short.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from adplatform.contracts.file_format import FileFormat
from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect, delimiters
from adplatform.transform.copies import Copies
from adplatform.transform.layouts import Layout


def pad_rows(fmt: FileFormat, layouts: Iterable[Layout], directory: Path) -> Copies:
    """Copy files with short rows to ``directory``; none where the format does not ask for it."""
    copied: dict[int, tuple[InputFile, InputFile]] = {}
    for layout in layouts if fmt.ragged_rows == "pad" else ():
        wanted = len(layout.columns) + layout.lines.unnamed - 1
        for file in layout.files:
            directory.mkdir(parents=True, exist_ok=True)
            target = directory / f"{file.ordinal}-padded"
            if _pad(file.path, target, fmt, layout.lines.skip, wanted):
                copied[file.ordinal] = file, replace(file, path=target)
            else:
                target.unlink()
    return Copies(copied, fmt.delimiter)


def _pad(path: Path, target: Path, fmt: FileFormat, skip: int, wanted: int) -> bool:
    """Write the file with ``wanted`` delimiters in each row at least, behind the ``skip`` lines before the first
    record. Whether any row lacked one."""
    dialect, found, inside, short = Dialect.of(fmt), 0, False, False
    is_header = fmt.has_header
    with path.open("rb") as source, target.open("wb") as out:
        out.writelines(islice(source, skip))
        for line in source:
            more, inside = delimiters(line, dialect, inside)
            found += more
            if inside:
                out.write(line)
                continue
            body = line.rstrip(b"\r\n")
            if found < wanted and (body or found) and not is_header:
                out.write(body + dialect.delimiter * (wanted - found) + line[len(body) :])
                short = True
            else:
                out.write(line)
            found, is_header = 0, False
    return short
