"""The Exports API over the wire, and the entities that it has from day to day."""

import gzip
import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.entities import PRODUCTS, entities
from adplatform.local.world.amazon.server import Server
from adplatform_tests.local.world.amazon.support import CANADA, HTTP, NOW, US, Ads

CAMPAIGNS = "application/vnd.campaignsexport.v1+json"
IDS = {"campaigns": "campaignId", "adGroups": "adGroupId", "ads": "adId", "targets": "targetId"}


def order(ads: Ads, body: object, kind: str = "campaigns", media_type: str = CAMPAIGNS, accept: str = CAMPAIGNS) -> Any:
    headers = {"Content-Type": media_type, "Accept": accept}
    return ads.call("POST", f"/{kind}/export", json=body, headers=headers)


def test_an_export_is_answered_in_the_media_type_of_its_kind_alone(ads: Ads) -> None:
    assert order(ads, {}, accept="application/json").status_code == 406
    assert order(ads, {}, media_type="application/json").status_code == 415
    created = order(ads, {})
    assert (created.status_code, created.headers["Content-Type"]) == (202, CAMPAIGNS)
    path = f"/exports/{created.json()['exportId']}"
    targets = "application/vnd.targetsexport.v1+json"
    assert ads.call("GET", path, headers={"Accept": targets}).status_code == 406
    assert ads.call("GET", path, headers={"Accept": CAMPAIGNS}).json()["status"] == "PROCESSING"
    other = Ads(ads.server, scope=CANADA)
    assert other.call("GET", path, headers={"Accept": CAMPAIGNS}).status_code == 404


def test_archived_campaigns_come_where_they_are_asked_for(ads: Ads) -> None:
    def states(body: dict[str, list[str]]) -> set[str]:
        created = order(ads, body).json()
        ads.finish()
        made = ads.call("GET", f"/exports/{created['exportId']}", headers={"Accept": CAMPAIGNS}).json()
        return {row["state"] for row in json.loads(gzip.decompress(HTTP.get(made["url"]).content))}

    assert states({}) == {"ENABLED", "PAUSED"}
    assert states({"stateFilter": ["ARCHIVED"]}) == {"ARCHIVED"}
    assert order(ads, {"stateFilter": ["DELETED"]}).json()["detail"].startswith("stateFilter takes one or more of")
    assert order(ads, {"startDate": "2026-01-01"}).status_code == 400


def test_one_export_of_a_kind_too_many_is_throttled(server: Server) -> None:
    server.world.set(exports_at_once=1)
    first, other = Ads(server), Ads(server, scope=CANADA)
    assert order(first, {}).status_code == 202
    throttled = order(other, {})
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "5")
    ads_type = "application/vnd.adsexport.v1+json"
    assert order(other, {}, "ads", ads_type, ads_type).status_code == 202
    first.finish()
    assert order(other, {}).status_code == 202


@pytest.mark.parametrize("kind", IDS)
def test_entities_change_from_day_to_day_and_keep_their_ids(kind: str) -> None:
    profile = DEMO_ACCOUNTS.profile(US)
    changed = 0
    for product in PRODUCTS:
        days = [
            {row[IDS[kind]]: row for row in entities(kind, product, profile, NOW.date() + timedelta(days=n), 7)}
            for n in range(20)
        ]
        for before, after in pairwise(days):
            pairs = [(before[name], after[name]) for name in before.keys() & after.keys()]
            changed += sum({**a, "lastUpdatedDateTime": 0} != {**b, "lastUpdatedDateTime": 0} for a, b in pairs)
        everywhere = set.intersection(*(set(day) for day in days))
        assert everywhere, product
        assert (kind == "ads") == (any(set(day) != set(days[0]) for day in days))
    assert changed > 5 or kind in ("adGroups", "ads")
