"""What to say of a file that lacks declared columns: what was found in their place, and the setting that may read it.

What stands where a header should be may be the first row, so only names are shown that are certainly names: those that
are near to declared ones, and where a declared one stands there, plain ones.
"""

import csv
import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.undeclared_names import is_like_value
from adplatform.failures import clipped, listed
from adplatform.files.foreign import notice
from adplatform.files.input_file import InputFile

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 64 << 10
_LINES = 50
"""Of the beginning of a file are looked at for its header."""
_ALIKE = 0.8
_SHORTEST = 3
"""Names of so few characters are alike by chance."""
_NAME = re.compile(r"[^\W\d_](?:[\w .()/%-]{0,98}[\w)%])?")


def advice(
    file: InputFile,
    fmt: FileFormat,
    missing: Sequence[Sequence[str]],
    found: Sequence[str],
    known: Collection[str],
) -> str:
    """What follows the names of missing columns, each of which has the names ``missing``. ``found`` are the columns of
    the file as it names them, of which ``known`` are declared."""
    if fmt.kind in ("ndjson", "json"):
        return ""
    others = [name for name in found if name not in known]
    is_header = bool(known) or fmt.kind in ("parquet", "avro")
    pairs = [(names[0], near) for names in missing if (near := nearest(names, others, is_header))]
    parts = [f"found {_shown(found, known, pairs, is_header)}"]
    # Where the Spark job runs, files are not on this machine.
    if fmt.kind == "csv" and file.path.is_file():
        with file.path.open("rb") as stream:
            sample = stream.read(_SAMPLE)
        if what := notice(sample):
            return f"; the file is {what}: ask for a table, with its header alone where there is no data"
        if setting := _elsewhere(file, sample, fmt, missing, found):
            return "; ".join(["", *parts, setting])
    if pairs:
        name, near = pairs[0]
        loosely = ", or header_match: loose" if _plainly(name) == _plainly(near) else ""
        parts.append(f"if {near!r} is {name!r}, set field: {near!r}{loosely}, or have it written as declared")
    elif not known and "#" in file.origin:
        parts.append("if it is no file with data, set format.members to those of the archive that are")
    elif fmt.kind == "csv" and not known:
        parts.append("set header: false if the files have none, or have them written with the declared names")
    else:
        parts.append("have it written as declared, or set field to what the files call it, or optional: true")
    return "; ".join(["", *parts])


def nearest(names: Iterable[str], found: Iterable[str], is_header: bool) -> str | None:
    """The name among those found that is likely to mean a column of these names. Of what may be a row it is one that
    differs in signs only."""
    plainly = {_plainly(each): each for each in found if _is_name(each)}
    for name in map(_plainly, names):
        if name in plainly:
            return plainly[name]
        close = difflib.get_close_matches(name, plainly, 1, _ALIKE) if is_header and len(name) > _SHORTEST else []
        if close:
            return plainly[close[0]]
    return None


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text.strip()) and not is_like_value(text))


def _plainly(name: str) -> str:
    """A name without what writers spell in different ways."""
    return re.sub(r"[\W_]+", "", name).lower()


def _shown(found: Sequence[str], known: Collection[str], pairs: Iterable[tuple[str, str]], is_header: bool) -> str:
    near = {each for _, each in pairs}
    names = [name for name in found if name in known or name in near or (is_header and _is_name(name))]
    hidden = len(found) - len(names)
    if not names:
        return f"{hidden} {'field' if hidden == 1 else 'fields'} without a declared name"
    more = f", and {hidden} more that may be values" if hidden else ""
    return f"{listed(repr(clipped(name, 100)) for name in names)}{more}"


def _elsewhere(
    file: InputFile, sample: bytes, fmt: FileFormat, missing: Sequence[Sequence[str]], found: Sequence[str]
) -> str:
    """The setting by which the missing columns are found; "" where none is known."""
    lines = sample.decode("utf-8", "replace").splitlines()[:_LINES]
    delimiters = [fmt.delimiter, *(each for each in _DELIMITERS if each != fmt.delimiter)]
    wanted = [set(map(_plainly, names)) for names in missing]
    for number, line in enumerate(lines):
        for delimiter in delimiters:
            there = {_plainly(each) for each in _split(line, delimiter, fmt.quote)}
            same = delimiter == fmt.delimiter
            if (same and number <= fmt.skip_lines) or not all(names & there for names in wanted):
                continue
            place = file.delivered_line(number + 1)
            settings = [] if same else [f"delimiter: {delimiter!r}"]
            settings += [f"skip_lines: {place - 1}"] if number > fmt.skip_lines else []
            return f"line {place} has them; set in the feed's format {', '.join(settings)}"
    alone = found[0] if len(found) == 1 else ""
    other = max(delimiters[1:], key=alone.count)
    if other in alone:
        return f"its header is one field that holds {other!r}; set format.delimiter: {other!r} if fields end with that"
    return ""


def _split(line: str, delimiter: str, quote: str) -> list[str]:
    if len(delimiter) > 1:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote or '"'), [])
    except csv.Error:
        return []
