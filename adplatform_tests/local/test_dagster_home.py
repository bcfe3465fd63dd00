"""The Dagster instance of a laptop."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from adplatform.components.assembly.held_runs import LIMIT
from adplatform.local.dagster_home import CONFIG, EARLIER, prepare_dagster_home
from adplatform.resources.run_queue import NewestFirst

DEPLOYED = Path(__file__).parents[2] / "deploy" / "dagster.yaml"


def test_backfills_can_wait_on_a_laptop_and_where_it_is_deployed(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert [dict(limit) for limit in queue.tag_concurrency_limits] == [dict(LIMIT)]
    deployed = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))
    assert dict(LIMIT) in deployed["concurrency"]["runs"]["tag_concurrency_limits"]


def test_the_queue_of_a_laptop_takes_the_newest_date_of_a_backfill_first(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        assert isinstance(instance.run_coordinator, NewestFirst)


def test_sensors_of_sources_look_at_the_same_time_on_a_laptop_and_where_it_is_deployed(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        sensors = instance.get_sensor_settings()
    assert (sensors["use_threads"], sensors["num_workers"]) == (True, 4)
    assert yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))["sensors"]["use_threads"] is True


@pytest.mark.parametrize("place", range(len(EARLIER)))
def test_a_configuration_of_before_is_brought_up_to_date_and_ones_own_is_left(tmp_path: Path, place: int) -> None:
    config = prepare_dagster_home(tmp_path) / "dagster.yaml"
    config.write_text(EARLIER[place], encoding="utf-8")
    prepare_dagster_home(tmp_path)
    assert config.read_text(encoding="utf-8") == CONFIG
    config.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    prepare_dagster_home(tmp_path)
    assert config.read_text(encoding="utf-8") == "telemetry: {enabled: true}\n"


def test_configurations_of_before_are_what_was_written_then() -> None:
    by_age, in_turns, first = map(yaml.safe_load, EARLIER)
    assert {**by_age, "run_coordinator": yaml.safe_load(CONFIG)["run_coordinator"]} == yaml.safe_load(CONFIG)
    assert in_turns.get("sensors") is first.get("sensors") is None
    assert [dict(limit) for limit in in_turns["concurrency"]["runs"]["tag_concurrency_limits"]] == [dict(LIMIT)]
    assert first["concurrency"]["runs"] == {"max_concurrent_runs": 2}
