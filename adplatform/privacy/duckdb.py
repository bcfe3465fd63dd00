"""The privacy functions on a DuckDB connection.

A value written plainly in ASCII, as most are, with or without blanks around it, is normalised and hashed by DuckDB's
own functions, on all threads. The others go to the rules in Python, each distinct value of a batch once.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.platform.late import Late
from adplatform.privacy.keys import HashKey
from adplatform.privacy.rules import RULES, function_name, normalised, unkeyed_output
from adplatform.privacy.text import BLANKS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")

_HMAC, _PREVIOUS_HMAC = "adp_hmac", "adp_hmac_previous"
_EMAIL = "regexp_full_match(v, '[!-?A-~]+@[!-?A-~]+')"
_ALPHANUMERIC = "regexp_replace(lower(v), '[^a-z0-9]', '', 'g')"
_NORTH_AMERICAN = (
    r"regexp_full_match(v, '(\+1[ .-]?)?\(?[2-9][0-9]{2}\)?[ .-]?[0-9]{3}[ .-]?[0-9]{4}')"
    " AND (starts_with(v, '+1') OR country IN ('US', 'CA'))"
)
_TEN_DIGITS = "right(translate(v, '+(). -', ''), 10)"
_HAS_ALPHANUMERIC = r"strlen(v) < 64 AND regexp_full_match(v, '[ -~]*[0-9A-Za-z][ -~]*')"
# Inside the classes of these patterns a value is ASCII without blanks at the ends: lower() means the same everywhere.
_PLAIN: Mapping[tuple[Treatment, PiiKind], tuple[str, str]] = {
    (Treatment.LAKE, PiiKind.EMAIL): (_EMAIL, "lower(v)"),
    (Treatment.META, PiiKind.EMAIL): (_EMAIL, "lower(v)"),
    (Treatment.GOOGLE, PiiKind.EMAIL): (f"lower(v) NOT LIKE '%@g%mail.com' AND {_EMAIL}", "lower(v)"),
    (Treatment.AMAZON_ADS, PiiKind.EMAIL): (
        "regexp_full_match(v, '[0-9A-Za-z_.-][0-9A-Za-z_.+-]*@[0-9A-Za-z_.-]+')",
        "lower(replace(v, '+', ''))",
    ),
    (Treatment.LAKE, PiiKind.PHONE): (_NORTH_AMERICAN, f"'+1' || {_TEN_DIGITS}"),
    (Treatment.UID2, PiiKind.EMAIL): (f"lower(v) NOT LIKE '%@gmail.com' AND {_EMAIL}", "lower(v)"),
    (Treatment.GOOGLE, PiiKind.PHONE): (_NORTH_AMERICAN, f"'+1' || {_TEN_DIGITS}"),
    (Treatment.UID2, PiiKind.PHONE): (_NORTH_AMERICAN, f"'+1' || {_TEN_DIGITS}"),
    (Treatment.AMAZON_ADS, PiiKind.PHONE): (_NORTH_AMERICAN, f"'1' || {_TEN_DIGITS}"),
    (Treatment.META, PiiKind.PHONE): (_NORTH_AMERICAN, f"'1' || {_TEN_DIGITS}"),
    (Treatment.LAKE, PiiKind.DEVICE_ID): (
        r"strlen(v) < 64 AND regexp_full_match(v, '[0-9A-Za-z-]*[1-9A-Za-z][0-9A-Za-z-]*')",
        "lower(v)",
    ),
    (Treatment.LAKE, PiiKind.GENERIC_ID): (r"strlen(v) < 64 AND regexp_full_match(v, '[!-~]([ -~]*[!-~])?')", "v"),
    (Treatment.AMAZON_ADS, PiiKind.FIRST_NAME): (_HAS_ALPHANUMERIC, _ALPHANUMERIC),
    (Treatment.AMAZON_ADS, PiiKind.LAST_NAME): (_HAS_ALPHANUMERIC, _ALPHANUMERIC),
    (Treatment.AMAZON_ADS, PiiKind.CITY): (_HAS_ALPHANUMERIC, _ALPHANUMERIC),
}
"""Kinds that DuckDB does alone when they are written plainly: what is plain of ``v``, and its normalised form."""


def register(
    con: "duckdb.DuckDBPyConnection",
    key: HashKey | None,
    previous: HashKey | None = None,
    kinds: Collection[PiiKind] = tuple(PiiKind),
) -> None:
    """Create the functions that ``pii_outputs`` calls for these kinds, and ``adp_is_digest(v)``, on this connection.

    Its cursors do not have them. May be called again, also with another key. Without a key there are no ``adp_lake_``
    functions, so what needs one fails; the same goes for ``previous`` and ``adp_lake_previous_``. A key is handed over
    as a bound value and stays in a temporary table: no statement, plan, log or catalog shows it, but who may run SQL on
    this connection can read the table.
    """
    con.execute(
        "CREATE OR REPLACE TEMP MACRO adp_is_digest(v) AS CASE WHEN strlen(v) >= 64 "
        f"THEN regexp_full_match(trim(v, '{BLANKS}'), '[0-9a-fA-F]{{64}}') ELSE false END"
    )
    _register_hmac(con, _HMAC, key)
    _register_hmac(con, _PREVIOUS_HMAC, previous)
    # duckdb_functions() takes 40 ms to say the same.
    con.execute("CREATE TEMP TABLE IF NOT EXISTS adp_registered (name VARCHAR)")
    known = {name for (name,) in con.execute("FROM adp_registered").fetchall()}
    rules = {function_name(*rule): rule for rule in RULES if rule[1] in kinds}
    added = {f"{name}_any": rule for name, rule in rules.items() if f"{name}_any" not in known}
    for name, (treatment, kind) in added.items():
        _create_python_function(con, name, treatment, kind)
    if added:
        con.execute("INSERT INTO adp_registered SELECT unnest(?)", [list(added)])
    for name, (treatment, kind) in rules.items():
        before = function_name(treatment, kind, previous=True)
        if treatment is not Treatment.LAKE:
            con.execute(";".join(_macros(name, treatment, kind, _HMAC)))
            continue
        for macro, hmac, held in ((name, _HMAC, key), (before, _PREVIOUS_HMAC, previous)):
            con.execute(";".join(_macros(macro, treatment, kind, hmac)) if held else f"DROP MACRO IF EXISTS {macro}")


def _register_hmac(con: "duckdb.DuckDBPyConnection", name: str, key: HashKey | None) -> None:
    """RFC 2104 in SQL: DuckDB has no HMAC, and a Python one is slower and runs on one thread."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE {name}_pads (inner_pad BLOB, outer_pad BLOB)")
    if key is not None:
        con.execute(f"INSERT INTO {name}_pads VALUES (?, ?)", list(key.pads()))
    con.execute(
        f"CREATE OR REPLACE TEMP MACRO {name}(plain) AS sha256((SELECT outer_pad FROM {name}_pads) "
        f"|| unhex(sha256((SELECT inner_pad FROM {name}_pads) || encode(plain))))"
    )


