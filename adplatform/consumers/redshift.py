"""What Amazon Redshift Spectrum takes: all types of a contract, decimals being what the catalog says in every file,
which the check ``schema`` sees to; names and texts by the limits of a warehouse."""

from collections.abc import Iterator

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Table
from adplatform.consumers.values import Asked

MOST_CHARACTERS = 127
"""Bytes; Redshift Developer Guide, "Names and identifiers"."""
LONGEST_TEXT = 65_535
"""Bytes of a VARCHAR; Redshift Developer Guide, "Character types"."""


def asked(table: Table) -> Asked:
    return Asked({column.name: LONGEST_TEXT for column in table.columns if column.type.name == "string"})


def findings(table: Table) -> Iterator[Finding]:
    for column in table.columns:
        if len(column.name) > MOST_CHARACTERS:
            text = f"its name is longer than {MOST_CHARACTERS} characters, what an identifier may have; rename it"
            yield Finding("error", text, column.name)
        values = table.values.get(column.name)
        if values and values.bytes is not None and values.bytes > LONGEST_TEXT:
            text = (
                f"its longest text has {values.bytes:,} bytes, and a VARCHAR {LONGEST_TEXT:,} at most, so that queries "
                "of it fail; drop the column, or shorten it by an expression, as substring(text, 1, 1000)"
            )
            yield Finding("error", text, column.name)
