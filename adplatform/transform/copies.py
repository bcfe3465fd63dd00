"""Files that are read from a copy, in which each line of them stands, written otherwise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adplatform.files.input_file import InputFile
from adplatform.transform.rejects import Reject


@dataclass(frozen=True)
class Copies:
    """The files that were copied, by ordinal, each with its copy, which has as many lines. Behind some of these it may
    have more of ``added``."""

    files: Mapping[int, tuple[InputFile, InputFile]]
    added: str = ""

    def instead(self, files: Iterable[InputFile]) -> tuple[InputFile, ...]:
        """The files, copies in the place of those that were copied."""
        return tuple(self.files[file.ordinal][1] if file.ordinal in self.files else file for file in files)

    def as_written(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Rejects of copies with the place and the text that they have in the file."""
        placed = list(rejects)
        for ordinal, (file, _) in self.files.items():
            numbers = {n: r.line for n, r in enumerate(rejects) if r.file == ordinal}
            if not numbers:
                continue
            lines = _lines(file, set(numbers.values()))
            for n, number in numbers.items():
                at, text = lines[number]
                more = placed[n].raw.removeprefix(text)
                raw = text if self.added and not more.replace(self.added, "") else placed[n].raw
                placed[n] = replace(placed[n], byte_position=at, raw=raw)
        return placed


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
