"""The Lambda functions of managed workflows: what they note, what they answer and whom they notify."""

import subprocess
import sys
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.engines.sftp.transfer_workflow import (
    RESERVE,
    Clients,
    Step,
    checked,
    note_cut_off,
    note_failure,
    step_of,
    with_answer,
)
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.malware import SCAN_TAG
from adplatform.flow.outbox import send_unsent
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.objects import RawObject, file_id
from adplatform.ledger.uploads import Finding
from adplatform_tests.support.platforms import TODAY, Inbox

KEY = "landing/acme/orders/dt=2026-01-01/a b+c.csv"


class Over(Exception):
    """What Transfer Family says of a step that is answered, or over."""


@dataclass
class Answers:
    """In the place of a client of Transfer Family: the answers that it was given."""

    given: list[str] = field(default_factory=list)
    throttles: int = 0

    class exceptions:
        InvalidRequestException = ResourceNotFoundException = Over

    def send_workflow_step_state(self, *, WorkflowId: str, ExecutionId: str, Token: str, Status: str) -> None:
        if self.throttles:
            self.throttles -= 1
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "SendWorkflowStepState")
        if self.given:
            raise Over
        self.given.append(Status)


@dataclass
class Limited:
    """In the place of Lambda's context: so many seconds are left."""

    seconds: float = 60.0
    began: float = field(default_factory=time.monotonic)
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:f"

    def get_remaining_time_in_millis(self) -> int:
        return int((self.seconds - (time.monotonic() - self.began)) * 1000)


@pytest.fixture
def ready(services: Services) -> Services:
    provision(services, [])
    return services


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def clients(ready: Services, answers: Answers) -> Clients:
    settings = replace(ready.settings, largest_file=20, malware_scan="if_scanned")
    topic = ready.topic_arn(settings.failure_topic)
    return Clients(settings, ready.s3, answers, ready.ledger, ready.sns, topic)


def put(services: Services, body: bytes = b"id\n1\n", key: str = KEY, **tags: str) -> Step:
    """An upload, and what the function is called with."""
    tagging = "&".join(f"{name}={value}" for name, value in tags.items())
    made = services.s3.put_object(
        Bucket=services.zones.raw_bucket, Key=key, Body=body, Tagging=tagging, ChecksumAlgorithm="SHA256"
    )
    return step_of(event(services.zones.raw_bucket, key, made["ETag"].strip('"')))


def event(bucket: str, key: str, etag: str) -> dict[str, Any]:
    return {
        "token": "MzI0Nzc4ZDktMGRmMi00MjFhLTgxMjUtYWZmZmRmODNkYjc0",
        "serviceMetadata": {
            "executionDetails": {"workflowId": "w-1234567890example", "executionId": str(uuid.uuid4())},
            "transferDetails": {"sessionId": "36688ff5d2deda8c", "userName": "acme", "serverId": "s-1234567890example"},
        },
        "fileLocation": {"domain": "S3", "bucket": bucket, "key": key, "eTag": etag, "versionId": None},
    }


def answered(clients: Clients, step: Step, seconds: float = 60.0) -> None:
    with_answer(clients, step, Limited(seconds), lambda left: checked(clients, step, left).finding is Finding.CHECKED)


def test_what_is_found_of_a_file_is_noted_and_answered(ready: Services, clients: Clients, answers: Answers) -> None:
    step = put(ready)
    answered(clients, step)
    [upload] = ready.ledger.uploads.of_source("acme")
    assert (upload.finding, upload.size, upload.key, upload.user) == (Finding.CHECKED, 5, KEY, "acme")
    assert upload.version == ready.s3.head_object(Bucket=step.bucket, Key=KEY)["VersionId"]
    assert upload.checksum == f"SHA256:{b64encode(sha256(b'id' + bytes([10]) + b'1' + bytes([10])).digest()).decode()}"
    assert answers.given == ["SUCCESS"]


