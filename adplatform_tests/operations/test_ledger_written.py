"""The ledger as tables, as readers see them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.engines.pattern import EngineFiles
from adplatform.engines.watches import engine_watches, everything_failed
from adplatform.failures import named
from adplatform.flow.provision import provision
from adplatform.flow.pushed import pushed_files
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.actions import Action
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import EngineRun, RunState
from adplatform.ledger.publications import Publication
from adplatform.ledger.report import Report
from adplatform.ledger.scopes import Scope
from adplatform.operations.ledger_tables import TABLES, schema_changes
from adplatform.operations.ledger_written import write_ledger
from adplatform.patterns import declared_patterns, of_kind
from adplatform.platform import names
from adplatform.pull.pattern import PulledReports
from adplatform_tests.operations.history import FEED, NOON, TODAY, acme, days_before, fail, publish
from adplatform_tests.support.dying import dying
from adplatform_tests.support.ledger_rows import put_delivery
from adplatform_tests.support.platforms import YESTERDAY, make_platform
from adplatform_tests.support.queries import execution, make_workgroup

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


def asked(services: Services, sql: str) -> list[tuple[Any, ...]]:
    """``{}`` in ``sql`` is the database."""
    prefix = services.settings.database_prefix
    return run_query(services.aws, services.glue, prefix, sql.format(f"{prefix}{names.META}"), 1_000)[1]


def later(services: Services, **by: float) -> Services:
    return replace(services, now=lambda: NOON + timedelta(**by))


def test_what_the_ledger_has_of_deliveries_and_versions_can_be_asked_for(timed: Services) -> None:
    source = acme(timed, {**FEED, "name": "events"}, FEED)
    counts = {"rows_in": 100, "clean": 88, "superseded": 2, "quarantined": 10, "reasons": {"type:id": 10}, "bytes": 7}
    for n in range(3):
        publish(timed, "acme/orders", days_before(n), NOON - timedelta(days=n), **counts, seconds=Decimal("1.5"))
    fail(timed, "acme/events", days_before(1))
    put_delivery(timed.ledger, "acme/events", Delivery(days_before(2), arrivals=3, waiting=f"no {named('jo@x.de')}"))
    written = {each.table.partition(".")[2]: each.rows for each in write_ledger(timed, [source])}
    assert written == {
        "deliveries": 5,
        "publications": 3,
        "reports": 0,
        "engine_runs": 0,
        "schema_changes": 0,
        "actions": 0,
    }
    assert asked(timed, "select feed, state, pending, waiting, error from {}.deliveries where feed = 'events'") == [
        ("events", "open", 3, "no ***", None),
        ("events", "failed", 0, None, "*** is damaged"),
    ]
    [version] = asked(
        timed,
        "select source, scope, version, finished_at, as_of, seconds, files, rows_in - clean - superseded - quarantined "
        f"- left_out, reasons from {{}}.publications where day = date '{days_before(1)}'",
    )
    at = NOON - timedelta(days=1)
    assert version == ("acme", None, 1, at, NOON, 1.5, 2, 0, '{"type:id":10}')
    files = list(timed.store.listing(timed.settings.clean_bucket, ""))
    held = b"".join(timed.s3.get_object(Bucket=timed.settings.clean_bucket, Key=f.key)["Body"].read() for f in files)
    assert (len(files), b"ann@example.com" in held, b"jo@x.de" in held) == (len(TABLES), False, False)


def test_a_writer_that_dies_before_it_shows_what_it_wrote_leaves_the_old_and_its_files_go(timed: Services) -> None:
    source = acme(timed)
    publish(timed, "acme/orders", days_before(1), NOON)
    write_ledger(timed, [source])
    publish(timed, "acme/orders", days_before(2), NOON)
    next_day = later(timed, days=1)
    assert dying(next_day, len(TABLES) + 1, lambda: write_ledger(next_day, [source])), "at the first change of a table"
    assert asked(timed, "select count(*), max(as_of) from {}.deliveries") == [(1, NOON)]
    write_ledger(later(timed, days=20), [source])
    write_ledger(later(timed, days=2), [source])  # it was slow
    assert asked(timed, "select count(*), max(as_of) from {}.deliveries") == [(2, NOON + timedelta(days=20))]
    write_ledger(later(timed, days=40), [source])
    listed = timed.store.listing(timed.settings.clean_bucket, f"table-versions/{names.META}/deliveries/")
    assert [each.key.split("/")[3][:8] for each in listed] == ["20260630", "20260720"]


@pytest.mark.slow
def test_a_writer_that_dies_at_any_write_leaves_each_table_whole(timed: Services) -> None:
    source = acme(timed)
    publish(timed, "acme/orders", days_before(1), NOON)
    died, writes = True, 1
    while died:
        publish(timed, "acme/orders", days_before(writes + 1), NOON)
        there = later(timed, hours=writes)
        died = dying(there, writes, lambda there=there: write_ledger(there, [source]))  # type: ignore[misc]
        for table in ("deliveries", "publications"):
            if asked(timed, f"select 1 from information_schema.tables where table_name = '{table}'"):
                [(rows, as_of)] = asked(timed, f"select count(*), max(as_of) from {{}}.{table}")
                assert rows == (as_of - NOON) / timedelta(hours=1) + 1
        writes += 1
    assert writes > 2 * len(TABLES)


def scanned(services: Services) -> Counter[str]:
    """Rows of the whole ledger by the beginning of their keys."""
    pages = services.ledger.client.get_paginator("scan").paginate(TableName=services.settings.ledger_table)
    return Counter(item["sk"]["S"].partition("#")[0] for page in pages for item in page["Items"])


def queries_of_readme() -> list[str]:
    """With ``{}`` for the database."""
    _, _, section = README.read_text("utf-8").partition("### The ledger as tables")
    queries = section.partition("```sql\n")[2].partition("```")[0]
    assert "clean_adplatform_meta." in queries
    return queries.replace("clean_adplatform_meta.", "{}.").strip().rstrip(";").split(";\n")


@pytest.mark.slow
def test_after_a_run_with_failures_and_retries_the_counts_are_those_of_the_ledger(
    services: Services, instance: dg.DagsterInstance
) -> None:
    feeds = [{**FEED, "name": name, "arrival": {"complete_when": "count", "expected_files": 1}} for name in "ab"]
    platform = make_platform(services, {"source": "acme", "feeds": feeds}, instance)
    for n, feed in enumerate("aabb"):
        body = b"id\n1\n2\n" if n % 2 else b"\x00\x01 is no table"
        platform.put(f"{feed}/dt={YESTERDAY - timedelta(days=n)}/ann@example.com.csv", body)
    writes = 3
    while dying(services, writes, platform.process):
        writes += 5
    declared = pushed_files(platform.declared, services.settings)
    for failed in [each for each in everything_failed(services, declared) if each.counts]:
        failed.retry(services)
    platform.process()
    written = {each.table.partition(".")[2]: each.rows for each in write_ledger(services, [declared])}
    there = scanned(services)
    assert (written["deliveries"], written["publications"]) == (there["delivery"], there["version"])
    assert there["delivery"] == 4
    assert len(asked(services, "select * from {}.deliveries where state = 'published' and published > 0")) >= 2
    sums = asked(services, "select sum(rows_in), sum(clean) from {}.publications where state = 'published'")
    assert sums == [platform.query("select 2 * 2, (select count(*) from {a}) + (select count(*) from {b})")[0]]
    for query in queries_of_readme():
        asked(services, query)
    database = f"{services.settings.database_prefix}{names.META}"
    workgroup = make_workgroup(services.aws, services.settings.raw_bucket)
    ended = execution(services.aws, workgroup, f"select state, count(*) from {database}.deliveries group by 1")
    assert ended["Status"]["State"] == "SUCCEEDED", ended
    files = services.store.listing(services.settings.clean_bucket, f"table-versions/{names.META}/")
    for each in files:
        held = services.s3.get_object(Bucket=services.settings.clean_bucket, Key=each.key)["Body"].read()
        assert b"ann@example" not in held


def test_no_row_of_a_report_a_run_or_an_action_is_missing_and_none_says_more_than_it_may(timed: Services) -> None:
    patterns = declared_patterns(timed.settings)
    [account, *_] = (each.account for each in of_kind(patterns, PulledReports))
    scopes = [Scope("111", "Asia/Tokyo", "US"), Scope("222", "Asia/Tokyo", "US")]
    timed.ledger.scopes.put(account.source, scopes)
    asked_for = Report(account.source, account.definitions[0].name, "", TODAY, TODAY, TODAY, 1, "spCampaigns", "d")
    reports = [replace(asked_for, scope=scope.id, asked_on=days_before(n)) for scope in scopes for n in range(3)]
    for report in reports:
        assert timed.ledger.reports.intend(report)
    watches = [each.watch(timed) for each in patterns if isinstance(each, EngineFiles)]
    watches += [watch for each in patterns for watch in engine_watches(timed, each.source)]
    targets = {(watch.source.name, target.name) for watch in watches for target in watch.targets}
    used = {"dpu_hours": Decimal("0.5")}
    run = EngineRun("", "", "exec-1", RunState.FAILED, found_at=NOON, failed=2, usage=used, error=named("jo@x.de"))
    for source, target in targets:
        row = replace(run, source=source, target=target)
        timed.ledger.access.put(row.owner, [row])
    timed.ledger.actions.put(Action("1", "retry", "ann", "0.1.0", NOON, "acme/orders/111", TODAY, TODAY))
    written = {each.table.partition(".")[2]: each.rows for each in write_ledger(timed, patterns)}
    there = scanned(timed)
    assert (written["reports"], written["engine_runs"], written["actions"]) == (6, len(targets), 1)
    assert [there[kind] for kind in ("report", "run", "action")] == [6, len(targets), 1]
    [report_row] = asked(timed, "select distinct source, report, first_day, state, row_count from {}.reports")
    assert report_row == (account.source, asked_for.name, TODAY, "intended", 0)
    assert asked(timed, "select distinct state, failed_records, usage, error from {}.engine_runs") == [
        ("failed", 2, '{"dpu_hours":"0.5"}', "***")
    ]
    assert asked(timed, "select actor, source, name, first_day, outcome, ended_at from {}.actions") == [
        ("ann", "acme", "orders/111", TODAY, "begun", None)
    ]


def version(day: int, number: int, at: int, **known: Any) -> Publication:
    finished = NOON + timedelta(hours=at)
    row = Publication(days_before(-day), number, 1, "m", finished, "count", DeliveryState.PUBLISHED)
    return replace(row, finished_at=finished, rows_in=1, **known)


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        ({}, {}, []),
        ({}, {"evolved": ("color",)}, [("column_added", "color")]),
        ({"evolved": ("color",)}, {"evolved": ("color",)}, []),
        ({}, {"lacking": {"amount": 1}}, [("column_lacking", "amount")]),
        ({"lacking": {"amount": 1}}, {}, [("column_back", "amount")]),
        ({"contract": "a"}, {"contract": "b"}, [("contract", "")]),
        ({}, {"contract": "b"}, []),
    ],
)
def test_a_version_with_another_schema_than_the_one_published_before_is_a_change(
    before: Mapping[str, Any], now: Mapping[str, Any], changes: list[tuple[str, str]]
) -> None:
    unseen = replace(version(2, 1, 2, evolved=("never",)), state=DeliveryState.FAILED, finished_at=None)
    found = list(schema_changes([version(1, 1, 3, **now), version(5, 1, 1, **before), unseen]))
    assert [(change["change"], change["column_name"]) for _, change in found] == changes
    assert {each.version for each, _ in found} <= {1}
