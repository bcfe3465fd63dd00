"""The job of the benchmark written by hand for Polars. Polars keeps no bad records, so pyarrow splits the text."""

import hashlib
import hmac
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks import transform_by_hand, transform_data

KEY = transform_by_hand.SECRET[:32]
TYPES = {name: str(spec.get("type", "string")) for name, spec in transform_data.COLUMNS.items()}


def split(source: Path, staged: Path) -> list[str]:
    """The records as Parquet of text; returns the text of those with the wrong number of columns."""
    rejected: list[str] = []

    def keep(row: pacsv.InvalidRow) -> str:
        rejected.append(row.text)
        return "skip"

    staged.mkdir(parents=True)
    text = {name: pa.string() for name in TYPES}
    for file in sorted(source.glob("*.csv")):
        reader = pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(block_size=16 << 20),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
            convert_options=pacsv.ConvertOptions(
                column_types=text, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
        with pq.ParquetWriter(staged / f"{file.stem}.parquet", pa.schema(text), compression="lz4") as out:
            for batch in reader:
                out.write_batch(batch)
    return rejected


def digest(column: pl.Series) -> pl.Series:
    values = [None if v is None else hmac.digest(KEY, v.encode(), hashlib.sha256).hex() for v in column]
    return pl.Series(values, dtype=pl.String)


def cast(name: str, kind: str) -> pl.Expr:
    column = pl.col(name)
    if name == "email":
        return (
            column.str.strip_chars(" ")
            .str.to_lowercase()
            .map_batches(digest, return_dtype=pl.String)
            .alias("email_hash")
        )
    if name == "phone":
        digits = pl.lit("+") + column.str.replace_all("[^0-9]", "")
        return digits.map_batches(digest, return_dtype=pl.String).alias("phone_hash")
    if kind == "date":
        return column.str.to_date("%Y-%m-%d", strict=False)
    if kind == "timestamp":
        iso = column.str.replace(" ", "T").str.replace("Z$", "+00:00")
        zoned = pl.when(iso.str.contains("[+-][0-9]{2}:[0-9]{2}$")).then(iso).otherwise(iso + "+00:00")
        return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", strict=False).alias(name)
    if kind.startswith("decimal"):
        precision, scale = map(int, kind[8:-1].split(","))
        return column.cast(pl.Decimal(precision, scale), strict=False)
    return {
        "bigint": column.cast(pl.Int64, strict=False),
        "double": column.cast(pl.Float64, strict=False),
        "boolean": column == "true",
    }.get(kind, column)


def reason(name: str, kind: str, required: bool) -> pl.Expr | None:
    column, pattern = pl.col(name), transform_by_hand.PATTERNS.get(kind)
    bad = ~column.str.contains(pattern) if pattern else None
    if bad is not None and kind in ("date", "timestamp"):
        bad = bad | cast(name, kind).is_null()
    found = None if bad is None else pl.when(column.is_not_null() & bad).then(pl.lit(f"bad_{kind}:{name}"))
    if required:
        absent = pl.when(column.is_null()).then(pl.lit(f"required:{name}"))
        return absent if found is None else pl.coalesce(absent, found)
    return found


def main(source: Path, output: Path) -> None:
    rejected = split(source, output / "split")
    required = {name for name, spec in transform_data.COLUMNS.items() if spec.get("required")}
    reasons = [r for name, kind in TYPES.items() if (r := reason(name, kind, name in required)) is not None]
    judged = pl.scan_parquet(output / "split/*.parquet").with_columns(
        reason=pl.concat_str(reasons, separator=";", ignore_nulls=True)
    )
    bad = judged.filter(pl.col("reason") != "").select(raw=pl.struct(list(TYPES)).struct.json_encode(), reason="reason")
    structural = pl.LazyFrame({"raw": rejected, "reason": ["column_count"] * len(rejected)})
    pl.concat([structural, bad]).sink_parquet(output / "quarantine.parquet", compression="snappy")
    good = judged.filter(pl.col("reason") == "").select(cast(name, kind) for name, kind in TYPES.items())
    newest = good.group_by(transform_data.KEY).agg(pl.col("updated_at").max())
    latest = good.join(newest, on=[*transform_data.KEY, "updated_at"], how="semi")
    latest.sink_parquet(
        pl.PartitionBy(output / "clean", key=["report_date"], include_key=False),
        compression="snappy",
        mkdir=True,
        engine="streaming",
    )
