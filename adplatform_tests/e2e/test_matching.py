"""From a partner's files to persons: a published list of members is registered with Entity Resolution, and matched."""

from typing import Any

import dagster as dg

from adplatform.consumers.registration.registered import Clients, declared, registered
from adplatform.consumers.registration.resource import place_of
from adplatform.flow.fitness import consumed_table
from adplatform.flow.services import Services
from adplatform_tests.support.matching import results, run_job
from adplatform_tests.support.platforms import YESTERDAY, make_platform

MEMBERS: dict[str, Any] = {
    "name": "members",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {
        "member_id": {"required": True, "pii": {"kind": "generic_id", "treatment": ["lake", "short_id"]}},
        "email": {"pii": "email"},
        "phone": {"pii": {"kind": "phone", "treatment": "lake", "country": "DE"}},
    },
    "key": "member_id",
    "partition_by": None,
    "consumers": {
        "entity_resolution": {
            "unique_id": "member_id_short_id",
            "columns": {"email_lake": "EMAIL_ADDRESS", "phone_lake": "PHONE_NUMBER"},
            "rules": [{"name": "by email", "match": "email_lake"}, {"name": "by phone", "match": "phone_lake"}],
        }
    },
}
BODY = (
    b"member_id,email,phone\n"
    b"1,Ann@Example.com,\n"
    b"2, ann@example.com ,+49 30 1234567\n"
    b"3,,030 1234567\n"
    b"4,bob@example.com,\n"
    b"5,,\n"
)


def test_members_who_are_spelled_otherwise_are_one_person(services: Services, instance: dg.DagsterInstance) -> None:
    platform = make_platform(services, {"source": "acme", "feeds": [MEMBERS]}, instance)
    platform.put(f"members/dt={YESTERDAY}/members.csv", BODY)
    platform.put(f"members/dt={YESTERDAY}/_SUCCESS", b"")
    [run] = platform.process()
    assert run.success
    table = consumed_table(platform.flow("members"), services.settings.database_prefix)
    assert table is not None
    place = place_of(services.settings, services.account)
    known = declared([table], place, lambda each: services.lake.catalog.table(each) is not None)
    made = list(registered(Clients(services.aws), known.wanted))
    assert [each.failure for each in made] == ["", ""]
    workflow = made[1].change.wanted.name
    job = run_job(services.aws, workflow)
    assert (job["status"], job["metrics"]["inputRecords"], job["metrics"]["matchIDs"]) == ("SUCCEEDED", 5, 3)
    path = "matches/acme/members/"
    rows = results(services.aws, services.zones.raw_bucket, workflow, job["jobId"], path=path)
    assert {tuple(row) for row in rows} == {
        ("InputSourceARN", "ConfidenceLevel", "member_id_short_id", "MatchRule", "MatchID")
    }
    persons = {row["member_id_short_id"]: row["MatchID"] for row in rows}
    found = platform.query("select member_id_short_id, email_lake, phone_lake from {members}")
    by_email = {digest: [i for i, e, _ in found if e == digest] for _, digest, _ in found if digest}
    by_phone = {digest: [i for i, _, p in found if p == digest] for _, _, digest in found if digest}
    assert sorted(len(ids) for ids in by_email.values()) == [1, 2]
    assert [len(ids) for ids in by_phone.values()] == [2]
    for ids in (*by_email.values(), *by_phone.values()):
        assert len({persons[id] for id in ids}) == 1