@pytest.mark.parametrize(
    ("body", "tags", "reason"),
    [
        (b"x" * 21, {}, "21 bytes; 20 are allowed"),
        (b"x", {SCAN_TAG: "THREATS_FOUND"}, "THREATS_FOUND"),
        (b"x", {SCAN_TAG: "UNSUPPORTED"}, "UNSUPPORTED"),
    ],
)
def test_a_bad_file_is_refused_and_somebody_notified_once(
    ready: Services, clients: Clients, answers: Answers, body: bytes, tags: dict[str, str], reason: str
) -> None:
    inbox = Inbox.subscribe(ready)
    step = put(ready, body, **tags)
    answered(clients, step)
    assert answers.given == ["FAILURE"]
    for _ in range(2):
        note_failure(clients, step)
    [upload] = ready.ledger.uploads.of_source("acme")
    assert upload.finding is Finding.REFUSED
    assert reason in upload.reason
    [message] = inbox.read()
    assert (message["event"], message["user"]) == ("upload_failed", "acme")
    assert KEY.rpartition("/")[2] not in str(message)
    assert message["file"] == file_id(step.bucket, KEY, upload.version)
    assert reason in message["reason"]
    assert ready.ledger.messages.unsent("acme") == []


def test_a_clean_scan_is_as_good_as_none_where_none_is_required(
    ready: Services, clients: Clients, answers: Answers
) -> None:
    answered(clients, put(ready, **{SCAN_TAG: "NO_THREATS_FOUND"}))
    assert answers.given == ["SUCCESS"]


def test_a_scan_that_is_required_is_awaited(ready: Services, clients: Clients, answers: Answers) -> None:
    step = put(ready)

    def scanned_meanwhile(_: float) -> None:
        tags = {"TagSet": [{"Key": SCAN_TAG, "Value": "NO_THREATS_FOUND"}]}
        ready.s3.put_object_tagging(Bucket=step.bucket, Key=step.key, Tagging=tags)

    settings = replace(clients.settings, malware_scan="required")
    answered(replace(clients, settings=settings, sleep=scanned_meanwhile), step)
    assert answers.given == ["SUCCESS"]


def test_a_scan_that_never_comes_fails_in_time(ready: Services, clients: Clients, answers: Answers) -> None:
    strict = replace(clients, settings=replace(clients.settings, malware_scan="required"))
    answered(strict, put(ready), RESERVE + 1)
    assert answers.given == ["FAILURE"]
    assert ready.ledger.uploads.of_source("acme") == []


def test_nobody_is_notified_of_a_file_that_was_replaced(ready: Services, clients: Clients, answers: Answers) -> None:
    inbox = Inbox.subscribe(ready)
    replaced, gone = put(ready), put(ready, key="landing/acme/orders/b.csv.tmp")
    put(ready, b"another")
    ready.s3.delete_object(Bucket=gone.bucket, Key=gone.key)
    for step in (replaced, gone):
        answered(replace(clients, transfer=Answers()), step)
        note_failure(clients, step)
    assert {each.finding for each in ready.ledger.uploads.of_source("acme")} == {Finding.REPLACED}
    assert inbox.read() == []


def test_a_step_that_takes_too_long_fails_in_time_and_is_answered_once(
    ready: Services, clients: Clients, answers: Answers
) -> None:
    goes_on = threading.Event()

    def slow(left: Callable[[], float]) -> bool:
        assert goes_on.wait(20)
        return True

    step = put(ready)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(with_answer, clients, step, Limited(RESERVE + 0.2), slow)
        deadline = time.monotonic() + 10
        while not answers.given and time.monotonic() < deadline:
            time.sleep(0.02)
        assert answers.given == ["FAILURE"]
        goes_on.set()
        done.result()
    assert answers.given == ["FAILURE"]


def test_a_step_that_begins_too_late_looks_at_nothing(ready: Services, clients: Clients, answers: Answers) -> None:
    answered(clients, put(ready), RESERVE - 1)
    assert answers.given == ["FAILURE"]
    assert ready.ledger.uploads.of_source("acme") == []


def test_a_step_whose_work_fails_is_answered(ready: Services, clients: Clients, answers: Answers) -> None:
    step = replace(put(ready), bucket="none-there")

    def fails(left: Callable[[], float]) -> bool:
        raise TransientFailure("throttled")

    with_answer(clients, step, Limited(), fails)
    assert answers.given == ["FAILURE"]


def test_an_answer_that_is_not_taken_is_given_again(ready: Services, clients: Clients, answers: Answers) -> None:
    answers.throttles = 1
    answered(clients, put(ready))
    assert answers.given == ["FAILURE"]
    answers.throttles = 2
    answers.given.clear()
    with pytest.raises(ClientError):  # Lambda calls it again
        answered(clients, put(ready))


