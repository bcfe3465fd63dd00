"""A 21-column ads report of any size, and what a transform of it must find. Deterministic: the same rows every time.

Row ``i`` is drawn from tables by arithmetic on ``i``, so the truth is arithmetic too. 1 % of the rows are malformed in
seven ways, 5 % send the key of an earlier row again, e-mail and phone are in clear, names hold commas, doubled quotes,
line breaks and emoji.
"""

import gzip
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = 250_000
BYTES_A_ROW = 290
COLUMNS: dict[str, dict[str, object]] = {
    "report_date": {"type": "date", "required": True},
    "event_ts": {"type": "timestamp"},
    "updated_at": {"type": "timestamp", "required": True},
    "account_id": {"type": "bigint", "required": True},
    "campaign_id": {"type": "bigint", "required": True},
    "campaign_name": {},
    "ad_group_id": {"type": "bigint"},
    "ad_group_name": {},
    "ad_id": {"type": "bigint", "required": True},
    "creative": {},
    "device": {"required": True},
    "country": {},
    "currency": {},
    "impressions": {"type": "bigint", "required": True},
    "clicks": {"type": "bigint", "required": True},
    "cost": {"type": "decimal(18,6)", "required": True},
    "revenue": {"type": "decimal(18,4)"},
    "ctr": {"type": "double"},
    "email": {"pii": "email"},
    "phone": {"pii": "phone"},
    "is_test": {"type": "boolean"},
}
KEY = ("report_date", "account_id", "ad_id", "device")
CONTRACT = {"columns": COLUMNS, "key": list(KEY), "latest_by": "updated_at", "partition_by": "report_date"}
PARTITIONS = 30


@dataclass(frozen=True)
class Truth:
    """Counts of rows, and the impressions of the clean rows, which depend on the right row of each key winning."""

    rows: int
    clean: int
    superseded: int
    structural: int
    quarantined: int
    impressions: int


