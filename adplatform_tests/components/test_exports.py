"""Files for ad platforms in Dagster: made after their table, by the sensor of its source."""

from typing import Any

import dagster as dg
import pytest

from adplatform.components.assembly.exports import export_key
from adplatform.flow.exports import Export, exports_due, read_manifest
from adplatform.flow.services import Services
from adplatform_tests.support.platforms import YESTERDAY, make_platform

DECLARED: dict[str, Any] = {
    "source": "acme",
    "feeds": [
        {
            "name": "members",
            "start_date": "2026-01-01",
            "arrival": {"complete_when": "count", "expected_files": 1},
            "columns": {"email": {"pii": {"kind": "email", "treatment": ["meta", "google"]}}},
            "activations": ["meta", "google"],
        }
    ],
}


def test_one_run_makes_the_files_of_every_destination_after_each_publication(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = make_platform(services, DECLARED, instance)
    flow = platform.flow("members")
    platform.put(f"members/dt={YESTERDAY}/a.csv", b'email\nann@example.com\n""\n')
    published, made = platform.process()
    assert published.success
    assert made.success
    checks = {check.check_name: check.passed for check in made.get_asset_check_evaluations()}
    assert checks == {"rows_accounted": True, "files_as_listed": True}
    for destination in ("meta", "google"):
        wanted = Export(flow, destination, YESTERDAY)
        key = export_key(flow, destination)
        assert instance.get_materialized_partitions(key) == {str(YESTERDAY)}
        manifest = read_manifest(services, wanted)
        assert manifest is not None
        assert (manifest["rows"], manifest["unidentified"]) == (1, 1)
    platform.put(f"members/dt={YESTERDAY}/a.csv", b"email\nann@example.com\nbob@example.com\n")
    assert [result.success for result in platform.process()] == [True, True]
    assert platform.tick() == []


def test_an_export_is_due_until_dagster_has_recorded_it(
    services: Services, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a run that is killed before that is repeated."""
    platform = make_platform(services, DECLARED, instance)
    platform.put(f"members/dt={YESTERDAY}/a.csv", b"email\nann@example.com\n")
    (request,) = platform.tick()
    assert platform.run(request).success
    record, due = instance.handle_new_event, dict[str, set[str]]()

    def note_what_is_due(event: Any, **more: Any) -> None:
        happened = event.dagster_event
        if happened and happened.is_step_materialization:
            still = exports_due(services, [platform.flow("members")])
            due[happened.asset_key.path[1]] = {each.destination for each in still}
        record(event, **more)

    monkeypatch.setattr(instance, "handle_new_event", note_what_is_due)
    (request,) = platform.tick()
    assert platform.run(request).success
    assert due.keys() == {"meta", "google"}
    assert all(destination in still for destination, still in due.items())
    assert platform.tick() == []


def test_what_somebody_took_out_of_the_table_is_said_and_not_looked_for_at_every_tick(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = make_platform(services, DECLARED, instance)
    platform.put(f"members/dt={YESTERDAY}/a.csv", b"email\nann@example.com\n")
    (request,) = platform.tick()
    assert platform.run(request).success
    database = f"{services.settings.database_prefix}acme"
    services.glue.delete_partition(DatabaseName=database, TableName="members", PartitionValues=[str(YESTERDAY)])
    (request,) = platform.tick()
    assert not platform.run(request).success
    assert platform.tick() == []
