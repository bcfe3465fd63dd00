"""Files that come to a date later are added to what readers see: the table, the counts and what is in the quarantine
are those of one reading of all files, and only what is new is read."""

import io
import itertools
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adplatform.contracts.feed import Feed
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, make_source
from adplatform.lake import parts
from adplatform.lake.quarantine import read_rows
from adplatform.lake.query import run_query
from adplatform.lake.store import Stored
from adplatform.ledger.publications import Outcome, Publication
from adplatform.platform.aws import Aws
from adplatform_tests.support import plainly
from adplatform_tests.support.examples import examples
from adplatform_tests.support.platforms import TODAY, make_services

DAY = TODAY - timedelta(days=1)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": {"type": "int", "required": True}, "email": {"pii": "email"}, "amount": "decimal(10,2)"},
    "bounds": {"max_quarantined": 0.5},
}
FORMATS = pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
KEYED = {**ORDERS, "key": ["order_id"], "latest_by": "amount"}


@dataclass(frozen=True)
class Shop:
    """One feed of orders, processed without Dagster."""

    services: Services
    source: Source

    @property
    def flow(self) -> FeedFlow:
        return self.source.feeds[0]

    def deliver(self, name: str, *rows: str) -> None:
        """Bring a file to the date and process it."""
        self.put(name, *rows)
        self.process()

    def put(self, name: str, *rows: str) -> None:
        body = "\n".join(["order_id,email,amount", *rows, ""]).encode()
        key = f"landing/{self.source.name}/orders/dt={DAY}/{name}"
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body)

    def process(self) -> None:
        plainly.process(self.services, self.source, f"run-{uuid.uuid4().hex[:6]}")

    @property
    def newest(self) -> Publication:
        version = self.services.ledger.deliveries.get(self.flow.name, DAY).version
        found = self.services.ledger.publications.get(self.flow.name, DAY, version)
        assert found
        return found

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """All that readers see, without the names of the files, which differ between shops by the source's."""
        prefix = self.services.settings.database_prefix
        sql = f"select order_id, email_lake, amount, dt from {prefix}{self.source.name}.orders"
        return sorted(run_query(self.services.aws, self.services.glue, prefix, sql, 100_000)[1], key=str)

    @property
    def counts(self) -> tuple[Any, ...]:
        row = self.newest
        outcomes = self.services.ledger.publications.file_outcomes(self.flow.name, DAY, row.version)
        files = sorted((o.origin.rpartition("/")[2], o.outcome, o.rows_in, o.clean, o.superseded) for o in outcomes)
        return row.rows_in, row.clean, row.superseded, row.quarantined, dict(row.reasons), files

    @property
    def quarantined(self) -> list[tuple[str, tuple[str, ...]]]:
        """Of each quarantined row its file and its reasons."""
        key = self.newest.quarantine_key
        rows = read_rows(self.services.store, key, self.flow.feed.contract) if key else ()
        return sorted((self.name_of(row.source_file), row.reasons) for row in rows)

    def name_of(self, source_file: str) -> str:
        """The name of a file that rows say they are from."""
        file, joint, member = source_file.partition("#")
        [found] = [o for o in self.services.ledger.objects.of_day(self.flow.name, DAY) if o.file_id == file]
        return f"{found.key.rpartition('/')[2]}{joint}{member}"

    @property
    def files(self) -> list[str]:
        """The names of the files that readers see."""
        store, [location] = self.services.store, self.newest.locations
        prefix = store.zones.clean_key(location)
        return sorted(each.key.removeprefix(prefix) for each in store.listing(store.zones.clean_bucket, prefix))


@pytest.fixture
def services(aws: Aws, tmp_path: Path) -> Services:
    return make_services(aws, tmp_path / "home")


def shop(services: Services, declared: dict[str, Any] = ORDERS) -> Shop:
    made = make_source(f"s{uuid.uuid4().hex[:8]}", services.zones.raw_bucket, [Feed.model_validate(declared)])
    provision(services, [made])
    return Shop(services, made)


def declared_as(of: Shop, declared: dict[str, Any]) -> Source:
    """The same source with another declaration."""
    return make_source(of.source.name, of.services.zones.raw_bucket, [Feed.model_validate(declared)])


def read_files(of: Shop) -> set[str]:
    """The names of the raw files that the newest version was read from: those of which it has written rows, beside
    what it has taken over."""
    zones, store = of.services.zones, of.services.store
    written = [each for each in of.files if not each.startswith(str(DAY)[:4])]
    [location] = of.newest.locations
    found: set[str] = set()
    for name in written:
        with TemporaryDirectory() as folder:
            store.download(zones.clean_bucket, zones.clean_key(location) + name, path := Path(folder) / "file")
            found |= {str(each) for each in pq.read_table(path, columns=["_source_file"])["_source_file"].to_pylist()}
    return {of.name_of(source) for source in found}


