"""The Dagster instance of a laptop."""

from pathlib import Path

import dagster as dg
import yaml

from adplatform.components.assembly.held_runs import LIMIT
from adplatform.local.dagster_home import CONFIG, EARLIER, prepare_dagster_home

DEPLOYED = Path(__file__).parents[2] / "deploy" / "dagster.yaml"


def test_backfills_can_wait_on_a_laptop_and_where_it_is_deployed(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert [dict(limit) for limit in queue.tag_concurrency_limits] == [dict(LIMIT)]
    deployed = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))
    assert dict(LIMIT) in deployed["concurrency"]["runs"]["tag_concurrency_limits"]


def test_a_configuration_of_before_is_brought_up_to_date_and_ones_own_is_left(tmp_path: Path) -> None:
    config = prepare_dagster_home(tmp_path) / "dagster.yaml"
    config.write_text(EARLIER, encoding="utf-8")
    prepare_dagster_home(tmp_path)
    assert config.read_text(encoding="utf-8") == CONFIG
    assert yaml.safe_load(EARLIER)["concurrency"]["runs"] == {"max_concurrent_runs": 2}
    config.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    prepare_dagster_home(tmp_path)
    assert config.read_text(encoding="utf-8") == "telemetry: {enabled: true}\n"
