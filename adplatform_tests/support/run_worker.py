"""A run of what is due, as Dagster's launchers start it: a process of its own, `dagster api execute_run`.

``python -m adplatform_tests.support.run_worker``, within a copy of the project, makes the runs and prints the arguments
of their workers.
"""

import json
import sys
import warnings
from datetime import timedelta

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs

from adplatform.cli.headless import declared_automations, opened
from adplatform.components.assembly import ownership
from adplatform.components.assembly.automation import Looking, look_at
from adplatform.components.assembly.runs import RUN_KEY_TAG
from adplatform.definitions import defs
from adplatform.flow.budget import UNLIMITED
from adplatform.platform.settings import read_settings
from adplatform.resources.connection import open_services
from adplatform_tests.support.projects import Project


def make_workers(project: Project) -> list[list[str]]:
    """What is to be run for what is due: `dagster` and its arguments, one list for each run."""
    made = project.run(module="adplatform_tests.support.run_worker")
    assert made.returncode == 0, made.stderr
    workers: list[list[str]] = json.loads(made.stdout.splitlines()[-1])
    return workers


def _main() -> None:
    services = open_services(read_settings())
    loaded = defs()
    pointer = ModuleCodePointer("adplatform.definitions", "defs", None)
    repository = RepositoryPythonOrigin(sys.executable, pointer, entry_point=DEFAULT_DAGSTER_ENTRY_POINT)
    workers = []
    with opened(services.settings) as instance:
        ownership.require(services.ledger, instance)
        how = Looking(UNLIMITED, None, everything=True, list_every=timedelta(0))
        requests = [
            each
            for automation in declared_automations()
            for each in look_at(automation, services, instance, how).requests
        ]
        for request in requests:
            job = loaded.resolve_implicit_global_asset_job_def()
            origin = JobPythonOrigin(job.name, repository)
            run = instance.create_run_for_job(
                job.get_subset(asset_selection=set(request.asset_selection or ())),
                tags={
                    **request.tags,
                    "dagster/partition": str(request.partition_key),
                    RUN_KEY_TAG: str(request.run_key),
                },
                asset_selection=frozenset(request.asset_selection or ()),
                status=dg.DagsterRunStatus.STARTING,
                job_code_origin=origin,
            )
            args = ExecuteRunArgs(origin, run.run_id, instance.get_ref(), set_exit_code_on_failure=True)
            workers.append(args.get_command_args())
    print(json.dumps(workers))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _main()