def make(directory: Path, size: int, file_count: int = 1) -> Truth:
    """Write about ``size`` bytes below ``directory`` unless they are there from an earlier run."""
    known = directory / "truth.json"
    if known.exists():
        return Truth(**json.loads(known.read_text(encoding="utf-8")))
    directory.mkdir(parents=True, exist_ok=True)
    rows, tables = size // BYTES_A_ROW, _tables()
    share = -(-rows // file_count)
    for number in range(file_count):
        with (directory / f"part-{number:04d}.csv").open("wb") as out:
            _write(out, number * share, min(rows, (number + 1) * share), tables)
    truth = _truth(rows)
    known.write_text(json.dumps(asdict(truth)), encoding="utf-8")
    return truth


def make_gzip(path: Path, size: int) -> Truth:
    """Write about ``size`` bytes of text into one gzip file; the text is never on the disk."""
    rows = size // BYTES_A_ROW
    with gzip.open(path, "wb", compresslevel=1) as out:
        _write(out, 0, rows, _tables())
    return _truth(rows)


def _write(out: IO[bytes], first: int, behind: int, tables: dict[str, pa.Array]) -> None:
    out.write((",".join(COLUMNS) + "\n").encode())
    for start in range(first, behind, BLOCK):
        out.write(_lines(np.arange(start, min(start + BLOCK, behind), dtype=np.int64), tables))


def _mixed(i: np.ndarray, salt: int) -> np.ndarray:
    """A well-spread function of the row number (the finaliser of splitmix64), not negative."""
    x = (i.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _kinds(i: np.ndarray) -> np.ndarray:
    """0 for a good row, 1 to 7 for the ways to be malformed; 5 and 6 have the wrong number of columns."""
    draw = _mixed(i, 1)
    return np.where(draw % 100 == 0, draw // 100 % 7 + 1, 0)


def _keys(i: np.ndarray) -> np.ndarray:
    draw = _mixed(i, 2)
    return np.where(draw % 20 == 0, draw // 20 % np.maximum(i, 1), i)


def _impressions(i: np.ndarray) -> np.ndarray:
    return _mixed(i, 3) % 1_000_000


def _truth(rows: int) -> Truth:
    i = np.arange(rows, dtype=np.int64)
    kinds = _kinds(i)
    good = i[kinds == 0]
    latest_first = good[::-1]
    _, first = np.unique(_keys(latest_first), return_index=True)
    bad = rows - len(good)
    return Truth(
        rows=rows,
        clean=len(first),
        superseded=len(good) - len(first),
        structural=int(np.isin(kinds, (5, 6)).sum()),
        quarantined=bad,
        impressions=int(_impressions(latest_first[first]).sum()),
    )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text


def _tables() -> dict[str, pa.Array]:
    words = ["Spring", "促销", "Ñandú", "Brand & Co", "🚀 launch", "Retargeting", "20 % off", "Подарок"]
    names = [
        (f"{a} {b} {n}", f"{a}, {b} {n}", f'{a} "{b}" {n}', f"{a}\n{b} {n}")[0 if n % 10 < 6 else n % 4]
        for n, (a, b) in enumerate((words[n % 8], words[n // 8 % 8]) for n in range(5000))
    ]
    people = range(300_000)
    emails = [
        (
            f"person{n}.surname@mail{n % 40}.example",
            f"Person{n}.Surname@Mail{n % 40}.example",
            f" person{n}@mail.example ",
        )[n % 3]
        for n in people
    ]
    phones = [
        f"+1 (212) {n // 10000 % 800 + 200}-{n % 10000:04d}" if n % 2 else f"+1646{n % 8000000 + 2000000}"
        for n in people
    ]
    return {
        "day": pa.array([f"2026-01-{n + 1:02d}" for n in range(PARTITIONS)]),
        "name": pa.array([_quoted(name) for name in names]),
        "group": pa.array([f"group {words[n % 8]} {n}" for n in range(20_000)]),
        "creative": pa.array([*(f"creative {n} – {words[n % 8]}" for n in range(1000)), "", '""']),
        "email": pa.array([*emails, ""]),
        "phone": pa.array(phones),
        "offset": pa.array(["Z", "+02:00", "-05:30"]),
        "device": pa.array(["mobile", "desktop", "tablet", "tv"]),
        "country": pa.array(["US", "GB", "DE", "FR", "NA", "BR", "IN", "JP"]),
        "currency": pa.array(["USD", "EUR", "GBP", "JPY"]),
        "flag": pa.array(["true", "false"]),
        "bad_day": pa.array(["2026-02-30", "05/01/2026", "N/A", "2026-13-01"]),
        "bad_int": pa.array(["12abc", "1.5", "1e3", "1_000", "9" * 20]),
        "bad_decimal": pa.array(["12.5.3", "abc", "1234567890123.5", "0x1F", "NaN"]),
        "bad_time": pa.array(["2026-01-05 25:61:00", "yesterday", "1767571200"]),
    }


def _lines(i: np.ndarray, tables: dict[str, pa.Array]) -> memoryview:
    key, draw, kinds = _keys(i), _mixed(i, 4), _kinds(i)

    def pick(name: str, index: np.ndarray) -> pa.Array:
        return tables[name].take(pa.array(index % len(tables[name])))

    def text(values: np.ndarray) -> pa.Array:
        return pa.array(values).cast(pa.string())

    def decimal(values: np.ndarray, scale: int) -> pa.Array:
        unit = 10**scale
        fraction = pc.utf8_lpad(text(values % unit), scale, "0")
        return pc.binary_join_element_wise(text(values // unit), fraction, ".")

    def moment(micros: np.ndarray, separator: str) -> pa.Array:
        return pc.strftime(pa.array(micros, pa.timestamp("us")), format=f"%Y-%m-%d{separator}%H:%M:%S")

    start = 1_767_225_600_000_000
    columns = {
        "report_date": pick("day", key * 7 + key // 13),
        "event_ts": pc.binary_join_element_wise(
            moment(start + draw % 2_592_000_000_000, "T"), pick("offset", draw // 7), ""
        ),
        "updated_at": moment(start + i * 1000, " "),
        "account_id": text(1_000_000_000 + key % 997),
        "campaign_id": text(700_000 + key * 31 % 5000),
        "campaign_name": pick("name", key * 31),
        "ad_group_id": text(80_000_000 + key * 17 % 20_000),
        "ad_group_name": pick("group", key * 17),
        "ad_id": text(500_000_000_000 + key),
        "creative": pick("creative", draw // 11),
        "device": pick("device", key),
        "country": pick("country", draw // 13),
        "currency": pick("currency", draw // 17),
        "impressions": text(_impressions(i)),
        "clicks": text(draw // 19 % 10_000),
        "cost": decimal(draw % 10**12, 6),
        "revenue": decimal(draw // 23 % 10**11, 4),
        "ctr": decimal(draw // 29 % 10**6, 6),
        "email": pick("email", draw // 31),
        "phone": pick("phone", draw // 37),
        "is_test": pick("flag", draw // 41),
    }
    for kind, name, bad in (
        (1, "report_date", "day"),
        (2, "impressions", "int"),
        (3, "cost", "decimal"),
        (4, "event_ts", "time"),
    ):
        columns[name] = pc.if_else(pa.array(kinds == kind), pick(f"bad_{bad}", draw), columns[name])
    columns["account_id"] = pc.if_else(pa.array(kinds == 7), "", columns["account_id"])
    whole = pc.binary_join_element_wise(*columns.values(), ",")
    short = pc.binary_join_element_wise(*list(columns.values())[:17], ",")
    long = pc.binary_join_element_wise(whole, "one,more", ",")
    record = pc.if_else(pa.array(kinds == 5), short, pc.if_else(pa.array(kinds == 6), long, whole))
    lines = pc.binary_join_element_wise(record, "\n", "")
    lines = lines if isinstance(lines, pa.Array) else lines.combine_chunks()
    ends = np.frombuffer(lines.buffers()[1], np.int32, len(lines) + 1)
    return memoryview(lines.buffers()[2])[: int(ends[-1])]
