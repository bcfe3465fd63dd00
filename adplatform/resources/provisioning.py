"""What the declared sources need and does not exist yet, in AWS or in the embedded one."""

from collections.abc import Sequence

from adplatform.engines import declared_spark
from adplatform.engines.changes import ChangedFiles
from adplatform.engines.crawls import provide_crawlers
from adplatform.engines.declared_replications import provide as provide_replication
from adplatform.engines.declared_replications import target_request
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp.server import UploadedFiles, require_agreement
from adplatform.engines.spark_environment import put_environment
from adplatform.engines.spark_package import put_package
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import events_to_queue, is_deployed, provision
from adplatform.flow.services import Services
from adplatform.patterns import of_kind
from adplatform.platform.calls import NOBODY, acting
from adplatform.platform.extras import LOCAL, extra
from adplatform.pull.pattern import PulledReports
from adplatform.pull.stream.messages import provide_queue


@acting(NOBODY)
def provision_patterns(services: Services, patterns: Sequence[Pattern]) -> list[str]:
    """Buckets, ledger, topics, hashing key, queues, and the flows, tasks and crawlers that are declared. Sentences on
    lifecycle rules that were others than declared. Where a deployment has made all that, only what it cannot: scripts
    and packages of jobs, and keys that belong to servers of SFTP.

    Raises:
        PermanentFailure: a source is simulated outside local mode, or AWS refuses something.
    """
    if services.settings.env == "aws" and is_deployed(services):
        _fill(services, patterns)
        return []
    differences = provision(services, [pattern.source for pattern in patterns])
    for brought in of_kind(list(patterns), EngineFiles):
        _provision_engine(services, brought)
    uploaded = of_kind(list(patterns), UploadedFiles)
    require_agreement((each.source.name, each.server) for each in uploaded)
    for taken in uploaded:
        taken.provision(services)
        if services.settings.env == "local":
            with extra(LOCAL):
                from adplatform.resources import simulated_world  # noqa: PLC0415 - as above

            simulated_world.connect_functions(services, taken)
    for account in of_kind(list(patterns), PulledReports):
        if account.stream and not account.stream.declared.queue:
            provide_queue(services, account.stream)
    for each in patterns:
        provide_crawlers(services, each.source)
    if services.settings.spark:
        declared_spark.provide(services, _package(services))
    return differences


def _fill(services: Services, patterns: Sequence[Pattern]) -> None:
    """What a deployment cannot make."""
    for brought in of_kind(list(patterns), EngineFiles):
        brought.fill(services)
    for pushed in of_kind(list(patterns), UploadedFiles):
        pushed.fill(services)
    if services.settings.spark:
        declared_spark.put_script(services)
        _package(services)


def _provision_engine(services: Services, pattern: EngineFiles) -> None:
    """What an engine that brings a source's files needs.

    Raises:
        PermanentFailure: as :func:`provision_patterns`.
    """
    task = pattern.task(services)
    simulated = task is not None and task.simulated
    declared = pattern.replication(services) if isinstance(pattern, ChangedFiles) else None
    replication = declared if declared and declared.database is None else None
    connections = (pattern.simulated, pattern.simulated_database, pattern.simulated_host, replication)
    if (simulated or any(connections)) and services.settings.env == "aws":
        raise PermanentFailure(f"{pattern.source.name} is simulated, which only the local mode can be")
    if simulated or any(connections):
        with extra(LOCAL):
            from adplatform.resources import simulated_world  # noqa: PLC0415 - not everywhere

        simulated_world.connect(services, pattern, task if simulated else None)
        if replication is not None:
            shop, target = simulated_world.SHOP, target_request(replication)
            provide_replication(services.aws.client("dms"), replication, shop, target)
    pattern.provision(services)
    if pattern.events:
        events_to_queue(services, pattern.reported_to, pattern.events)


def _package(services: Services) -> str:
    """Put what runs of the job import; where the package of Glue's is, empty where somebody else makes that job."""
    settings = services.settings
    if settings.spark == "emr-serverless":
        put_environment(services)
    return put_package(services) if settings.spark == "glue" and settings.spark_role else ""
