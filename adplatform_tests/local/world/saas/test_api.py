"""The API over HTTP: logging in, queries, limits, faults, and the server's own API."""

import json
from typing import Any

import httpx
import pytest

from adplatform.local.world.saas.faults import AT_ANY_REQUEST, KINDS, OPERATIONS
from adplatform.local.world.saas.server import Server
from adplatform.local.world.saas.world import World
from adplatform_tests.local.world.saas.support import API, HTTP, NOW, Crm, login, refusal


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "unknown"}, "invalid_client_id"),
        ({"refresh_token": "other"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
    ],
)
def test_wrong_logins(server: Server, changed: dict[str, str], error: str) -> None:
    answer = login(server.url, **changed)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_ways_to_log_in(server: Server) -> None:
    assert login(server.url).json()["instance_url"] == server.url
    for changed in (
        {"grant_type": "client_credentials", "refresh_token": ""},
        {"client_id": "aws-managed-appflow", "client_secret": ""},
    ):
        assert Crm(server.url, login(server.url, **changed).json()["access_token"]).get(f"{API}/limits").is_success


def test_tokens_end_with_time_and_with_the_permission(crm: Crm, world: World) -> None:
    assert crm.get(f"{API}/limits").status_code == 200
    world.clock.advance(7200)
    assert refusal(crm.get(f"{API}/limits")) == (401, "INVALID_SESSION_ID")
    crm.token = ""
    assert crm.get(f"{API}/limits").status_code == 200
    assert crm.admin("revoke", {}) == {"revoked": True}
    assert refusal(crm.get(f"{API}/limits")) == (401, "INVALID_SESSION_ID")
    assert login(crm.url).json()["error"] == "invalid_grant"
    crm.admin("revoke", {"revoked": False})
    crm.token = ""
    assert crm.get(f"{API}/limits").status_code == 200
    assert crm.admin("expire_tokens", {}) == {"expired": 1}
    assert refusal(crm.get(f"{API}/limits")) == (401, "INVALID_SESSION_ID")


def test_query_gives_the_truth_page_by_page(crm: Crm) -> None:
    truth = [{"Id": r["Id"], "Email": r["Email"]} for r in crm.truth("Contact")]
    assert len(truth) > 50
    assert crm.records("SELECT Id, Email FROM Contact", size=7) == truth
    with_deleted = [r["Id"] for r in crm.truth("Contact", deleted="true")]
    assert [r["Id"] for r in crm.records("SELECT Id FROM Contact", everything=True)] == with_deleted
    assert len(with_deleted) > len(truth)
    assert crm.query("SELECT count() FROM Contact").json() == {"totalSize": len(truth), "done": True, "records": []}


def test_pages_show_one_instant(crm: Crm, world: World) -> None:
    world.set(token_seconds=10**6)
    before = [r["Id"] for r in crm.truth("Lead")]
    page = crm.query("SELECT Id FROM Lead", headers={"Sforce-Query-Options": "batchSize=10"}).json()
    found = page["records"]
    while not page["done"]:
        world.clock.advance(6 * 3600)
        page = crm.get(page["nextRecordsUrl"]).json()
        found += page["records"]
    assert [r["Id"] for r in found] == before
    assert [r["Id"] for r in crm.truth("Lead")] != before


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ("Status = 'Working - Contacted'", lambda r: r["Status"] == "Working - Contacted"),
        ("Status != 'Working - Contacted'", lambda r: r["Status"] != "Working - Contacted"),
        ("Status IN ('x', 'Closed - Converted')", lambda r: r["Status"] == "Closed - Converted"),
        ("Phone = null", lambda r: r["Phone"] is None),
        ("IsConverted = true AND Phone != null", lambda r: r["IsConverted"] and r["Phone"]),
        (r"LastName LIKE 'O\'N%'", lambda r: r["LastName"] == "O'Neil"),
        (
            "SystemModstamp >= 2026-11-10T00:00:00Z AND SystemModstamp < 2026-11-12T12:00:00.000+00:00",
            lambda r: "2026-11-10" <= r["SystemModstamp"] < "2026-11-12T12:00:00",
        ),
        ("CreatedDate > 2026-11-18T00:00:00Z", lambda r: r["CreatedDate"] > "2026-11-18"),
    ],
)
def test_conditions(crm: Crm, where: str, keeps: Any) -> None:
    truth = crm.truth("Lead")
    expected = [r["Id"] for r in truth if keeps(r)]
    assert 0 < len(expected) < len(truth)
    assert [r["Id"] for r in crm.records(f"SELECT Id FROM Lead WHERE {where}")] == expected


