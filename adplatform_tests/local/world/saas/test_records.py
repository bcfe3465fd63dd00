"""What records there are, and that an incremental copy of them can be true."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.local.world.saas.records import BIN, Origin, identity, records
from adplatform.local.world.saas.schema import OBJECTS
from adplatform_tests.local.world.saas.support import BEGAN, NOW
from adplatform_tests.support.examples import examples

ORIGIN = Origin(seed=3, began=BEGAN)


@pytest.mark.parametrize("name", OBJECTS)
def test_records_have_the_fields_of_their_object(name: str) -> None:
    found = list(records(ORIGIN, name, NOW))
    assert len(found) == pytest.approx(OBJECTS[name].a_day * 20, rel=0.4)
    assert all(tuple(record) == tuple(field.name for field in OBJECTS[name].fields) for record in found)
    assert len({record["Id"] for record in found}) == len(found)
    assert all(record["CreatedDate"] <= record["SystemModstamp"] <= "2026-11-20T18:00:00" for record in found)
    assert Counter(record["CreatedDate"] < record["SystemModstamp"] for record in found)[True]


def test_the_same_instant_has_the_same_records_and_another_seed_others() -> None:
    def contacts(seed: int) -> list[dict[str, Any]]:
        return list(records(Origin(seed, BEGAN), "Contact", NOW))

    assert contacts(3) == contacts(3)
    assert contacts(3) != contacts(4)


def test_scale_multiplies_records() -> None:
    assert len(list(records(Origin(3, BEGAN, scale=10), "Contact", NOW))) > 1000


def test_references_lead_to_older_records() -> None:
    for name, other, field in (("Contact", "Account", "AccountId"), ("CampaignMember", "Contact", "ContactId")):
        created = {r["Id"]: r["CreatedDate"] for r in records(ORIGIN, other, NOW)}
        found = [r for r in records(ORIGIN, name, NOW) if r[field]]
        # Some of those that are referred to are deleted for good.
        known = [r for r in found if r[field] in created]
        assert len(known) > len(found) / 2
        assert all(created[r[field]] < r["CreatedDate"] for r in known)


@pytest.mark.parametrize("name", ["Contact", "Opportunity"])
def test_changes_since_an_instant_are_all_there(name: str) -> None:
    since = NOW - timedelta(hours=7)
    stamp = since.strftime("%Y-%m-%dT%H:%M:%S")
    early = Origin(3, BEGAN - timedelta(days=150))
    every = [r for r in records(early, name, NOW) if r["SystemModstamp"] >= stamp]
    fast = [r for r in records(early, name, NOW, since=since) if r["SystemModstamp"] >= stamp]
    assert fast == every
    assert every


@settings(max_examples=examples(6))
@given(st.lists(st.integers(1, 30 * 24), min_size=1, max_size=8), st.sampled_from(["Contact", "Lead", "Campaign"]))
def test_copy_by_windows_is_the_truth(hours: list[int], name: str) -> None:
    """A copy that takes what changed since its last look, deleted records included, is what there is."""
    copy: dict[str, Any] = {}
    last = datetime(2026, 11, 1, tzinfo=UTC)
    for pause in hours:
        now = last + timedelta(hours=min(pause, BIN.days * 24 - 1))
        for record in records(ORIGIN, name, now):
            if last <= datetime.fromisoformat(record["SystemModstamp"]) < now:
                copy[record["Id"]] = record
        last = now
    kept = {key: record for key, record in copy.items() if not record["IsDeleted"]}
    assert kept == {r["Id"]: r for r in records(ORIGIN, name, last - timedelta(seconds=1)) if not r["IsDeleted"]}


def test_deleted_records_leave_the_recycle_bin() -> None:
    gone = [r for r in records(ORIGIN, "Lead", NOW) if r["IsDeleted"]]
    assert gone
    later = NOW + BIN + timedelta(days=1)
    assert not {r["Id"] for r in gone} & {r["Id"] for r in records(ORIGIN, "Lead", later)}


def test_ids_say_at_their_end_which_of_their_letters_are_capitals() -> None:
    name = identity("Contact", BEGAN, 7)
    assert (len(name), name[:3]) == (18, "003")
    bits = [sum(1 << at for at, c in enumerate(name[5 * part : 5 * part + 5]) if c.isupper()) for part in range(3)]
    assert name[15:] == "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[n] for n in bits)
    assert len({identity("Contact", BEGAN + timedelta(days=d), n) for d in range(50) for n in range(50)}) == 2500


def test_persons_are_nobody() -> None:
    for record in records(ORIGIN, "Contact", NOW):
        assert record["Email"] is None or ".example." in record["Email"].lower().replace("@", ".")
        assert record["Phone"] is None or "202-555-01" in record["Phone"]
