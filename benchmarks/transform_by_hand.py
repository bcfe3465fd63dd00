"""The job of the benchmark written by hand in DuckDB SQL for this one feed, as an engineer would without a platform."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from benchmarks.transform_cases import Case

SECRET = bytes(range(32)).ljust(64, b"\0")
INNER, OUTER = bytes(b ^ 0x36 for b in SECRET).hex(), bytes(b ^ 0x5C for b in SECRET).hex()
PATTERNS = {
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "timestamp": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?$",
    "bigint": r"^[+-]?[0-9]{1,18}$",
    "decimal(18,6)": r"^[+-]?[0-9]{1,12}([.][0-9]{1,6})?$",
    "decimal(18,4)": r"^[+-]?[0-9]{1,14}([.][0-9]{1,4})?$",
    "double": r"^[+-]?[0-9]+([.][0-9]*)?([eE][+-]?[0-9]+)?$",
    "boolean": r"^(true|false)$",
}


def hmac_sha256(message: str) -> str:
    return f"sha256(unhex('{OUTER}') || unhex(sha256(unhex('{INNER}') || encode({message}))))"


def cast(name: str, kind: str) -> str:
    if name == "email":
        return hmac_sha256("lower(trim(email))") + " as email_hash"
    if name == "phone":
        return hmac_sha256("'+' || regexp_replace(phone, '[^0-9]', '', 'g')") + " as phone_hash"
    return name if kind == "string" else f"cast({name} as {kind.replace('timestamp', 'timestamptz')}) as {name}"


def reason(name: str, column: Mapping[str, object]) -> str | None:
    kind = str(column.get("type", "string"))
    branches = f" when {name} is null then 'required:{name}'" if column.get("required") else ""
    if kind in PATTERNS:
        bad = f"not regexp_matches({name}, '{PATTERNS[kind]}')"
        if kind in ("date", "timestamp"):
            bad = f"({bad} or try_cast({name} as {kind.replace('timestamp', 'timestamptz')}) is null)"
        branches += f" when {bad} then 'bad_{kind}:{name}'"
    return f"case{branches} end" if branches else None


def main(case: Case, source: str, output: str, memory_limit: str = "8GB") -> None:
    types = {name: str(spec.get("type", "string")) for name, spec in case.columns.items()}
    reasons = [r for name, column in case.columns.items() if (r := reason(name, column))]
    con = duckdb.connect(config={"threads": 2, "memory_limit": memory_limit, "temp_directory": f"{output}/spill"})
    con.execute("set TimeZone = 'UTC'")
    con.execute("set preserve_insertion_order = false")
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in types)
    con.execute(
        f"create temp table raw as select *, concat_ws(';', {', '.join(reasons)}) as reason"
        f" from read_csv('{source}/*.csv*', header=true, columns={{{columns}}}, auto_detect=false, delim=',',"
        " quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false, store_rejects=true, rejects_limit=0)"
    )
    Path(output).mkdir(parents=True, exist_ok=True)
    con.execute(
        "copy (select csv_line as raw, 'column_count' as reason from"
        " (select distinct on (file_id, line) csv_line from reject_errors)"
        f" union all select cast(to_json(struct_pack({', '.join(types)})) as varchar), reason from raw"
        " where reason <> '')"
        f" to '{output}/quarantine.parquet' (format parquet, compression snappy)"
    )
    latest = f"qualify row_number() over (partition by {', '.join(case.key)} order by {case.latest_by} desc) = 1"
    con.execute(
        f"copy (select {', '.join(cast(n, k) for n, k in types.items())} from raw where reason = ''"
        f" {latest if case.key else ''})"
        f" to '{output}/clean' (format parquet, compression snappy, partition_by (report_date))"
    )
