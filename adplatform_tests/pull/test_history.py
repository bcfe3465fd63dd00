"""The history of campaigns is what their daily snapshots said, whenever these are published: through gaps, snapshots
that come late or again, quarantines and kills."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice, slice_settler
from adplatform.flow.source import FeedFlow
from adplatform.lake.query import run_query
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import SLICE_FILE, Account, account_of
from adplatform.pull.build import build, built, facts_due
from adplatform.pull.derived import derived_of, mark
from adplatform.pull.due import deliveries_due
from adplatform.pull.history import History, histories_of
from adplatform_tests.support.dying import dying
from adplatform_tests.support.runs import Nobody

MORNING = datetime(2026, 6, 10, 20, tzinfo=UTC)
FIRST = date(2026, 6, 1)
PROFILE = "111"
Row = dict[str, Any]
Version = tuple[int, str, int, int | None]
"""Id, name, and from which to which day after the first."""


def campaign(number: int | str, name: str = "", **members: Any) -> Row:
    named = {"campaignId": str(number), "adProduct": "SPONSORED_PRODUCTS", "name": name or f"C{number}"}
    return {**named, **members}


@dataclass
class Pull:
    """An account whose snapshots are those that the test gives."""

    services: Services
    account: Account
    history: History
    work: Path
    at: list[datetime]
    said: dict[int, list[Row]] = field(default_factory=dict)
    runs: int = 0

    def run_id(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    @property
    def snapshots(self) -> FeedFlow:
        return self.account.scoped(self.history.snapshots, PROFILE)

    def put(self, number: int, *rows: Row) -> None:
        """The snapshot of a day as a slice that waits to be published."""
        self.said[number] = list(rows)
        day = FIRST + timedelta(days=number)
        stamps = {"_as_of": self.at[0].isoformat(), "_report_id": "r", "_currency": "USD", "_wave": 0}
        body = "\n".join(json.dumps({**row, **stamps}) for row in rows)
        key = self.snapshots.layout.key(day, SLICE_FILE)
        bucket = self.services.zones.raw_bucket
        self.services.s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(body.encode()))
        slice_settler(self.services, (self.snapshots,)).arrivals.reconcile(self.snapshots.layout.day_prefix(day))

    def publish(self, number: int) -> None:
        def tell(_: object) -> None:
            mark(self.services.ledger, (self.history,), self.snapshots, FIRST + timedelta(days=number))

        day = FIRST + timedelta(days=number)
        publish_slice(self.services, self.snapshots, day, self.run_id(), self.work, tell)

    def say(self, number: int, *rows: Row) -> None:
        self.put(number, *rows)
        self.publish(number)

    def builds(self) -> list[int]:
        """Build what is due until nothing is, or that cannot be built; the days."""
        found = []
        while due := facts_due(self.services, self.history, Nobody())[0]:
            done = build(self.services, self.history, PROFILE, due[0].day, self.run_id(), self.work, sleep=self.sleep)
            if done is None:
                break
            built(self.services.ledger, self.history, done)
            found.append((due[0].day - FIRST).days)
        return found

    def sleep(self, seconds: float) -> None:
        self.at[0] += timedelta(seconds=seconds)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        return run_query(self.services.aws, self.services.glue, prefix, sql.format(f"{prefix}ads"), 10**6)[1]

    def versions(self) -> list[Version]:
        return self.query(
            f"select campaign_id, campaign_name, valid_from - date '{FIRST}', valid_to - date '{FIRST}'"
            " from {}.campaigns_versions order by campaign_id, valid_from"
        )


def expected(said: dict[int, list[Row]]) -> list[Version]:
    """The versions that snapshots of these days come to, without the platform's help."""
    found: list[Version] = []
    open_ones: dict[int, tuple[str, int]] = {}
    for number in sorted(said):
        there = {int(row["campaignId"]): row["name"] for row in said[number]}
        for name in [each for each, (text, _) in open_ones.items() if there.get(each) != text]:
            text, since = open_ones.pop(name)
            found.append((name, text, since, number))
        for name in there.keys() - open_ones.keys():
            open_ones[name] = there[name], number
    found += [(name, text, since, None) for name, (text, since) in open_ones.items()]
    return sorted(found, key=lambda version: (version[0], version[2]))


def account(*reports: Any) -> Account:
    named = {"source": "ads", "credentials": "ads/secret", "start_date": str(FIRST), "spread": "0s"}
    return account_of(AdsSource.model_validate({**named, "reports": list(reports)}))


