"""Which values a partition of the table can have: what Hive's paths, Glue and S3 keys can hold.

A value becomes ``<column>=<value>/`` of every key below a partition, with some of its characters escaped.
"""

from adplatform.transform.rules import literal

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
# Hive's FileUtils.charToEscape. Spark and Athena take other characters from the path as they are, so a general URL
# quoting would change what they read.
ESCAPED = frozenset("\"#%'*/:=?\\{[]^\x7f") | {chr(c) for c in range(0x20)}
MAX_ESCAPED = 512
"""Bytes of UTF-8 that an escaped value may have. An S3 key has 1,024 (S3 user guide, object key naming) and Hive's
partition name 767 characters (metastore schema, PARTITIONS.PART_NAME); the names of source, feed and column take up to
253 of them."""
# Glue's texts hold no control characters but the tab, and no U+FFFE and U+FFFF (Glue web API, NameString). The controls
# above U+007F are allowed there and break readers of paths all the same.
_CONTROLS = r"[\x00-\x08\x0A-\x1F\x7F-\x9F\x{FFFE}\x{FFFF}]"
_LENGTHENED = "".join(sorted(c for c in ESCAPED if c.isprintable() or c == "\t"))


def escape(value: str) -> str:
    """The value as Hive writes it in paths."""
    return "".join(f"%{ord(character):02X}" if character in ESCAPED else character for character in value)


def unusable(value: str) -> str:
    """DuckDB SQL: whether the text ``value``, an SQL expression, cannot be a partition."""
    escaped = f"length({value}) - length(translate({value}, {literal(_LENGTHENED)}, ''))"
    return (
        f"{value} in ('', {literal(HIVE_NULL)}) or regexp_matches({value}, {literal(_CONTROLS)})"
        f" or strlen({value}) + 2 * ({escaped}) > {MAX_ESCAPED}"
    )
