"""Rows of csv that end early, given the fields that they lack, for ``ragged_rows: pad``.

DuckDB has an option for that (``null_padding``), under which it makes half a row of what follows a quote that nobody
closes, without a word. So a file with such rows is read from a copy in which no row is short.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from adplatform.contracts.file_format import FileFormat
from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect, delimiters
from adplatform.transform.layouts import Layout
from adplatform.transform.rejects import Reject


@dataclass(frozen=True)
class Padded:
    """The files that were copied, by ordinal, each with its copy, which has as many lines."""

    delimiter: str
    files: Mapping[int, tuple[InputFile, InputFile]]

    def instead(self, files: Iterable[InputFile]) -> tuple[InputFile, ...]:
        """The files, copies in the place of those that were copied."""
        return tuple(self.files[file.ordinal][1] if file.ordinal in self.files else file for file in files)

    def as_written(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Rejects of copies with the place and the text that they have in the file."""
        placed = list(rejects)
        for ordinal, (file, _) in self.files.items():
            numbers = {n: r.line for n, r in enumerate(rejects) if r.file == ordinal and r.line is not None}
            if not numbers:
                continue
            lines = _lines(file, set(numbers.values()))
            for n, number in numbers.items():
                at, text = lines[number]
                added = placed[n].raw.removeprefix(text)
                raw = text if not added.replace(self.delimiter, "") else placed[n].raw
                placed[n] = replace(placed[n], byte_position=at, raw=raw)
        return placed


def pad_rows(fmt: FileFormat, layouts: Iterable[Layout], directory: Path) -> Padded:
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
    return Padded(fmt.delimiter, copied)


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


def _lines(file: InputFile, wanted: set[int]) -> dict[int, tuple[int, str]]:
    """Where lines begin, and their texts, by number; both as in the delivered file."""
    found, at = {}, 0
    with file.path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            delivered = file.delivered_line(number)
            if delivered in wanted:
                found[delivered] = file.delivered_at(number, at), line.decode("utf-8", "replace").rstrip("\r\n")
            at += len(line)
    return found
