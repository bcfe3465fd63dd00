"""What a keyed digest costs: the lake HMAC of an e-mail column against ``sha256`` of the column, on DuckDB.

    python benchmarks/hmac_vs_sha256.py [--rows 3000000] [--runs 5] [--threads 2]

All statements run in turn in one process, ``runs`` times; figures are medians of CPU nanoseconds per row. The steps
between the two show where the time goes.
"""

import argparse
import secrets
import statistics
import time

import duckdb

from adplatform.privacy.duckdb import register
from adplatform.privacy.keys import HashKey

STEPS = {
    "read only": "v",
    "sha256(v)": "sha256(v)",
    "sha256 of pad and v": "sha256((SELECT inner_pad FROM adp_hmac_pads) || encode(v))",
    "unhex(sha256(v))": "unhex(sha256(v))",
    "HMAC of v": "adp_hmac(v)",
    "canonical e-mail": "CASE WHEN regexp_full_match(v, '[!-?A-~]+@[!-?A-~]+') THEN lower(v) END",
    "adp_amazon_ads_email(v)": "adp_amazon_ads_email(v)",
    "adp_lake_email(v)": "adp_lake_email(v)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with duckdb.connect(config={"threads": options.threads}) as con:
        register(con, HashKey("bench", secrets.token_bytes(32)))
        con.execute(
            "CREATE TABLE t AS SELECT 'User.' || i || '@Example' || (i % 1000) || '.com' AS v FROM range(?) r(i)",
            [options.rows],
        )
        measured = measure(con, options.rows, options.runs)
    for step, nanoseconds in measured.items():
        print(f"{step:<25}{nanoseconds:>7.0f} ns CPU/row")
    bare = measured["sha256(v)"]
    print(f"HMAC of v / sha256(v):         {measured['HMAC of v'] / bare:.2f}")
    print(f"adp_lake_email(v) / sha256(v): {measured['adp_lake_email(v)'] / bare:.2f}")


def measure(con: duckdb.DuckDBPyConnection, rows: int, runs: int) -> dict[str, float]:
    """Median CPU nanoseconds per row of each step. ``max`` uses every result without storing it."""
    spent: dict[str, list[float]] = {step: [] for step in STEPS}
    for _ in range(runs):
        for step, expression in STEPS.items():
            before = time.process_time_ns()
            con.execute(f"SELECT max({expression}) FROM t").fetchall()
            spent[step].append((time.process_time_ns() - before) / rows)
    return {step: statistics.median(values) for step, values in spent.items()}


if __name__ == "__main__":
    main()