def test_what_was_noted_first_stays_when_the_function_is_called_again(
    ready: Services, clients: Clients, answers: Answers
) -> None:
    step = put(ready)
    first = checked(clients, step, lambda: 60.0)  # and it dies before it has answered
    infected = {"TagSet": [{"Key": SCAN_TAG, "Value": "THREATS_FOUND"}]}
    ready.s3.put_object_tagging(Bucket=step.bucket, Key=step.key, Tagging=infected)
    answered(clients, step)
    answered(clients, step)  # and Lambda calls it once more
    assert ready.ledger.uploads.of_source("acme") == [first]
    assert answers.given == ["SUCCESS"]


def test_many_calls_for_one_failure_notify_once(ready: Services, clients: Clients) -> None:
    inbox = Inbox.subscribe(ready)
    step = put(ready)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: note_failure(clients, step), range(4)))
    assert [message["event"] for message in inbox.read()] == ["upload_failed"]
    [upload] = ready.ledger.uploads.of_source("acme")
    assert upload.finding is Finding.FAILED


def test_a_later_failure_takes_the_place_of_what_was_found(ready: Services, clients: Clients, answers: Answers) -> None:
    inbox = Inbox.subscribe(ready)
    step = put(ready)
    answered(clients, step)
    note_failure(clients, step)
    [upload] = ready.ledger.uploads.of_source("acme")
    assert upload.finding is Finding.FAILED
    assert len(inbox.read()) == 1


def test_a_message_that_cannot_be_sent_is_sent_with_the_next_look(ready: Services, clients: Clients) -> None:
    inbox = Inbox.subscribe(ready)
    note_failure(replace(clients, topic=f"{clients.topic}-gone"), put(ready))
    assert inbox.read() == []
    send_unsent(ready, "acme")
    assert [message["event"] for message in inbox.read()] == ["upload_failed"]
    assert ready.ledger.messages.unsent("acme") == []


def test_a_file_that_was_cut_off_is_known_by_its_version(ready: Services, clients: Clients) -> None:
    inbox = Inbox.subscribe(ready)
    step = put(ready)
    for _ in range(2):
        note_cut_off(clients, step)
    [version] = ready.s3.list_object_versions(Bucket=step.bucket, Prefix=KEY)["Versions"]
    obj = RawObject(TODAY, step.bucket, KEY, version["VersionId"], 5, step.etag, version["LastModified"])
    assert set(ready.ledger.uploads.cut_off_among("acme", [obj])) == {obj.identity}
    assert [message["event"] for message in inbox.read()] == ["upload_cut_off"]


def test_a_file_that_was_sent_again_is_not_taken_for_one_that_was_cut_off(ready: Services, clients: Clients) -> None:
    step = put(ready)
    put(ready, b"id\n1\n2\n")
    note_cut_off(clients, step)
    versions = ready.s3.list_object_versions(Bucket=step.bucket, Prefix=KEY)["Versions"]
    objects = [RawObject(TODAY, step.bucket, KEY, v["VersionId"], 5, "e", v["LastModified"]) for v in versions]
    assert ready.ledger.uploads.cut_off_among("acme", objects) == {}


@pytest.mark.parametrize("broken", [{}, {"fileLocation": None}, {"fileLocation": {"domain": "EFS"}}])
def test_another_event_is_refused(broken: dict[str, Any]) -> None:
    whole = event("raw", KEY, "abc")
    with pytest.raises(PermanentFailure, match="no event of a custom step"):
        step_of({**whole, **broken} if broken else {})


def test_files_outside_of_the_landing_zone_are_the_platforms() -> None:
    assert step_of(event("raw", "other/acme/a.csv", "abc")).source == "_platform"
    assert step_of(event("raw", "landing/acme", "abc")).source == "_platform"
    assert step_of(event("raw", KEY, "abc")).source == "acme"


def test_a_function_begins_without_what_it_does_not_need() -> None:
    code = (
        "import sys, adplatform.engines.sftp.transfer_workflow\n"
        "print([name for name in ('dagster', 'duckdb', 'pyarrow', 'pydantic', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
