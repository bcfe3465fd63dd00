"""What the declared sources need and does not exist yet, in AWS or in the embedded one."""

import json
from collections.abc import Sequence
from contextlib import suppress

from adplatform.engines.changes import ChangedFiles
from adplatform.engines.crawls import provide_crawlers
from adplatform.engines.declared_replications import provide as provide_replication
from adplatform.engines.declared_tasks import DeclaredTask
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp.server import UploadedFiles, require_agreement
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import events_to_queue, provision
from adplatform.flow.services import Services
from adplatform.local.functions import environment_of, make_function
from adplatform.local.world.host import endpoint as host
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.endpoint import SIMULATED_URL
from adplatform.local.world.shop.endpoint import DATABASE, READER, READER_PASSWORD, SIMULATED_HOST
from adplatform.patterns import of_kind

HANDLERS = "adplatform.engines.sftp.transfer_workflow"
"""Where the handlers of managed workflows are."""
_SHOP = {
    "ServerName": SIMULATED_HOST,
    "Port": 5432,
    "DatabaseName": DATABASE,
    "Username": READER,
    "Password": READER_PASSWORD,
}
"""Where the simulated shop is, as an endpoint of DMS says it; what that takes is no secret."""


def provision_patterns(services: Services, patterns: Sequence[Pattern]) -> list[str]:
    """Buckets, ledger, topics, hashing key, queues, and the flows, tasks and crawlers that are declared. Sentences on
    lifecycle rules that were others than declared.

    Raises:
        PermanentFailure: a source is simulated outside local mode, or AWS refuses something.
    """
    differences = provision(services, [pattern.source for pattern in patterns])
    for pattern in of_kind(list(patterns), EngineFiles):
        task = pattern.task(services)
        simulated = task is not None and task.simulated
        replication = pattern.replication(services) if isinstance(pattern, ChangedFiles) else None
        connections = (pattern.simulated, pattern.simulated_database, pattern.simulated_host, replication)
        if (simulated or any(connections)) and services.settings.env == "aws":
            raise PermanentFailure(f"{pattern.source.name} is simulated, which only the local mode can be")
        if pattern.simulated is not None:
            _connect(services, pattern)
        if pattern.simulated_database is not None:
            _connect_shop(services, pattern.simulated_database)
        if pattern.simulated_host is not None:
            _connect_host(services, pattern.simulated_host)
        if task is not None and simulated:
            _simulate(services, task)
        if replication is not None:
            provide_replication(services.aws.client("dms"), replication, _SHOP)
        pattern.provision(services)
        if pattern.events:
            events_to_queue(services, pattern.reported_to, pattern.events)
    uploaded = of_kind(list(patterns), UploadedFiles)
    require_agreement((each.source.name, each.server) for each in uploaded)
    for taken in uploaded:
        taken.provision(services)
        if services.settings.env == "local":
            _connect_functions(services, taken)
    for each in patterns:
        provide_crawlers(services, each.source)
    return differences


def _connect_functions(services: Services, pattern: UploadedFiles) -> None:
    """The handlers of this installation in the place of the Lambda functions that a workflow calls."""
    workflow, declared = pattern.server.workflow, pattern.declared(services)
    if workflow is None or services.aws.endpoint_url is None:
        return
    handlers = {
        workflow.function: "custom_step",
        workflow.partial_function: "partial_step",
        workflow.exception_function: "exception_step",
    }
    environment = environment_of(services.settings)
    for name, handler in handlers.items():
        arn, timeout = declared.function(name), workflow.timeout.total_seconds()
        make_function(services.aws.endpoint_url, arn, f"{HANDLERS}:{handler}", environment, timeout)


def _connect(services: Services, pattern: EngineFiles) -> None:
    """A connection to the simulated CRM; what that takes is no secret."""
    connection = str(pattern.simulated)
    client = services.aws.client("appflow")
    if client.describe_connector_profiles(connectorProfileNames=[connection])["connectorProfileDetails"]:
        return
    app = {"client_id": DEMO_APP.client_id, "client_secret": DEMO_APP.client_secret}
    name = f"appflow/{connection}"
    try:
        arn = services.secrets.create_secret(Name=name, SecretString=json.dumps(app))["ARN"]
    except services.secrets.exceptions.ResourceExistsException:
        arn = services.secrets.describe_secret(SecretId=name)["ARN"]
    credentials = {"refreshToken": DEMO_APP.refresh_token, "clientCredentialsArn": arn}
    client.create_connector_profile(
        connectorProfileName=connection,
        connectorType="Salesforce",
        connectionMode="Public",
        connectorProfileConfig={
            "connectorProfileProperties": {"Salesforce": {"instanceUrl": SIMULATED_URL}},
            "connectorProfileCredentials": {"Salesforce": credentials},
        },
    )


def _connect_shop(services: Services, secret: str) -> None:
    """A secret that is read as one with the address and the credentials of the simulated shop."""
    reader = {"username": READER, "password": READER_PASSWORD, "dbname": DATABASE}
    text = json.dumps({"engine": "postgres", "host": SIMULATED_HOST, "port": 5432, **reader})
    with suppress(services.secrets.exceptions.ResourceExistsException):
        services.secrets.create_secret(Name=secret, SecretString=text)


def _connect_host(services: Services, secret: str) -> None:
    """A secret that is read as one with the address and the credentials of the simulated SFTP host."""
    text = json.dumps({"host": host.SIMULATED_HOST, "Username": host.USER, "Password": host.PASSWORD})
    with suppress(services.secrets.exceptions.ResourceExistsException):
        services.secrets.create_secret(Name=secret, SecretString=text)


def _simulate(services: Services, task: DeclaredTask) -> None:
    """A bucket of the embedded AWS in the place of another cloud's, and a key for it, which opens nothing."""
    try:
        services.s3.head_bucket(Bucket=task.store_bucket)
    except services.s3.exceptions.ClientError:
        services.s3.create_bucket(Bucket=task.store_bucket)
    if secret := getattr(task.store, "secret", None):
        key = {"access_key": "GOOGSIMULATED", "secret_key": "simulated"}
        with suppress(services.secrets.exceptions.ResourceExistsException):
            services.secrets.create_secret(Name=secret, SecretString=json.dumps(key))
