"""Tables by delivery date: what readers see after one, several, repeated and interrupted publications."""

from datetime import date
from pathlib import Path

import pytest
from botocore.awsrequest import AWSResponse

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.lake.attempt import Result
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.ledger.leases import Beside
from adplatform.ledger.messages import Notified
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import (
    contract,
    read_root_with_duckdb,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)
from adplatform_tests.lake.wrangler import read_with_wrangler

TYPES = {"id": "bigint", "cost": "decimal(12,2)", "at": "timestamp", "name": "string"}
DAY = date(2026, 3, 1)


def daily() -> TableSpec:
    return spec_of(contract(TYPES), source=source_name())


def row(number: int, name: str = "a") -> dict[str, object]:
    return {"id": number, "cost": None, "at": None, "name": name}


def test_published_rows_are_read_by_independent_readers(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    done = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1), row(2)]}), run_id="r1", temp=temp)
    assert (done.result, done.rows, done.table) == (Result.PUBLISHED, 2, spec.qualified)
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == [1, 2]
    rows = read_with_wrangler(aws, spec)
    assert sorted(r["id"] for r in rows) == [1, 2]
    assert {str(r["dt"]) for r in rows} == {"2026-03-01"}


def test_publishing_the_same_version_again_changes_nothing(lake: Lake, temp: Path) -> None:
    spec = daily()
    first = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r1", temp=temp)
    before = list(lake.store.listing(lake.store.zones.clean_bucket, ""))
    again = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r2", temp=temp)
    assert again.result is Result.ALREADY
    assert again.locations == first.locations
    assert list(lake.store.listing(lake.store.zones.clean_bucket, "")) == before


def test_an_older_version_never_replaces_a_newer_one(lake: Lake, temp: Path) -> None:
    spec = daily()
    publish(lake, spec, DAY, 2, staged(spec, temp, {"": [row(2)]}), run_id="r2", temp=temp)
    late = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r1", temp=temp)
    assert late.result is Result.SUPERSEDED
    assert "version 2" in late.note
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == [2]


@pytest.mark.parametrize(("seen", "result", "ids"), [(1, Result.PUBLISHED, [2]), (3, Result.SUPERSEDED, [3])])
def test_one_that_is_taken_for_fresh_meets_what_the_catalog_has(
    lake: Lake, temp: Path, seen: int, result: Result, ids: list[int]
) -> None:
    spec = daily()
    publish(lake, spec, DAY, seen, staged(spec, temp, {"": [row(seen)]}), run_id="r1", temp=temp)
    mine = staged(spec, temp, {"": [row(2)]})
    done = publish(lake, spec, DAY, 2, mine, run_id="r2", temp=temp, first=True, fresh=True)
    assert done.result is result
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == ids
    assert [r["id"] for r in read_root_with_duckdb(lake, spec, temp)] == ids


def test_one_that_is_taken_for_fresh_does_not_replace_what_the_ledger_has_forgotten(lake: Lake, temp: Path) -> None:
    spec = daily()
    publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r1", temp=temp)
    lake.ledger.access.delete(spec.feed, f"placement#{DAY}")
    mine = staged(spec, temp, {"": [row(2)]})
    with pytest.raises(PermanentFailure, match="which the ledger does not know"):
        publish(lake, spec, DAY, 2, mine, run_id="r2", temp=temp, first=True, fresh=True)
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == [1]


@pytest.mark.parametrize("held", [False, True])
def test_what_the_ledger_has_to_know_before_is_written_before_anybody_sees_the_delivery(
    lake: Lake, temp: Path, held: bool
) -> None:
    spec = daily()
    note = Notified("shown", lake.ledger.now())
    refused = "attribute_exists(pk)" if held else ""  # a condition that does not hold sends it the other way

    def alone() -> None:
        assert lake.catalog.table(spec) is None
        lake.ledger.access.put(spec.feed, [note])

    mine = Beside([lake.ledger.access.put_write(spec.feed, note, refused)], alone)
    rows = staged(spec, temp, {"": [row(1)]})
    publish(lake, spec, DAY, 1, rows, run_id="r1", temp=temp, first=True, fresh=True, beside=mine)
    assert lake.ledger.messages.notified(spec.feed, "shown") == note
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == [1]


def test_a_newer_version_replaces_its_own_partition_only(lake: Lake, temp: Path) -> None:
    spec = daily()
    for day in (DAY, date(2026, 3, 2)):
        publish(
            lake,
            spec,
            day,
            1,
            staged(
                spec,
                temp,
                {"": [row(day.day)]},
            ),
            run_id="r",
            temp=temp,
        )
    publish(lake, spec, DAY, 2, staged(spec, temp, {"": [row(10), row(11)]}), run_id="r", temp=temp)
    assert [(r["id"], r["dt"]) for r in read_with_duckdb(lake, spec, temp)] == [
        (10, "2026-03-01"),
        (11, "2026-03-01"),
        (2, "2026-03-02"),
    ]


def test_a_delivery_without_rows_is_a_partition_without_rows(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    done = publish(lake, spec, DAY, 1, staged(spec, temp, {}), run_id="r", temp=temp)
    assert (done.result, done.rows) == (Result.PUBLISHED, 0)
    assert read_with_duckdb(lake, spec, temp) == []
    assert read_with_wrangler(aws, spec) == []


def test_every_object_is_encrypted_with_the_key_of_the_lake(lake: Lake, temp: Path) -> None:
    spec = daily()
    publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r", temp=temp)
    bucket = lake.store.zones.clean_bucket
    for stored in lake.store.listing(bucket, ""):
        head = lake.store.s3.head_object(Bucket=bucket, Key=stored.key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")


def test_a_staged_file_of_another_day_is_refused_before_anything_is_shown(lake: Lake, temp: Path) -> None:
    spec = daily()
    with pytest.raises(PermanentFailure, match="2026-03-02"):
        publish(lake, spec, DAY, 1, staged(spec, temp, {"2026-03-02": [row(1)]}), run_id="r", temp=temp)
    assert lake.catalog.table(spec) is None


@pytest.mark.parametrize(
    ("client", "operation", "code", "status", "failure"),
    [
        ("glue", "CreatePartition", "AccessDeniedException", 400, EnvironmentFailure),
        ("glue", "GetTable", "ThrottlingException", 400, TransientFailure),
        ("s3", "PutObject", "AccessDenied", 403, EnvironmentFailure),
        ("s3", "CopyObject", "SlowDown", 503, TransientFailure),
        ("dynamodb", "PutItem", "ProvisionedThroughputExceededException", 400, TransientFailure),
    ],
)
def test_what_aws_refuses_is_a_failure_that_names_the_table(
    lake: Lake, temp: Path, client: str, operation: str, code: str, status: int, failure: type[Exception]
) -> None:
    spec = daily()
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    refused = AWSResponse("", status, {}, None), answer
    clients = {"glue": lake.catalog.glue, "s3": lake.store.s3, "dynamodb": lake.ledger.client}
    events = clients[client].meta.events
    events.register(f"before-call.{client}.{operation}", refuse := lambda **_: refused)
    with pytest.raises(failure, match=f"{spec.qualified}.*{operation}.*{code}"):
        publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r", temp=temp)
    events.unregister(f"before-call.{client}.{operation}", refuse)
    publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r", temp=temp)
    assert [r["id"] for r in read_root_with_duckdb(lake, spec, temp)] == [1]