@FORMATS
def test_a_file_more_is_read_alone_and_the_rest_is_taken_over(services: Services, table_format: str) -> None:
    orders = shop(services, {**ORDERS, "table_format": table_format})
    orders.deliver("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,2.00")
    first = orders.files
    orders.deliver("b.csv", "3,eve@example.com,3.00")
    assert read_files(orders) == {"b.csv"}
    assert len(orders.files) == 2
    assert any(name.endswith(first[0]) for name in orders.files)
    assert [row[0] for row in orders.rows] == [1, 2, 3]
    assert orders.counts[:4] == (3, 3, 0, 0)


@pytest.mark.parametrize("table_format", [pytest.param("parquet", marks=pytest.mark.slow), "iceberg"])
def test_of_one_key_in_two_files_the_latest_row_stays_wherever_it_is(services: Services, table_format: str) -> None:
    orders = shop(services, {**KEYED, "table_format": table_format})
    orders.deliver("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,9.00", "3,eve@example.com,3.00")
    orders.deliver("b.csv", "1,ann@example.com,7.00", "2,bob@example.com,2.00", "4,joe@example.com,4.00")
    assert [(row[0], str(row[2])) for row in orders.rows] == [(1, "7.00"), (2, "9.00"), (3, "3.00"), (4, "4.00")]
    assert orders.counts[:4] == (6, 4, 2, 0)
    assert [file[2:] for file in orders.counts[5]] == [(3, 2, 1), (3, 2, 1)]


@pytest.mark.slow
def test_what_a_part_keeps_out_is_said_of_the_new_files(services: Services) -> None:
    orders = shop(services, {**ORDERS, "schema_policy": "evolve"})
    for name, note in (("a.csv", "ann@example.com"), ("b.csv", "bob@example.com")):
        key = f"landing/{orders.source.name}/orders/dt={DAY}/{name}"
        body = f"order_id,email,amount,note\n1,,1.00,{note}\n".encode()
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
        orders.process()
        said = "undeclared column 'note' has an e-mail address in 1 row and is not stored"
        assert orders.newest.note.startswith(said if name == "a.csv" else f"in the new files {said}")


ROWS = st.tuples(st.integers(1, 6), st.sampled_from(["ann", "bob", "no address"]), st.sampled_from(["1", "2", "x", ""]))
FILES = st.lists(st.lists(ROWS, max_size=6), min_size=2, max_size=4)


Files = Sequence[Sequence[tuple[int, str, str]]]
HISTORIES = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(HISTORIES, max_examples=examples(1))
@given(files=FILES)
def test_files_one_after_the_other_come_to_what_one_reading_of_all_comes_to(services: Services, files: Files) -> None:
    compare(services, KEYED, files)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@FORMATS
@pytest.mark.parametrize(
    "declared", [pytest.param(ORDERS, id="without a key", marks=pytest.mark.slow), pytest.param(KEYED, id="keyed")]
)
@settings(HISTORIES, max_examples=60)
@given(files=FILES)
def test_many_histories_come_to_what_one_reading_comes_to(
    services: Services, declared: dict[str, Any], files: Files, table_format: str
) -> None:
    compare(services, {**declared, "table_format": table_format}, files)


def compare(services: Services, declared: dict[str, Any], files: Files) -> None:
    lenient = {**declared, "bounds": {"max_quarantined": 1.0, "min_rows": 0}}
    added, whole = shop(services, lenient), shop(services, lenient)
    for number, rows in enumerate(files):
        lines = [f"{order},{name}@example.com,{amount}" for order, name, amount in rows]
        added.deliver(f"{number}.csv", *lines)
        whole.put(f"{number}.csv", *lines)
    whole.process()
    assert (added.newest.version, whole.newest.version) == (len(files), 1)
    assert (added.rows, added.counts, added.quarantined) == (whole.rows, whole.counts, whole.quarantined)


def test_every_file_is_read_again_where_anything_else_changed(services: Services) -> None:
    orders = shop(services)
    orders.deliver("a.csv", "1,ann@example.com,1.00")
    orders.deliver("b.csv", "2,bob@example.com,2.00")
    assert read_files(orders) == {"b.csv"}
    orders.deliver("a.csv", "1,ann@example.com,5.00")
    assert read_files(orders) == {"a.csv", "b.csv"}
    assert [str(row[2]) for row in orders.rows] == ["5.00", "2.00"]

    changed = {**ORDERS, "row_checks": [{"name": "cheap", "expression": "amount < 5"}]}
    stricter = replace(orders, source=declared_as(orders, changed))
    stricter.deliver("c.csv", "3,eve@example.com,3.00")
    assert read_files(stricter) == {"b.csv", "c.csv"}
    assert stricter.counts[:4] == (3, 2, 0, 1)

    stricter.put("d.csv", "4,joe@example.com,4.00")
    stricter.services.ledger.deliveries.reopen(stricter.flow.name, DAY)
    stricter.process()
    assert read_files(stricter) == {"b.csv", "c.csv", "d.csv"}


