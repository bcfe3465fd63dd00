"""Exports of the Ads API, by the client that the platform has, from the simulated Amazon."""

import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.ads.client import AdsApi, open_ads
from adplatform.amazon.ads.exports import MEDIA_TYPES
from adplatform.amazon.reports import Progress, ReportOrder, ReportStatus
from adplatform.failures import AccessRefused, PermanentFailure, TransientFailure
from adplatform.ledger.ledger import Ledger
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import World
from adplatform_tests.amazon.shared import Shared

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
PROFILE = "3184075526400117"
ALL = {"adProductFilter": ["SPONSORED_PRODUCTS"], "stateFilter": ["ENABLED", "PAUSED", "ARCHIVED"]}


def order(kind: str = "campaigns", scope: str = PROFILE, **filters: Any) -> ReportOrder:
    return ReportOrder(f"ads/{kind}", kind, scope, date(2026, 11, 20), date(2026, 11, 20), {**ALL, **filters})


@dataclass
class Amazon:
    world: World
    api: AdsApi
    folder: Path

    def ordered(self, asked: ReportOrder) -> str:
        return self.api.create(asked, NOW, again=False).report_id

    def progress(self, asked: ReportOrder, name: str) -> Progress:
        return self.api.progress(asked, name)

    def rows(self, asked: ReportOrder) -> list[dict[str, Any]]:
        name = self.ordered(asked)
        self.world.clock.advance(60)
        progress = self.progress(asked, name)
        assert progress.status is ReportStatus.READY
        document = self.api.fetch(asked, progress, self.folder / "document")
        assert document.size == progress.size
        rows: list[dict[str, Any]] = json.loads(gzip.decompress(document.path.read_bytes()))
        return rows


@pytest.fixture
def amazon(shared: Shared, tmp_path: Path) -> Iterator[Amazon]:
    name = f"ads-{uuid.uuid4().hex}"
    app = replace(DEMO_CREDENTIALS["ads"], client_id=name)
    members = {"client_id": app.client_id, "client_secret": app.client_secret, "refresh_token": app.refresh_token}
    shared.secrets.create_secret(Name=name, SecretString=json.dumps(members))
    world = World(accounts=replace(DEMO_ACCOUNTS, apps={**DEMO_CREDENTIALS, "ads": app}))
    world.clock.set(NOW, frozen=True)

    def sleep(seconds: float) -> None:
        world.clock.advance(seconds)

    with serving(world) as server:
        ledger = Ledger(shared.dynamodb, shared.table, world.now)
        api = open_ads(
            *(shared.secrets, name, "na", ledger, tmp_path / "tokens"),
            sleep=sleep,
            endpoint=f"{server.url}/na",
            patience=timedelta(seconds=20),
        )
        yield Amazon(world, api, tmp_path)


@pytest.mark.parametrize(("kind", "count"), [("campaigns", 4), ("adGroups", 8), ("targets", 36)])
def test_an_export_from_order_to_rows(amazon: Amazon, kind: str, count: int) -> None:
    asked = order(kind)
    assert amazon.progress(asked, amazon.ordered(asked)).status is ReportStatus.PROCESSING
    assert len(amazon.rows(asked)) == count
    assert kind != "campaigns" or len(amazon.rows(order(kind, stateFilter=["ARCHIVED"]))) == 1


def test_what_amazon_says_of_an_export_that_does_not_come(amazon: Amazon) -> None:
    asked = order("ads")
    name = amazon.ordered(asked)
    amazon.world.clock.advance(60)
    amazon.world.fault("get_export", "complete_without_url")
    assert amazon.progress(asked, name).status is ReportStatus.PROCESSING
    amazon.world.fault("get_export", "forget")
    gone = amazon.progress(asked, name)
    assert (gone.status, gone.retryable) == (ReportStatus.GONE, True)
    amazon.world.fault("get_export", "fail")
    failed = amazon.progress(asked, name)
    assert (failed.status, failed.retryable) == (ReportStatus.FAILED, True)
    assert failed.reason == "INTERNAL_ERROR: The export has failed with an internal error."
    amazon.api.cancel(asked, name)


def test_an_address_that_expired_is_minted_anew_for_a_day(amazon: Amazon) -> None:
    asked = order()
    amazon.world.fault("get_export", "expired_url", skip=1)
    assert len(amazon.rows(asked)) == 4
    name = amazon.ordered(asked)
    amazon.world.clock.advance(25 * 3600)
    with pytest.raises(TransientFailure, match="has no document at present"):
        amazon.api.fetch(asked, Progress(name, ReportStatus.READY), amazon.folder / "late")


def test_an_export_waits_until_amazon_takes_it_and_is_refused_in_amazons_words(amazon: Amazon) -> None:
    amazon.world.set(exports_at_once=1)
    asked = order()
    names = {amazon.ordered(asked), amazon.ordered(asked)}
    assert len(names) == 2, "the second waited for the first"
    amazon.world.clock.advance(60)
    amazon.world.fault("create_export", "reset")
    names.add(amazon.ordered(asked))
    assert len(names) == 3
    assert len(amazon.world.ads_exports) == 4, "Amazon lists no exports: one whose answer was lost is made twice"
    amazon.world.clock.advance(60)
    with pytest.raises(PermanentFailure, match=r"campaigns for profile .*: invalid: stateFilter takes one or more of"):
        amazon.ordered(order(stateFilter=["DELETED"]))
    with pytest.raises(AccessRefused, match="No matching advertiser found"):
        amazon.ordered(order(scope="999"))


def test_the_simulated_amazon_knows_the_kinds_by_the_same_names(amazon: Amazon) -> None:
    assert {amazon.world.ads_exports[amazon.ordered(order(kind))].kind for kind in MEDIA_TYPES} == set(MEDIA_TYPES)
