"""What a process of the production environment finds; run there by the tests, prints JSON."""

import importlib
import json
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any


def imported() -> dict[str, Any]:
    """Every module of the package, but those of the stand-ins, whose import says what is missing."""
    import adplatform  # noqa: PLC0415

    missing = {}
    for found in pkgutil.walk_packages(adplatform.__path__, "adplatform."):
        if not found.name.endswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as e:
                missing[found.name] = e.name
    return {"missing": missing, "packages": sorted({name.partition(".")[0] for name in sys.modules})}


def ran() -> dict[str, Any]:
    """A run of the instance that ``DAGSTER_HOME`` says, read back by another connection."""
    import dagster as dg  # noqa: PLC0415

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        context.log.info("worked")

    @dg.job
    def job() -> None:
        work()

    with dg.DagsterInstance.get() as instance:
        run_id = job.execute_in_process(instance=instance).run_id
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        storage: Any = instance.run_storage
        with storage.connect() as connection:
            driver = connection.engine.driver
            encrypted = connection.exec_driver_sql("select ssl from pg_stat_ssl where pid = pg_backend_pid()").scalar()
        launcher: Any = instance.run_launcher
        return {
            "status": run.status.value if run else "",
            "events": [each.user_message for each in instance.all_logs(run_id)],
            "storage": type(storage).__name__,
            "driver": driver,
            "encrypted": encrypted,
            "task_definition": launcher.task_definition,
            "limits": instance.get_concurrency_config().run_queue_config.max_concurrent_runs,  # type: ignore[union-attr]
            "schema_is_new": not [
                each
                for each in (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
                if each.alembic_version() is None  # type: ignore[attr-defined]
            ],
        }


def workspace() -> list[list[Any]]:
    """The code servers of ``workspace.yaml``."""
    from dagster._core.workspace.load import location_origins_from_yaml_paths  # noqa: PLC0415

    origins: Any = location_origins_from_yaml_paths([os.environ["WORKSPACE"]])
    return [[each.host, each.port, each.location_name] for each in origins]


if __name__ == "__main__":
    home = Path(os.environ["DAGSTER_HOME"])
    before = sorted(map(str, home.rglob("*")))
    answer = {"ran": ran(), "workspace": workspace(), "imported": imported()}
    print(json.dumps({**answer, "written": sorted(set(map(str, home.rglob("*"))) - set(before))}))