@pytest.mark.slow
def test_keys_that_cannot_be_compared_once_they_are_hashed_are_read_again(services: Services) -> None:
    orders = shop(services, {**ORDERS, "key": ["email"], "columns": {**ORDERS["columns"], "email": HASHED}})
    orders.deliver("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,2.00")
    orders.deliver("b.csv", "3,ann@example.com,3.00")
    assert read_files(orders) == {"a.csv", "b.csv"}
    assert [row[0] for row in orders.rows] == [2, 3]


HASHED = {"pii": "email", "required": True}


@pytest.mark.slow
def test_many_parts_stay_few_files(services: Services) -> None:
    orders = shop(services)
    most = 0
    for number in range(parts.FAN + 3):
        orders.deliver(f"{number:02d}.csv", f"{number},ann@example.com,{number}.00")
        most = max(most, len(orders.files))
    assert most == parts.FAN - 1
    assert sorted(row[0] for row in orders.rows) == list(range(parts.FAN + 3))
    assert orders.newest.clean == parts.FAN + 3


def test_a_file_is_put_together_with_others_only_of_its_size() -> None:
    def sizes(*kilobytes: int) -> list[Stored]:
        return [Stored(f"{n}", size * 2**10, DATED) for n, size in enumerate(kilobytes)]

    small = parts.FAN - 1
    assert parts.to_fold(sizes(*[64] * (small - 1)), 64 * 2**10) == []
    assert len(parts.to_fold(sizes(*[64] * small), 64 * 2**10)) == small
    assert len(parts.to_fold(sizes(*[64] * small, 5_000, 5_000), 64 * 2**10)) == small
    # The file that comes of it is the one too many of its own size.
    assert len(parts.to_fold(sizes(*[64] * small, *[600] * small), 64 * 2**10)) == 2 * small
    assert parts.to_fold(sizes(*[200_000] * 20), 200_000 * 2**10) == []


def test_a_row_is_written_once_for_each_size_that_its_file_grows_through() -> None:
    files: list[Stored] = []
    written = 0
    for number in range(288):
        folded = parts.to_fold(files, PART)
        size = PART + sum(file.size for file in folded)
        written += size
        files = [file for file in files if file not in folded] + [Stored(f"{number}", size, DATED)]
        assert len(files) <= 3 * (parts.FAN - 1)
    assert sum(file.size for file in files) == 288 * PART
    assert written / PART / 288 < 3.2


PART = 70 * 2**10
DATED = datetime(2026, 3, 14, tzinfo=UTC)


def test_what_was_cleaned_up_meanwhile_is_read_again(services: Services) -> None:
    orders = shop(services)
    orders.deliver("a.csv", "1,ann@example.com,1.00")
    [location] = orders.newest.locations
    store, zones = services.store, services.zones
    found = [each.key for each in store.listing(zones.clean_bucket, zones.clean_key(location))]
    store.delete(zones.clean_bucket, found)
    orders.deliver("b.csv", "2,bob@example.com,2.00")
    assert read_files(orders) == {"a.csv", "b.csv"}
    assert [row[0] for row in orders.rows] == [1, 2]


def test_a_late_writer_of_outcomes_does_not_spoil_the_counts(services: Services) -> None:
    orders = shop(services)
    orders.deliver("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,2.00")
    ledger, name, version = services.ledger, orders.flow.name, orders.newest.version
    outcomes = ledger.publications.file_outcomes(name, DAY, version)
    # What ``raw.land`` of a run that wakes late writes of the version that another run has published meanwhile.
    ledger.publications.put_file_outcomes(
        name, [replace(o, rows_in=0, clean=0, superseded=0, quarantined=0, outcome=Outcome.LOADED) for o in outcomes]
    )
    orders.deliver("b.csv", "3,eve@example.com,3.00")
    assert orders.counts[:4] == (3, 3, 0, 0)


@pytest.mark.slow
def test_quarantined_rows_that_are_gone_do_not_hold_up_a_part(services: Services) -> None:
    orders = shop(services)
    orders.deliver("a.csv", "1,ann@example.com,1.00", "x,bob@example.com,2.00")
    services.s3.delete_object(Bucket=services.zones.raw_bucket, Key=orders.newest.quarantine_key)
    orders.deliver("b.csv", "3,eve@example.com,3.00")
    assert [row[0] for row in orders.rows] == [1, 3]


