"""What the embedded AWS is told of the simulated world of this machine: connections, secrets and functions."""

import json
from contextlib import suppress

from adplatform.engines.declared_tasks import DeclaredTask
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp.server import UploadedFiles
from adplatform.engines.sftp.workflow_functions import HANDLERS, environment_of, functions_of, time_of
from adplatform.flow.services import Services
from adplatform.local.functions import make_function
from adplatform.local.world.host import endpoint as host
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.endpoint import SIMULATED_URL
from adplatform.local.world.shop.endpoint import DATABASE, READER, READER_PASSWORD, SIMULATED_HOST

SHOP = {
    "ServerName": SIMULATED_HOST,
    "Port": 5432,
    "DatabaseName": DATABASE,
    "Username": READER,
    "Password": READER_PASSWORD,
}
"""Where the simulated shop is, as an endpoint of DMS says it; what that takes is no secret."""


def connect(services: Services, pattern: EngineFiles, task: DeclaredTask | None) -> None:
    """What a simulated source is reached by; ``task`` is its task where that reads a simulated store."""
    if pattern.simulated is not None:
        _connect_application(services, pattern)
    if pattern.simulated_database is not None:
        _connect_shop(services, pattern.simulated_database)
    if pattern.simulated_host is not None:
        _connect_host(services, pattern.simulated_host)
    if task is not None:
        _simulate(services, task)


def connect_functions(services: Services, pattern: UploadedFiles) -> None:
    """The handlers of this installation in the place of the Lambda functions that a workflow calls."""
    workflow, declared = pattern.server.workflow, pattern.declared(services)
    if workflow is None or services.aws.endpoint_url is None:
        return
    environment, seconds = environment_of(services.settings), time_of(workflow).total_seconds()
    for name, handler in functions_of(workflow):
        place = f"{HANDLERS}:{handler}"
        make_function(services.aws.endpoint_url, declared.function(name), place, environment, seconds)


def _connect_application(services: Services, pattern: EngineFiles) -> None:
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