def _macros(name: str, treatment: Treatment, kind: PiiKind, hmac: str) -> Iterator[str]:
    parameters = "v, country" if RULES[treatment, kind].takes_country else "v"
    plain, slow = "NULL", f"CASE WHEN v IS NOT NULL THEN {function_name(treatment, kind)}_any({parameters}) END"
    if (treatment, kind) in _PLAIN:
        guard, normal = _PLAIN[treatment, kind]
        yield f"CREATE OR REPLACE TEMP MACRO {name}_plain({parameters}) AS CASE WHEN {guard} THEN {normal} END"
        trimmed = parameters.replace("v", "trim(v, ' ')", 1)
        plain = f"coalesce({name}_plain({parameters}), {name}_plain({trimmed}))"
    unkeyed = f"sha256({plain})"
    if RULES[treatment, kind].form == "base64 digest":
        unkeyed = f"to_base64(unhex({unkeyed}))"
    digest = f"{hmac}(coalesce({plain}, {slow}))" if treatment is Treatment.LAKE else f"coalesce({unkeyed}, {slow})"
    yield f"CREATE OR REPLACE TEMP MACRO {name}({parameters}) AS {digest}"


def _create_python_function(con: "duckdb.DuckDBPyConnection", name: str, treatment: Treatment, kind: PiiKind) -> None:
    outcome = normalised if treatment is Treatment.LAKE else unkeyed_output

    def batch(*columns: Any) -> "pa.Array":
        rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
        outcomes = {row: outcome(treatment, kind, *row) for row in set(rows)}
        return pa.array([outcomes[row] for row in rows], pa.string())

    def one(v: Any) -> "pa.Array":
        return batch(v)

    def two(v: Any, country: Any) -> "pa.Array":
        return batch(v, country)

    two_columns = RULES[treatment, kind].takes_country
    con.create_function(
        name,
        two if two_columns else one,
        ["VARCHAR"] * (1 + two_columns),
        "VARCHAR",
        type="arrow",
        null_handling="special",
    )
