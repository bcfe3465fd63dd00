"""The server's own API: clock, settings, faults, counters, truth."""

import httpx
import pytest

from adplatform.local.world.amazon.faults import KINDS, OPERATIONS
from adplatform.local.world.amazon.selling import SALES_AND_TRAFFIC
from adplatform.local.world.amazon.server import Server
from adplatform_tests.local.world.amazon.support import HTTP, US, Ads, Selling, days_ago, login


def admin(server: Server, name: str, body: object = None) -> httpx.Response:
    url = f"{server.url}/_admin/{name}"
    return HTTP.get(url) if body is None else HTTP.post(url, json=body)


def test_clock_is_set_advanced_and_let_run(server: Server) -> None:
    assert admin(server, "clock").json() == {"now": "2026-11-20T18:00:00+00:00", "frozen": True}
    assert admin(server, "clock", {"advance": 3600}).json()["now"] == "2026-11-20T19:00:00+00:00"
    assert admin(server, "clock", {"now": "2027-01-01T00:00:00Z"}).json()["now"] == "2027-01-01T00:00:00+00:00"
    assert admin(server, "clock", {"frozen": False}).json()["frozen"] is False
    assert admin(server, "clock").json()["now"] > "2027-01-01T00:00:00"
    assert admin(server, "clock", {"now": "soon"}).status_code == 400
    misspelt = admin(server, "clock", {"forward": 60})
    assert (misspelt.status_code, "unexpected keyword argument 'forward'" in misspelt.json()["error"]) == (400, True)
    assert "advance: float" in misspelt.json()["error"]


@pytest.mark.parametrize("path", ["/_admin", "/_admin/"])
def test_the_index_names_every_call_setting_and_fault(server: Server, path: str) -> None:
    reported = HTTP.get(f"{server.url}{path}").json()
    assert reported["settings"] == admin(server, "settings").json()
    assert set(reported["faults"]) == set(OPERATIONS)
    assert {fault for faults in reported["faults"].values() for fault in faults} == set(KINDS)
    assert {"GET clock", "POST clock", "POST faults", "DELETE faults", "GET truth"} < set(reported["calls"])
    assert reported["calls"]["POST faults"].startswith("(operation: str, fault: str, times: int | None = 1, ")
    assert "POST rotate_secret" in admin(server, "nothing").json()["error"]


def test_settings_faults_and_logins(server: Server) -> None:
    assert admin(server, "settings", {"queue_seconds": 0}).json()["queue_seconds"] == 0
    unknown = admin(server, "settings", {"unknown": 1})
    assert (unknown.status_code, "known are seed, queue_seconds, " in unknown.json()["error"]) == (400, True)
    wrong = admin(server, "settings", {"queue_seconds": "soon"})
    assert (wrong.status_code, wrong.json()["error"].startswith("queue_seconds: ")) == (400, True)
    assert admin(server, "faults", {"operation": "token", "fault": "throttle"}).json()[0]["times"] == 1
    assert HTTP.delete(f"{server.url}/_admin/faults").json() == []
    secret = admin(server, "rotate_secret", {"api": "ads", "keep_previous": False}).json()["client_secret"]
    assert login(server.url, "ads").status_code == 401
    token = login(server.url, "ads", client_secret=secret).json()["access_token"]
    admin(server, "expire_tokens", {})
    assert Ads(server, token=token).get("any").status_code == 401
    assert admin(server, "revoke", {"api": "ads"}).json() == {"ads": True, "selling_partner": False}
    assert admin(server, "revoke", {"api": "both"}).status_code == 400
    assert admin(server, "nothing").status_code == 404


def test_requests_are_counted_and_creates_listed(server: Server) -> None:
    ads, selling = Ads(server), Selling(server)
    created = ads.create(days_ago(3), days_ago(2)).json()["reportId"]
    ads.create(days_ago(3), columns=["nothing"])
    selling.create(SALES_AND_TRAFFIC, "ATVPDKIKX0DER", days_ago(4), days_ago(4))
    reported = admin(server, "requests").json()
    assert reported["counts"] == {"token": 2, "create_report": 2, "sp_create": 1}
    assert reported["answers"]["create_report"] == {"200": 1, "400": 1}
    assert reported["creates"][0] == {
        "operation": "create_report",
        "scope": US,
        "report_type": "spCampaigns",
        "start": days_ago(3),
        "end": days_ago(2),
        "at": "2026-11-20T18:00:00+00:00",
        "answer": "200",
        "report_id": created,
    }
    assert [c["scope"] for c in reported["creates"]] == [US, US, "ATVPDKIKX0DER"]
    assert [r["id"] for r in admin(server, "reports").json()["ads"]] == [created]


def test_truth_is_what_an_old_date_says(server: Server) -> None:
    columns = ["date", "campaignId", "clicks", "sales14d"]
    asked = {"profile": US, "report_type": "spCampaigns", "group_by": "campaign", "columns": ",".join(columns)}
    truth = HTTP.get(f"{server.url}/_admin/truth", params={**asked, "date": days_ago(50)}).json()
    reported = Ads(server).report(days_ago(50), columns=columns)
    assert sorted(reported, key=lambda row: row["campaignId"]) == sorted(truth, key=lambda row: row["campaignId"])
    asked = {"marketplace": "ATVPDKIKX0DER", "report_type": SALES_AND_TRAFFIC, "date": days_ago(50)}
    assert HTTP.get(f"{server.url}/_admin/truth", params=asked).json()["salesAndTrafficByAsin"]
    assert HTTP.get(f"{server.url}/_admin/truth").status_code == 400
    for unknown in ({"marketplace": "ATVPD"}, {"profile": "1", "columns": "clicks"}):
        answered = HTTP.get(f"{server.url}/_admin/truth", params={**asked, **unknown})
        assert (answered.status_code, "; known are " in answered.json()["error"]) == (400, True)


def test_other_host_names_are_refused(server: Server) -> None:
    assert HTTP.get(f"{server.url}/_admin/clock", headers={"Host": "example.com"}).status_code == 403
