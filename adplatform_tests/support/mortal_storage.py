"""Dagster's event log on SQLite, of a process that is killed as soon as it has stored a given event."""

import os
import signal
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage

DIES_AFTER = "DIES_AFTER"
"""The variable that says after which event: its type, and which of that type of the process, counted from 1."""
CONFIG = """\
telemetry: {enabled: false}
event_log_storage:
  module: adplatform_tests.support.mortal_storage
  class: MortalStorage
  config: {base_dir: BASE}
"""


class MortalStorage(SqliteEventLogStorage):
    seen = 0

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "MortalStorage":
        return cls(inst_data=inst_data, **config_value)

    def store_event(self, event: Any) -> None:
        super().store_event(event)
        kind, _, number = os.environ.get(DIES_AFTER, ":").partition(":")
        if event.dagster_event is not None and event.dagster_event.event_type_value == kind:
            MortalStorage.seen += 1
            if MortalStorage.seen == int(number or 1):
                os.kill(os.getpid(), signal.SIGKILL)


def prepare(home: Path) -> None:
    """A Dagster home whose instance uses it."""
    folder = home / "dagster"
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(CONFIG.replace("BASE", str(folder / "history")), encoding="utf-8")
