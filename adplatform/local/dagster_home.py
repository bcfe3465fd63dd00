"""The Dagster instance of a laptop: SQLite below the platform's home, no telemetry, bounded history.

``python -m adplatform.local.dagster_home HOME`` prepares it.
"""

import sys
from pathlib import Path

from adplatform.local.access_key import private_folder

CONFIG = """\
telemetry: {enabled: false}
# Runs of backfills come behind all others, and of these the newest date first.
run_coordinator: {module: adplatform.resources.run_queue, class: NewestFirst}
nux: {enabled: false}
python_logs: {managed_python_loggers: [adplatform], python_log_level: INFO}
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      # A backfill waits here for dates that were asked for; the sensor of the source lets it go.
      - {key: adplatform/held, value: until its dates have come, limit: 0}
  pools: {default_limit: 1, granularity: run}
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 60}
# One source that has much to look at holds up no other.
sensors: {use_threads: true, num_workers: 4}
retention:
  schedule: {purge_after_days: 30}
  sensor: {purge_after_days: {skipped: 1, failure: 30, success: 7}}
"""
_BY_AGE = CONFIG.replace(CONFIG[CONFIG.index("# Runs of backfills") : CONFIG.index("nux")], "")
_IN_TURNS = _BY_AGE.replace(CONFIG[CONFIG.index("# One source") : CONFIG.index("retention")], "")
EARLIER = (
    _BY_AGE,
    _IN_TURNS,
    _IN_TURNS.replace(
        CONFIG[CONFIG.index("  runs:\n") : CONFIG.index("  pools:")], "  runs: {max_concurrent_runs: 2}\n"
    ),
)
"""The configurations before: while the runs of backfills came by their age, while sensors took turns, and before runs
could wait."""


def prepare_dagster_home(home: Path) -> Path:
    """``DAGSTER_HOME`` below ``home``, with its configuration if there is none yet, or one that nobody has changed."""
    folder = private_folder(home / "dagster")
    config = folder / "dagster.yaml"
    if not config.exists() or config.read_text(encoding="utf-8") in EARLIER:
        config.write_text(CONFIG, encoding="utf-8")
    return folder


if __name__ == "__main__":
    prepare_dagster_home(Path(sys.argv[1]))
