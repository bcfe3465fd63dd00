"""Delimited text split into fields, whatever the number of characters between them."""

import csv
from collections.abc import Iterable, Iterator

from adplatform.contracts.file_format import FileFormat

_STANDS_FOR_DELIMITER = "\ud800"
"""Python's csv module takes one character. No text that was decoded has this one, half of a pair."""


def records(lines: Iterable[str], fmt: FileFormat, *, strict: bool = False) -> Iterator[list[str]]:
    """The fields of each record; ``lines`` have their ends, and those within quotes belong to one record. An empty line
    is a record without fields.

    Raises:
        csv.Error: a field is too long or, where it is ``strict``, its quotes are broken.
    """
    doubled = fmt.escape in (fmt.quote, "")
    several = len(fmt.delimiter) > 1
    reader = csv.reader(
        (line.replace(fmt.delimiter, _STANDS_FOR_DELIMITER) for line in lines) if several else lines,
        delimiter=_STANDS_FOR_DELIMITER if several else fmt.delimiter,
        quotechar=fmt.quote or None,
        quoting=csv.QUOTE_MINIMAL if fmt.quote else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=None if doubled else fmt.escape,
        strict=strict,
    )
    for fields in reader:
        yield [field.replace(_STANDS_FOR_DELIMITER, fmt.delimiter) for field in fields] if several else fields
