"""Handlers of Lambda functions for tests of managed workflows. Each notes its event below ``calls/`` of ``BUCKET``."""

import json
import os
import time
import uuid
from typing import Any

import boto3

from adplatform.engines.sftp.transfer_workflow import checked, clients_of, step_of, with_answer
from adplatform.ledger.uploads import Finding


def succeeds(event: dict[str, Any], context: object) -> None:
    _note(event)
    _answer(event, "SUCCESS")


def succeeds_later(event: dict[str, Any], context: object) -> None:
    _note(event)
    time.sleep(float(os.environ["SECONDS"]))
    _answer(event, "SUCCESS")


def fails(event: dict[str, Any], context: object) -> None:
    _note(event)
    _answer(event, "FAILURE")


def never_answers(event: dict[str, Any], context: object) -> None:
    _note(event)


def replaces(event: dict[str, Any], context: object) -> None:
    """The partner's next upload comes while the function is at work."""
    _note(event)
    file = event["fileLocation"]
    boto3.client("s3").put_object(Bucket=file["bucket"], Key=file["key"], Body=b"another")
    _answer(event, "SUCCESS")


def dies_at_first(event: dict[str, Any], context: object) -> None:
    _note(event)
    found = boto3.client("s3").list_objects_v2(Bucket=os.environ["BUCKET"], Prefix="calls/")
    if found["KeyCount"] == 1:
        os._exit(1)
    _answer(event, "SUCCESS")


def checks_and_dies_at_first(event: dict[str, Any], context: Any) -> None:
    """The function of the platform, which dies between what it notes and its answer when it is first called."""
    step, clients = step_of(event), clients_of(context.invoked_function_arn)
    known = clients.ledger.uploads.get(step.source, step.execution)
    upload = checked(clients, step, lambda: 60.0)
    if known is None:
        os._exit(1)
    with_answer(clients, step, context, lambda _: upload.finding is Finding.CHECKED)


def _note(event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=f"calls/{time.time():.6f}-{uuid.uuid4()}", Body=body)


def _answer(event: dict[str, Any], status: str) -> None:
    execution = event["serviceMetadata"]["executionDetails"]
    boto3.client("transfer").send_workflow_step_state(
        WorkflowId=execution["workflowId"],
        ExecutionId=execution["executionId"],
        Token=event["token"],
        Status=status,
    )
