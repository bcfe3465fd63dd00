"""Files of the shape in which dlt writes them, through the platform: nothing before its marker, the same load once."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.flow.services import Services
from adplatform_tests.support.platforms import YESTERDAY, make_platform

LOAD = f"{datetime.combine(YESTERDAY, time(12), UTC).timestamp():.0f}.0725014"
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "format": {"preset": "dlt"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "email": {"pii": "email"}},
}


def written(*orders: int) -> bytes:
    ids: Iterator[str] = (f"MNmv928bLQWI0{n}" for n in orders)
    rows = [
        {"order_id": n, "email": f"ann{n}@example.com", "_dlt_load_id": LOAD, "_dlt_id": row}
        for n, row in zip(orders, ids, strict=True)
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def test_a_load_is_published_by_its_marker_once_without_its_loaders_columns_and_with_persons_hashed(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = make_platform(services, {"source": "shop", "feeds": [ORDERS]}, instance)
    platform.put("crm/init", b"{}")
    platform.put(f"crm/orders/{LOAD}.cb74809c06.parquet", written(1, 2))
    assert platform.process() == []
    marker = f"crm/_dlt_loads/hub__{LOAD}.jsonl"
    platform.put(marker, b'{"load_id": "", "status": 0}')
    assert [result.success for result in platform.process()] == [True]
    rows = "select order_id, length(email_lake) from {orders} order by 1"
    assert platform.query(rows) == [(1, 64), (2, 64)]
    [columns] = platform.query("select * from {orders} limit 1")
    assert not any(value == LOAD or "example.com" in str(value) for value in columns)
    platform.put(f"crm/orders/{LOAD}.cb74809c06.parquet", written(1, 2))
    platform.put(marker, b'{"load_id": "", "status": 0}')
    platform.process()
    assert platform.query(rows) == [(1, 64), (2, 64)]
    assert platform.messages.read() == []
