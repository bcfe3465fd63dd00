"""The objects that a run writes: their keys and their bytes.

Keys are ``<bucketPrefix>/<flow>/schemaVersion_N/yyyy/MM/dd/<execution id>/<file>`` with the folders that the flow's
prefix configuration asks for, in UTC; the name of a file is a number and the time of the run, without an extension.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any

from adplatform.local.aws.appflow.state import Flow, Run
from adplatform.local.aws.appflow.tasks import Row

_DATES = {"YEAR": "%Y", "MONTH": "%Y/%m", "DAY": "%Y/%m/%d", "HOUR": "%Y/%m/%d/%H", "MINUTE": "%Y/%m/%d/%H/%M"}


def key(flow: Flow, run: Run, part: int) -> str:
    """Of the ``part``-th file: always the same, so that a run that begins anew leaves nothing twice."""
    asked = flow.destination.get("s3OutputFormatConfig", {}).get("prefixConfig", {})
    hierarchy, kind = asked.get("pathPrefixHierarchy", []), asked.get("prefixType", "PATH")
    dated = run.started.astimezone(UTC).strftime(_DATES[asked["prefixFormat"]]) if "prefixFormat" in asked else ""
    folders = [
        flow.destination.get("bucketPrefix", "").strip("/"),
        flow.name,
        f"schemaVersion_{flow.schema_version}" if "SCHEMA_VERSION" in hierarchy else "",
        dated if kind != "FILENAME" else "",
        run.id if "EXECUTION_ID" in hierarchy else "",
    ]
    number = int.from_bytes(blake2b(f"{run.id}/{part}".encode(), digest_size=4).digest(), "big", signed=True)
    name = f"{number}-{run.started.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    if dated and kind != "PATH":
        name = f"{dated.replace('/', '-')}-{name}"
    return "/".join([*filter(None, folders), name])


def typed(flow: Flow) -> bool:
    """Whether its files have the types of the source."""
    asked = flow.destination.get("s3OutputFormatConfig", {})
    return asked.get("fileType") == "PARQUET" and bool(asked.get("preserveSourceDataTyping"))


def aggregated(flow: Flow) -> bool:
    """Whether all rows of a run are to be in one file."""
    asked = flow.destination.get("s3OutputFormatConfig", {})
    return bool(asked.get("aggregationConfig", {}).get("aggregationType") == "SingleFile")


def encoded(rows: Sequence[Row], flow: Flow, types: Mapping[str, str]) -> bytes:
    """The rows in the file type of the flow; ``types`` are the source's of each field, for typed Parquet."""
    asked = flow.destination.get("s3OutputFormatConfig", {})
    kind = asked.get("fileType", "JSON")
    plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
    if kind == "CSV":
        return _csv(plain)
    if kind == "PARQUET":
        return _parquet(plain, types if typed(flow) else {})
    return b"".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in plain)


def _plain(value: Any) -> Any:
    """Instants end in Z, as in what AppFlow writes, and not in +0000."""
    if isinstance(value, str) and value.endswith("+0000") and value[10:11] == "T":
        return f"{value.removesuffix('+0000')}Z"
    return value


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _text(value: Any) -> str | None:
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _parquet(rows: Sequence[Row], types: Mapping[str, str]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - a third of a second that only Parquet needs
    import pyarrow.parquet as pq  # noqa: PLC0415

    arrow = {
        "boolean": (pa.bool_(), lambda value: value),
        "int": (pa.int64(), lambda value: value),
        "date": (pa.date32(), date.fromisoformat),
        "datetime": (pa.timestamp("ms", "UTC"), datetime.fromisoformat),
        **{kind: (pa.float64(), lambda value: value) for kind in ("double", "currency", "percent")},
    }
    columns = {}
    for name in rows[0]:
        kind, read = arrow.get(types.get(name, ""), (pa.string(), _text))
        columns[name] = pa.array([None if row[name] is None else read(row[name]) for row in rows], kind)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="snappy")
    return sink.getvalue()