def test_order_and_limit(crm: Crm) -> None:
    amounts = sorted((r["Amount"] for r in crm.truth("Opportunity") if r["Amount"] is not None), reverse=True)
    asked = "SELECT Amount FROM Opportunity WHERE Amount >= 0.5 ORDER BY Amount DESC LIMIT 5"
    assert [r["Amount"] for r in crm.records(asked)] == amounts[:5]
    assert len(crm.records("select Id from Opportunity order by CloseDate asc limit 3")) == 3


@pytest.mark.parametrize(
    ("soql", "error"),
    [
        ("SELECT Nothing FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Nothing = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT FROM Contact WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Id ~ 'a'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Id = maybe", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Id", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact OR", "MALFORMED_QUERY"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_queries_that_are_refused(crm: Crm, soql: str, error: str) -> None:
    assert refusal(crm.query(soql)) == (400, error)


def test_paths_and_objects_that_are_not_there(crm: Crm) -> None:
    assert refusal(crm.get(f"{API}/query/01gnone-1")) == (400, "INVALID_QUERY_LOCATOR")
    assert refusal(crm.get(f"{API}/sobjects/Nothing/describe")) == (404, "NOT_FOUND")
    assert refusal(crm.get(f"{API}/nothing")) == (404, "NOT_FOUND")
    assert refusal(HTTP.get(f"{crm.url}{API}/limits", headers={"Host": "crm.example"})) == (403, "FORBIDDEN")


def test_fields_vanish_and_appear(crm: Crm) -> None:
    def types() -> dict[str, str]:
        described = crm.get(f"{API}/sobjects/Contact/describe").json()
        return {field["name"]: field["type"] for field in described["fields"]}

    assert types()["Email"] == "email"
    crm.admin("fields", {"object": "Contact", "remove": "Title"})
    crm.admin("fields", {"object": "Contact", "add": "Score__c", "type": "double"})
    assert "Title" not in types()
    assert types()["Score__c"] == "double"
    assert refusal(crm.query("SELECT Id, Title FROM Contact")) == (400, "INVALID_FIELD")
    truth = [{"Score__c": r["Score__c"]} for r in crm.truth("Contact")]
    assert crm.records("SELECT Score__c FROM Contact") == truth
    assert all(isinstance(r["Score__c"], float) for r in truth)
    crm.admin("fields", {"object": "Contact", "add": "Title"})
    assert types()["Title"] == "string"
    assert "no field 'Nothing'" in crm.admin("fields", {"object": "Contact", "remove": "Nothing"})["error"]
    names = [entity["name"] for entity in crm.get(f"{API}/sobjects").json()["sobjects"]]
    assert {"Account", "Contact", "Lead", "Opportunity", "Campaign", "CampaignMember"} == set(names)


def test_truth_of_an_instant(crm: Crm, world: World) -> None:
    now = crm.truth("Campaign")
    world.clock.advance(20 * 86_400)
    assert crm.truth("Campaign", at=NOW.isoformat()) == now
    assert crm.truth("Campaign") != now
    assert "there is no object" in crm.admin("truth", object="Nothing")["error"]


def test_requests_of_a_day_are_limited(crm: Crm, world: World) -> None:
    crm.admin("settings", {"daily_requests": 2})
    assert [crm.get(f"{API}/limits").status_code for _ in range(2)] == [200, 200]
    assert refusal(crm.get(f"{API}/limits")) == (403, "REQUEST_LIMIT_EXCEEDED")
    world.clock.advance(6 * 3600)
    crm.token = ""
    answer = crm.get(f"{API}/limits")
    assert answer.json()["DailyApiRequests"] == {"Max": 2, "Remaining": 1}
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/2"


def test_requests_of_a_second_are_limited(crm: Crm, world: World) -> None:
    world.set(requests_per_second=2)
    assert [crm.get(f"{API}/limits").status_code for _ in range(2)] == [200, 200]
    answer = crm.get(f"{API}/limits")
    assert refusal(answer) == (429, "TOO_MANY_REQUESTS")
    assert answer.headers["Retry-After"] == "1"
    world.clock.advance(1)
    assert crm.get(f"{API}/limits").status_code == 200


def first_id(crm: Crm) -> str:
    found: str = crm.query("SELECT Id FROM Contact").json()["records"][0]["Id"]
    return found


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("throttle", (429, "TOO_MANY_REQUESTS")),
        ("server_error", (500, "UNKNOWN_EXCEPTION")),
        ("unavailable", (503, "SERVER_UNAVAILABLE")),
        ("expired_session", (401, "INVALID_SESSION_ID")),
        ("forbidden", (403, "INSUFFICIENT_ACCESS")),
        ("over_budget", (403, "REQUEST_LIMIT_EXCEEDED")),
    ],
)
def test_faults_show_once(crm: Crm, world: World, fault: str, shown: tuple[int, str]) -> None:
    world.fault("query", fault, match={"object": "Contact"})
    assert crm.query("SELECT Id FROM Account").status_code == 200
    assert refusal(crm.query("SELECT Id FROM Contact")) == shown
    assert first_id(crm)
    assert world.faults.pending() == []


@pytest.mark.parametrize("fault", ["drop", "truncate"])
def test_connections_end(crm: Crm, world: World, fault: str) -> None:
    first_id(crm)
    world.fault("query", fault)
    with pytest.raises(httpx.TransportError):
        crm.query("SELECT Id FROM Contact")
    assert first_id(crm)


@pytest.mark.parametrize("fault", ["invalid_grant", "invalid_client"])
def test_logins_fail(server: Server, world: World, fault: str) -> None:
    world.fault("token", fault)
    assert login(server.url).json()["error"] == fault
    assert login(server.url).status_code == 200


def test_faults_of_one_operation(crm: Crm, world: World) -> None:
    world.fault("query", "empty")
    assert crm.query("SELECT Id FROM Contact").json() == {"totalSize": 0, "done": True, "records": []}
    options = {"headers": {"Sforce-Query-Options": "batchSize=5"}}
    page = crm.query("SELECT Id FROM Contact", **options).json()
    world.fault("more", "duplicate")
    following = crm.get(page["nextRecordsUrl"]).json()
    assert following["records"][0] == page["records"][-1]
    world.fault("more", "lost_cursor")
    assert refusal(crm.get(page["nextRecordsUrl"])) == (400, "INVALID_QUERY_LOCATOR")
    world.fault("describe", "slow", seconds=3)
    assert crm.get(f"{API}/sobjects/Contact/describe").status_code == 200
    assert world.sleep.__self__ == [3]  # type: ignore[attr-defined]


def test_the_index_names_every_call_setting_and_fault(crm: Crm) -> None:
    index = HTTP.get(f"{crm.url}/_admin").json()
    assert set(index["faults"]) == set(OPERATIONS)
    assert {fault for faults in index["faults"].values() for fault in faults} == set(KINDS)
    assert {"GET clock", "POST clock", "POST faults", "GET truth", "POST fields"} < set(index["calls"])
    assert index["settings"] == crm.admin("settings")
    assert set(AT_ANY_REQUEST) < set(index["faults"]["query"]) | set(index["faults"]["token"])
    assert "no fault 'nothing'" in crm.admin("faults", {"operation": "query", "fault": "nothing"})["error"]
    assert "unknown setting size" in crm.admin("settings", {"size": 1})["error"]


def test_requests_are_counted(crm: Crm) -> None:
    crm.query("SELECT Id FROM Contact")
    crm.query("SELECT Id FROM Nothing")
    counted = crm.admin("requests")
    assert counted["counts"] == {"token": 1, "query": 2}
    assert counted["answers"] == {"token 200": 1, "query 200": 1, "query 400": 1}
    assert json.loads(json.dumps(counted))["today"] == 2
