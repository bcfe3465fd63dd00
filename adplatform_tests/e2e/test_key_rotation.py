"""Another hashing key, seen in Dagster and brought to all tables from the command line."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.flow.rotations import JOINED, MEMBERS, PURCHASES, Club, members, purchases
from adplatform_tests.support.platforms import TODAY, YESTERDAY, Platform, make_platform
from adplatform_tests.support.projects import Project

CLUB = {"source": "club", "feeds": [MEMBERS, PURCHASES]}


@pytest.fixture
def platform(services: Services, instance: dg.DagsterInstance) -> Platform:
    return make_platform(services, CLUB, instance)


def test_a_date_under_a_key_that_others_have_not_is_a_warning_in_dagster_and_slices_of_two_keys_are_refused(
    platform: Platform,
) -> None:
    services, before = platform.services, YESTERDAY - timedelta(days=1)
    platform.put(f"members/dt={before}/part.csv", members(("de", "ann", 1)))
    platform.put(f"purchases/dt={before}/part.csv", purchases(("ann", "1.00")))
    first = platform.process()
    assert all(check.passed for result in first for check in result.get_asset_check_evaluations())
    services.secrets.put_secret_value(SecretId=services.settings.hash_key_secret, SecretBinary=bytes(range(40)))
    platform.put(f"members/dt={YESTERDAY}/part.csv", members(("de", "ann", 2)))
    platform.put(f"purchases/dt={YESTERDAY}/part.csv", purchases(("ann", "2.00")))
    by_feed = {result.dagster_run.tags["adplatform/feed"]: result for result in map(platform.run, platform.tick())}
    refused = by_feed["club/members"]
    assert not refused.success
    assert "`adplatform keys rotate`" in platform.delivery("members").error
    published = by_feed["club/purchases"]
    assert published.success
    [warning] = [c for c in published.get_asset_check_evaluations() if not c.passed]
    assert (warning.check_name, warning.severity) == ("one_hashing_key", dg.AssetCheckSeverity.WARN)
    assert "`adplatform keys rotate`" in (warning.description or "")
    assert platform.query("select count(*) from {members}") == [(1,)]


@pytest.mark.slow
def test_the_command_plans_rotates_and_shows_what_is_under_which_key(services: Services, tmp_path: Path) -> None:
    project = Project.copy(tmp_path, services, source="club", feeds=[MEMBERS, PURCHASES])
    club = Club(services, project.source)
    provision(services, [club.source])
    club.put("members", TODAY, members(("de", "ann", 1), ("fr", "eve", 1)))
    club.put("purchases", TODAY, purchases(("ann", "1.00"), ("eve", "2.00")))
    club.process()
    joined, before = club.query(JOINED), club.key_id
    planned = project.run("keys", "rotate", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert "as a whole" in planned.stdout
    assert "one by one" in planned.stdout
    assert (club.key_id, club.keys("members")) == (before, {before})
    rotated = project.run("keys", "rotate", "--dual", "30d")
    assert rotated.returncode == 0, rotated.stdout + rotated.stderr
    assert "2 deliveries were made again" in rotated.stdout
    assert club.query(JOINED) == joined
    assert club.keys("members") == club.keys("purchases") == {club.key_id} != {before}
    shown = project.run("keys")
    assert shown.returncode == 0, shown.stderr
    assert "club/members" in shown.stdout
    assert "joins with the others are wrong" not in shown.stdout
    early = project.run("keys", "retire")
    assert early.returncode == 1
    assert "--now" in early.stderr
