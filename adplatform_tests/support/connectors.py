"""SFTP connectors of the embedded AWS: their making, what they transfer, and the events about them."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import administer
from adplatform_tests.support.sftp_host import SftpHost
from adplatform_tests.support.waiting import turns

ROLE = "arn:aws:iam::123456789012:role/transfer"
ENDED = {"COMPLETED", "FAILED"}


def make_secret(aws: Aws, **members: str) -> str:
    """The ARN of a secret with these members."""
    name = f"sftp-{uuid.uuid4().hex[:12]}"
    created = aws.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(members))
    return str(created["ARN"])


def make_connector(aws: Aws, host: SftpHost, **config: Any) -> str:
    """The id of a connector that trusts every host key of the host and logs in with its key. ``config`` goes to
    SftpConfig."""
    config.setdefault("UserSecretId", make_secret(aws, Username=host.user, PrivateKey=host.private_key))
    config.setdefault("TrustedHostKeys", list(host.host_keys))
    created = aws.client("transfer").create_connector(
        Url=f"sftp://{host.host}:{host.port}", AccessRole=ROLE, SftpConfig=config
    )
    return str(created["ConnectorId"])


def retrieve(aws: Aws, connector: str, directory: str, *paths: str) -> dict[str, dict[str, Any]]:
    """Transfers files and waits for the end; the results by path."""
    started = aws.client("transfer").start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=list(paths), LocalDirectoryPath=directory
    )
    return wait_for_transfer(aws, connector, started["TransferId"])


def wait_for_transfer(aws: Aws, connector: str, transfer: str, *, seconds: float = 60.0) -> dict[str, dict[str, Any]]:
    """The results of a transfer by path, once every file has ended."""
    for _ in turns(seconds):
        found = results(aws, connector, transfer)
        if all(each["StatusCode"] in ENDED for each in found.values()):
            return found
    raise TimeoutError(f"{transfer} of {connector} goes on: {found}")


def results(aws: Aws, connector: str, transfer: str) -> dict[str, dict[str, Any]]:
    client = aws.client("transfer")
    pages = client.get_paginator("list_file_transfer_results").paginate(ConnectorId=connector, TransferId=transfer)
    return {each["FilePath"]: each for page in pages for each in page["FileTransferResults"]}


def events_of(aws: Aws, connector: str) -> Callable[[int], list[dict[str, Any]]]:
    """As :func:`events_about`, of a connector."""
    return events_about(aws, aws.client("transfer").describe_connector(ConnectorId=connector)["Connector"]["Arn"])


def events_about(aws: Aws, arn: str) -> Callable[[int], list[dict[str, Any]]]:
    """Waits for a number of events about a connector or a server that were sent since this call, and takes all there
    are then."""
    sqs, events, name = aws.client("sqs"), aws.client("events"), f"q-{uuid.uuid4().hex[:12]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    target = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.transfer"], "resources": [arn]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": target}])

    def taken(count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for _ in turns(20):
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            if not messages and len(found) >= count:
                break
        return found

    return taken


def order_connector_fault(aws: Aws, name: str, connector: str, **settings: Any) -> None:
    """The next time that it can, ``name`` of ``adplatform.local.aws.transfer.faults`` happens to the connector."""
    administer(aws, fault={"service": "transfer", "name": name, "target": connector, **settings})
