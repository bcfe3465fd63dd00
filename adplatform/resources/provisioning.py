"""What the declared sources need and does not exist yet, in AWS or in the embedded one."""

import json
from collections.abc import Sequence

from adplatform.engines.pattern import EngineFiles
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.endpoint import SIMULATED_URL
from adplatform.patterns import of_kind


def provision_patterns(services: Services, patterns: Sequence[Pattern]) -> None:
    """Buckets, ledger, topics, hashing key, queues, and the flows that are declared.

    Raises:
        PermanentFailure: a source is simulated outside local mode, or AWS refuses something.
    """
    provision(services, [pattern.source for pattern in patterns])
    for pattern in of_kind(list(patterns), EngineFiles):
        if pattern.simulated is not None:
            if services.settings.env == "aws":
                raise PermanentFailure(f"{pattern.source.name} is simulated, which only the local mode can be")
            make = _replicate if pattern.replicates else _connect
            make(services, pattern)
        pattern.provision(services)


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


def elsewhere(source: str) -> str:
    """The bucket that stands for another cloud on the embedded AWS."""
    return f"elsewhere-{source.replace('_', '-')}"


def _replicate(services: Services, pattern: EngineFiles) -> None:
    """A task that copies a bucket of the embedded AWS in the place of another cloud's."""
    client, name = services.aws.client("datasync"), str(pattern.simulated)
    pages = client.get_paginator("list_tasks").paginate()
    if any(task.get("Name") == name for page in pages for task in page["Tasks"]):
        return
    other = elsewhere(pattern.source.name)
    reports = f"{other}-reports"
    for bucket in (other, reports):
        services.s3.create_bucket(Bucket=bucket)
    access = {"BucketAccessRoleArn": f"arn:aws:iam::{services.account}:role/datasync"}

    def location(bucket: str, prefix: str) -> str:
        made = client.create_location_s3(S3BucketArn=f"arn:aws:s3:::{bucket}", Subdirectory=prefix, S3Config=access)
        return str(made["LocationArn"])

    client.create_task(
        Name=name,
        SourceLocationArn=location(other, ""),
        DestinationLocationArn=location(services.zones.raw_bucket, pattern.source.prefix),
        TaskMode="ENHANCED",
        TaskReportConfig={
            "Destination": {"S3": {"S3BucketArn": f"arn:aws:s3:::{reports}", "Subdirectory": "reports", **access}},
            "OutputType": "STANDARD",
            "ReportLevel": "SUCCESSES_AND_ERRORS",
            "ObjectVersionIds": "INCLUDE",
        },
    )