@pytest.fixture
def pull(services: Services, tmp_path: Path) -> Iterator[Pull]:
    at = [MORNING]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    timed.ledger.scopes.put("ads", [Scope(PROFILE, "America/Los_Angeles", "US", "USD")])
    declared = account("campaigns_metadata")
    yield Pull(timed, declared, histories_of(declared)[0], tmp_path, at)


def test_versions_are_those_of_the_snapshots_in_whatever_order_these_are_published(pull: Pull) -> None:
    budget = {"budgetCaps": {"budgetValue": {"monetaryBudget": {"amount": 25.5, "currencyCode": "USD"}}}}
    touched = {"deliveryStatus": "DELIVERING", "lastUpdatedDateTime": "2026-06-02T00:00:00.123Z"}
    pull.say(0, campaign(1), campaign(2, **budget), campaign(3), campaign(5, adProduct=None))
    four = (campaign(1, "renamed"), campaign(2, **budget, **touched), campaign(4), campaign(5, adProduct=None))
    pull.say(4, *four, campaign(3), campaign(3))
    assert pull.builds() == [0, 4]
    assert pull.versions() == [
        (1, "C1", 0, 4),
        (1, "renamed", 4, None),
        *((2, "C2", 0, None), (3, "C3", 0, None), (4, "C4", 4, None), (5, "C5", 0, None)),
    ]
    pull.say(2, campaign(1, "between"), campaign(2, **budget), campaign(5, adProduct=None))
    assert pull.builds() == [2, 4]
    assert pull.versions() == [
        *((1, "C1", 0, 2), (1, "between", 2, 4), (1, "renamed", 4, None)),
        *((2, "C2", 0, None), (3, "C3", 0, 2), (3, "C3", 4, None), (4, "C4", 4, None), (5, "C5", 0, None)),
    ]
    one = "select profile_id, ad_product, budget_amount, is_current from {}.campaigns_versions where campaign_id = 2"
    assert pull.query(one) == [(PROFILE, "SPONSORED_PRODUCTS", pytest.approx(25.5), True)]
    pull.services.ledger.derived.mark(pull.history.table.table, FIRST + timedelta(days=1), PROFILE)
    assert pull.builds() == [1], "a day without a snapshot, which somebody wants built, says nothing"
    assert pull.versions() == expected(pull.said)


def test_what_a_snapshot_with_quarantined_rows_lacks_is_not_taken_for_removed(pull: Pull) -> None:
    pull.say(0, campaign(1), campaign(2), campaign(3))
    pull.say(1, *(campaign(n) for n in (1, 10, 11, 12)), campaign("no number"))
    pull.say(2, campaign(1), campaign(3, "renamed"))
    pull.builds()
    assert pull.versions()[:4] == [(1, "C1", 0, None), (2, "C2", 0, 2), (3, "C3", 0, 2), (3, "renamed", 2, None)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_kill_at_any_write_from_snapshot_to_history_leaves_what_the_snapshots_say(pull: Pull) -> None:
    pull.say(0, campaign(1))
    pull.say(2, campaign(1), campaign(2))
    pull.builds()
    for writes in range(1, 999):
        pull.put(1, campaign(1, f"before {writes}"), campaign(3))

        def publish_and_build() -> None:
            pull.publish(1)
            pull.builds()

        died = dying(pull.services, writes, publish_and_build)
        pull.sleep(300)
        if writes % 2:
            pull.builds()  # a build may come between the kill and the run that repairs it
        for _ in deliveries_due(pull.services, pull.account, Nobody())[0]:
            pull.publish(1)
        pull.builds()
        assert pull.versions() == expected(pull.said), writes
        if not died:
            break
    assert not died


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_course_of_snapshots_comes_to_the_same_versions(pull: Pull, seed: int) -> None:
    drawn = random.Random(seed)
    days = drawn.sample(range(9), 7)
    for number in [*days, *drawn.sample(days, 2)]:
        there = drawn.sample(range(1, 7), drawn.randrange(7))
        pull.say(number, *(campaign(each, drawn.choice(("", "other"))) for each in there))
        if drawn.random() < 0.6:
            pull.builds()
    pull.builds()
    assert pull.versions() == expected(pull.said)


def test_names_of_histories_are_taken() -> None:
    for name in ("campaigns_changes", "campaigns_versions"):
        own = {"name": name, "extends": "sp_campaigns"}
        with pytest.raises(PermanentFailure, match=f"{name} is a name of the history of its campaigns"):
            derived_of(account("campaigns_metadata", own))
    with pytest.raises(ValueError, match="ads_metadata is an export"):
        account({"name": "mine", "extends": "ads_metadata"})
