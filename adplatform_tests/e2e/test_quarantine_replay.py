"""Broken rows leave the quarantine once the contract or the data is mended, and every row stays accounted for."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.flow.decisions import leave_out, try_again
from adplatform.flow.services import Services
from adplatform.lake.quarantine import entries, read_rows
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform

STRICT: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {
        "order_id": {"type": "bigint", "required": True},
        "day": {"type": "date", "required": True},
        "email": {"pii": "email"},
    },
    "key": "order_id",
    "bounds": {"max_quarantined": 1},
}
MENDED = {
    **STRICT,
    "columns": {**STRICT["columns"], "day": {"type": "date", "required": True, "formats": ["%d.%m.%Y"]}},
}
BODY = b"order_id,day,email\n1,2026-01-01,a@example.com\n2,02.01.2026,b@example.com\nx,2026-01-03,c@example.com\n"


@pytest.fixture
def delivered(services: Services, instance: dg.DagsterInstance) -> Platform:
    platform = make_platform(services, {"source": "acme", "feeds": [STRICT]}, instance)
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", BODY)
    platform.process()
    return platform


def counts(platform: Platform, version: int) -> tuple[int, int, int, int]:
    row = platform.services.ledger.publications.get("acme/orders", YESTERDAY, version)
    assert row is not None
    return row.rows_in, row.clean, row.superseded, row.quarantined


def test_rows_move_to_the_table_when_the_contract_is_mended(delivered: Platform, instance: dg.DagsterInstance) -> None:
    assert counts(delivered, 1) == (3, 1, 0, 2)
    mended = make_platform(delivered.services, {"source": "acme", "feeds": [MENDED]}, instance)
    try_again(mended.services.ledger, mended.flow("orders"), YESTERDAY)
    [result] = mended.process()
    assert result.success
    assert counts(mended, 2) == (3, 2, 0, 1)
    assert mended.query("select order_id from {orders} order by 1") == [(1,), (2,)]


def test_rows_move_to_the_table_when_the_partner_sends_the_file_again(delivered: Platform) -> None:
    delivered.put(f"orders/dt={YESTERDAY}/orders.csv", BODY.replace(b"02.01.2026", b"2026-01-02").replace(b"x,", b"3,"))
    [result] = delivered.process()
    assert result.success
    assert counts(delivered, 2) == (3, 3, 0, 0)
    assert entries(delivered.services.ledger, "acme/orders", YESTERDAY)[-1].version == 1


def test_corrected_rows_in_a_further_file_join_the_delivery(delivered: Platform) -> None:
    delivered.put(f"orders/dt={YESTERDAY}/fixed.csv", b"order_id,day,email\n2,2026-01-02,b@example.com\n")
    [result] = delivered.process()
    assert result.success
    assert counts(delivered, 2) == (4, 2, 0, 2)


def test_quarantined_rows_show_reasons_and_origin_but_no_personal_value(delivered: Platform) -> None:
    store, contract = delivered.services.store, delivered.flow("orders").feed.contract
    [entry] = entries(delivered.services.ledger, "acme/orders", YESTERDAY)
    masked = {row.reasons: row for row in read_rows(store, entry.key, contract)}
    assert set(masked) == {("bad_date:day",), ("bad_bigint:order_id",)}
    row = masked["bad_date:day",]
    assert (row.line, masked["bad_bigint:order_id",].line) == (3, 4)
    feed, obj = delivered.services.ledger.objects.named_by("acme", row.source_file) or pytest.fail("unknown file")
    assert (feed, obj.key) == ("acme/orders", f"landing/acme/orders/dt={YESTERDAY}/orders.csv")
    assert row.fields == {"order_id": "2", "day": "99.99.9999", "email": "***"}
    revealed = {r.reasons: r for r in read_rows(store, entry.key, contract, reveal=True)}
    assert (revealed["bad_date:day",].fields or {})["email"] == "b@example.com"


EVOLVING = {**STRICT, "columns": {"order_id": STRICT["columns"]["order_id"]}, "schema_policy": "evolve"}


def test_an_undeclared_column_with_addresses_is_stored_once_it_is_declared_hashed(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = make_platform(services, {"source": "acme", "feeds": [EVOLVING]}, instance)
    before = YESTERDAY - timedelta(days=1)
    platform.put(f"orders/dt={before}/orders.csv", b"order_id,contact\n1,none\n")
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", b"order_id,contact,mail\n2,ann@example.com,bob@example.com\n")
    assert all(result.success for result in platform.process())
    assert platform.query("select order_id, contact from {orders} order by 1") == [(1, "none"), (2, None)]
    assert "mail" not in clean_columns(platform)
    row = services.ledger.publications.get("acme/orders", YESTERDAY, 1)
    assert row is not None
    assert "undeclared column 'contact' has an e-mail address in 1 row and is not stored" in row.note
    [warning] = [
        record.asset_check_evaluation
        for run in instance.get_runs()
        for record in instance.all_logs(run.run_id)
        if (check := record.asset_check_evaluation)
        and check.check_name == "suspected_personal_data"
        and not check.passed
    ]
    assert warning is not None
    assert warning.severity == dg.AssetCheckSeverity.WARN
    assert "pii: email" in (warning.description or "")

    declared = {**EVOLVING["columns"], **{name: {"pii": "email", "optional": True} for name in ("contact", "mail")}}
    mended = make_platform(services, {"source": "acme", "feeds": [{**EVOLVING, "columns": declared}]}, instance)
    try_again(services.ledger, mended.flow("orders"), YESTERDAY)
    assert all(result.success for result in mended.process())
    [(order, contact, mail)] = mended.query("select order_id, contact_lake, mail_lake from {orders} where order_id = 2")
    assert order == 2
    assert len(contact) == len(mail) == 64
    assert contact != mail


def clean_columns(platform: Platform) -> set[str]:
    database, name = platform.table("orders").split(".")
    table = platform.services.glue.get_table(DatabaseName=database, Name=name)["Table"]
    return {column["Name"] for column in table["StorageDescriptor"]["Columns"]}


def test_a_dropped_file_is_left_out_and_kept_in_the_archive(services: Services, instance: dg.DagsterInstance) -> None:
    feed = {**STRICT, "arrival": {"complete_when": "count", "expected_files": 2}}
    platform = make_platform(services, {"source": "acme", "feeds": [feed]}, instance)
    platform.put(f"orders/dt={YESTERDAY}/good.csv", BODY)
    platform.put(f"orders/dt={YESTERDAY}/bad.csv", b"something else entirely\n")
    [failed] = platform.process()
    assert not failed.success
    leave_out(services.ledger, platform.flow("orders"), YESTERDAY, "bad.csv")
    [result] = platform.process()
    assert result.success
    assert counts(platform, 2) == (3, 1, 0, 2)
    archived = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket, Prefix="archive/acme/orders/")["Contents"]
    assert len(archived) == 2