@pytest.mark.parametrize(
    "declared", [pytest.param(ORDERS, id="without a key", marks=pytest.mark.slow), pytest.param(KEYED, id="keyed")]
)
def test_a_lost_file_of_the_base_is_not_carried_as_if_it_were_there(
    services: Services, declared: dict[str, Any]
) -> None:
    orders = shop(services, declared)
    orders.deliver("a.csv", "1,ann@example.com,1.00")
    orders.deliver("b.csv", "2,bob@example.com,2.00")
    [location] = orders.newest.locations
    store, zones = services.store, services.zones
    first = next(store.listing(zones.clean_bucket, zones.clean_key(location)))
    store.delete(zones.clean_bucket, [first.key])
    orders.deliver("c.csv", "3,eve@example.com,3.00")
    assert [row[0] for row in orders.rows] == [1, 2, 3]


@pytest.mark.slow
def test_members_of_archives_are_counted_as_one_reading_counts_them(services: Services) -> None:
    packed = {**KEYED, "format": {"kind": "csv", "compression": "zip"}}
    added, whole = shop(services, packed), shop(services, packed)
    one = {"x.csv": ["1,ann@example.com,1.00", "2,bob@example.com,2.00"], "y.csv": ["1,ann@example.com,3.00"]}
    two = {"x.csv": ["2,bob@example.com,9.00", "1,ann@example.com,2.00"], "y.csv": ["z,eve@example.com,1.00"]}
    for name, members in (("a.zip", one), ("b.zip", two)):
        put_archive(added, name, members)
        added.process()
        put_archive(whole, name, members)
    whole.process()
    assert (added.rows, added.counts, added.quarantined) == (whole.rows, whole.counts, whole.quarantined)


def put_archive(of: Shop, name: str, members: dict[str, list[str]]) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for member, rows in members.items():
            archive.writestr(member, "\n".join(["order_id,email,amount", *rows, ""]))
    key = f"landing/{of.source.name}/orders/dt={DAY}/{name}"
    of.services.s3.put_object(Bucket=of.services.zones.raw_bucket, Key=key, Body=body.getvalue())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_part_whose_process_is_killed_at_any_write_is_added_once(aws: Aws, tmp_path: Path) -> None:
    for write in itertools.count(1):
        orders = shop(make_services(aws, tmp_path / f"{write}"), KEYED)
        orders.deliver("a.csv", "1,ann@example.com,1.00", "2,bob@example.com,2.00")
        orders.put("b.csv", "2,bob@example.com,5.00", "3,eve@example.com,3.00")
        code, _ = plainly.process_killed_at(orders.services, orders.source, write)
        orders.process()
        assert [(row[0], str(row[2])) for row in orders.rows] == [(1, "1.00"), (2, "5.00"), (3, "3.00")], write
        assert orders.counts[:4] == (4, 3, 1, 0), write
        if code == 0:
            break
    assert write > 20


@pytest.mark.slow
def test_columns_that_vanish_are_named_until_they_come_again(services: Services) -> None:
    columns = {"order_id": "int", "email": {"pii": "email"}, "amount": "decimal(10,2)", "note": "string"}
    made = shop(services, {**ORDERS, "columns": columns, "schema_policy": "evolve"})

    def deliver(name: str, header: str, row: str, day: date = DAY) -> Publication:
        key = f"landing/{made.source.name}/orders/dt={day}/{name}"
        body = f"{header}\n{row}\n".encode()
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
        made.process()
        found = services.ledger.publications.of_feed(made.flow.name, day)
        return max(found, key=lambda row: row.version)

    first = deliver("a.csv", "order_id,email,amount,note,new", "1,a@x.org,1.00,x,y", DAY - timedelta(days=1))
    assert (first.evolved, first.lacking) == (("new",), {})
    second = deliver("b.csv", "order_id,email,amount", "2,a@x.org,1.00")
    assert (second.evolved, second.lacking) == (("new",), {"note": 1, "new": 1})
    third = deliver("c.csv", "order_id,email,amount,note", "3,a@x.org,1.00,z")
    assert (third.clean, third.lacking) == (2, {"note": 1, "new": 2})
    assert read_files(made) == {"c.csv"}
    fourth = deliver("d.csv", "order_id,email,amount,note,new", "4,a@x.org,1.00,z,w", TODAY)
    assert (fourth.evolved, fourth.lacking) == (("new",), {})
    assert [row[:1] for row in made.rows] == [(1,), (2,), (3,), (4,)]
