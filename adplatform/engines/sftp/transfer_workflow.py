"""Lambda handlers for the custom steps of Transfer Family's managed workflows.

``custom_step`` looks at an uploaded file, ``partial_step`` at one whose session ended in the middle of it, and
``exception_step`` is called when a step has failed. Each notes what it found in the ledger, once for each execution,
and answers the step it was called for exactly once, in time. Lambda may call a handler again for the same step: what
was noted first stays, and Transfer Family refuses a second answer.

A file may be replaced while its workflow runs, because the name of an object is all that a client says. Then it is
another upload's, with a workflow of its own, and nobody is notified of this one.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.malware import Scan, scan_of
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Unsent
from adplatform.ledger.objects import file_id
from adplatform.ledger.rows import digest
from adplatform.ledger.uploads import Finding, Upload
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.calls import HANDLER, acting
from adplatform.platform.notifications import Notifier
from adplatform.platform.settings import Settings, read_settings

log = logging.getLogger(__name__)

RESERVE = 5.0
"""Seconds that are kept for the answer: a step that has less left has failed."""
_LOOK_AGAIN = 2.0
"""Seconds between two looks at a scan that is awaited."""
_LANDING = "landing/"
_PLATFORM = "_platform"
"""In the place of a source, for objects outside of the landing zone."""
_GONE = frozenset({404, 412})


class Context(Protocol):
    """What is used of Lambda's context."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True)
class Step:
    """What a custom step is called with. The key is as S3 has it, not encoded; ``version`` is mostly empty, also in a
    bucket with versions."""

    workflow: str
    execution: str
    token: str
    user: str
    server: str
    bucket: str
    key: str
    etag: str
    version: str

    @property
    def source(self) -> str:
        """Whose landing prefix the file is in."""
        name, _, rest = self.key.removeprefix(_LANDING).partition("/")
        return name if self.key.startswith(_LANDING) and rest else _PLATFORM

    @property
    def called(self) -> str:
        """What logs and failures call the file, whose name may be personal data; the ledger has it by the execution."""
        return f"the file of {self.source} of execution {self.execution}"


@dataclass(frozen=True)
class Clients:
    """The boto3 clients and the settings of a handler; ``topic`` is the ARN of the failure topic."""

    settings: Settings
    s3: Any
    transfer: Any
    ledger: Ledger
    sns: Any
    topic: str
    sleep: Callable[[float], None] = time.sleep


@acting(HANDLER)
def custom_step(event: Mapping[str, Any], context: Context) -> None:
    """Lambda's handler of the step that checks a file."""
    step, clients = step_of(event), clients_of(context.invoked_function_arn)
    with_answer(clients, step, context, lambda left: checked(clients, step, left).finding is Finding.CHECKED)


@acting(HANDLER)
def partial_step(event: Mapping[str, Any], context: Context) -> None:
    """Lambda's handler of the step that is called for a file whose session ended before it was closed."""
    step, clients = step_of(event), clients_of(context.invoked_function_arn)

    def done(left: Callable[[], float]) -> bool:
        note_cut_off(clients, step)
        return True

    with_answer(clients, step, context, done)


@acting(HANDLER)
def exception_step(event: Mapping[str, Any], context: Context) -> None:
    """Lambda's handler of the step that is called when another has failed."""
    step, clients = step_of(event), clients_of(context.invoked_function_arn)

    def done(left: Callable[[], float]) -> bool:
        note_failure(clients, step)
        return True

    with_answer(clients, step, context, done)


def step_of(event: Mapping[str, Any]) -> Step:
    """
    Raises:
        PermanentFailure: it is no event of a custom step on S3.
    """
    try:
        metadata, file = event["serviceMetadata"], event["fileLocation"]
        execution, transfer = metadata["executionDetails"], metadata["transferDetails"]
        return Step(
            workflow=execution["workflowId"],
            execution=execution["executionId"],
            token=event["token"],
            user=transfer["userName"],
            server=transfer["serverId"],
            bucket=file["bucket"],
            key=file["key"],
            etag=(file.get("eTag") or file.get("etag") or "").strip('"'),
            version=file.get("versionId") or "",
        )
    except (KeyError, TypeError, AttributeError) as e:
        raise PermanentFailure(f"no event of a custom step of Transfer Family on S3: {type(e).__name__} {e}") from e


def with_answer(clients: Clients, step: Step, context: Context, work: Callable[[Callable[[], float]], bool]) -> None:
    """Answer a step with what the work comes to, or with FAILURE when it fails or the time is nearly over. ``work`` is
    given how many seconds it has left, and may still be at it when the answer is given."""
    answer = _Answer(clients.transfer, step)

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - RESERVE

    late = threading.Timer(max(left(), 0), answer.give, ["FAILURE"])
    late.daemon = True
    late.start()
    try:
        answer.give("SUCCESS" if left() > 0 and work(left) else "FAILURE")
    except (PermanentFailure, TransientFailure, ClientError, BotoCoreError) as e:
        log.error("%s: %s", step.called, e)
        answer.give("FAILURE")
    finally:
        late.cancel()


def checked(clients: Clients, step: Step, left: Callable[[], float]) -> Upload:
    """Look at a file and note what was found; what an earlier call of the same step found stays.

    Raises:
        PermanentFailure, TransientFailure: AWS refuses something.
    """
    with aws_failures(step.called):
        known = clients.ledger.uploads.get(step.source, step.execution)
        return known or clients.ledger.uploads.record(step.source, _looked_at(clients, step, left))


def note_cut_off(clients: Clients, step: Step) -> None:
    """Note that a file is not whole, so that it is never read, and notify once. One that was sent again meanwhile is
    left alone.

    Raises:
        PermanentFailure, TransientFailure: AWS refuses something.
    """
    with aws_failures(step.called):
        upload, ledger = _described(clients, step), clients.ledger
        if upload.finding is not Finding.REPLACED:
            why = "the session ended in the middle of the file; it is not read, the partner has to send it again"
            upload = replace(upload, finding=Finding.PARTIAL, reason=why)
            ledger.uploads.cut_off(step.source, step.bucket, step.key, _identity(upload), step.user)
        upload = ledger.uploads.record(step.source, upload)
    if upload.finding is Finding.PARTIAL:
        _notify(clients, step, upload, "upload_cut_off", "an upload was cut off")


def note_failure(clients: Clients, step: Step) -> None:
    """Note that the workflow failed for a file, and notify once of each version of it. Of one that was replaced nobody
    is notified.

    Raises:
        PermanentFailure, TransientFailure: AWS refuses something.
    """
    with aws_failures(step.called):
        ledger = clients.ledger
        known = ledger.uploads.get(step.source, step.execution)
        if known is None or known.finding is Finding.CHECKED:
            upload = _described(clients, step)
            if upload.finding is not Finding.REPLACED:
                why = "a step of the workflow failed; DescribeExecution or its log says which"
                upload = replace(upload, finding=Finding.FAILED, reason=why)
            known = ledger.uploads.revise(step.source, upload) if known else ledger.uploads.record(step.source, upload)
    if known.finding is not Finding.REPLACED:
        _notify(clients, step, known, "upload_failed", f"an upload was {known.finding}")


@dataclass
class _Answer:
    """The one answer of a step, whoever comes first."""

    transfer: Any
    step: Step
    given: bool = False
    alone: threading.Lock = field(default_factory=threading.Lock)

    def give(self, status: Literal["SUCCESS", "FAILURE"]) -> None:
        """
        Raises:
            botocore.exceptions.ClientError, BotoCoreError: AWS does not take it now; it may be given again.
        """
        with self.alone:
            if not self.given:
                self._send(status)
                self.given = True

    def _send(self, status: str) -> None:
        step, refused = self.step, self.transfer.exceptions
        try:
            self.transfer.send_workflow_step_state(
                WorkflowId=step.workflow, ExecutionId=step.execution, Token=step.token, Status=status
            )
        except (refused.InvalidRequestException, refused.ResourceNotFoundException) as e:
            log.warning("%s: the step has an answer already, or is over: %s", step.called, e)


@cache
def clients_of(function_arn: str) -> Clients:
    """Those of a process, as its environment says. The failure topic is in the account of the function."""
    settings = read_settings()
    aws = Aws(settings.region)
    account = function_arn.split(":")[4] if function_arn.count(":") > 4 else ""
    topic = settings.failure_topic
    return Clients(
        settings,
        aws.client("s3"),
        aws.client("transfer"),
        Ledger(aws.client("dynamodb"), settings.ledger_table),
        aws.client("sns"),
        topic if topic.startswith("arn:") else f"arn:aws:sns:{settings.region}:{account}:{topic}",
    )


def _looked_at(clients: Clients, step: Step, left: Callable[[], float]) -> Upload:
    upload = _described(clients, step)
    if upload.finding is Finding.REPLACED:
        return upload
    if reason := _size_refusal(upload.size, clients.settings.largest_file):
        return replace(upload, finding=Finding.REFUSED, reason=reason)
    return _scanned(clients, upload, left)


def _described(clients: Clients, step: Step) -> Upload:
    """The file as it was uploaded; ``REPLACED`` where it is no longer that."""
    version = {"VersionId": step.version} if step.version else {}
    upload = Upload(
        execution=step.execution,
        workflow=step.workflow,
        bucket=step.bucket,
        key=step.key,
        etag=step.etag,
        user=step.user,
        finding=Finding.CHECKED,
        at=clients.ledger.now(),
        version=step.version,
    )
    try:
        head = clients.s3.head_object(
            Bucket=step.bucket, Key=step.key, IfMatch=f'"{step.etag}"', ChecksumMode="ENABLED", **version
        )
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] not in _GONE:
            raise
        why = "the file was replaced, renamed or removed before the workflow came to look at it"
        return replace(upload, finding=Finding.REPLACED, reason=why)
    found = head.get("VersionId")
    return replace(
        upload,
        version=found if found not in (None, "null") else step.version,
        size=head["ContentLength"],
        checksum=_checksum(head),
    )


def _identity(upload: Upload) -> str:
    """The version, as the ledger knows objects."""
    return upload.version or f"{upload.etag}+{upload.size}"


def _checksum(head: Mapping[str, Any]) -> str:
    found = ((name.removeprefix("Checksum"), value) for name, value in head.items() if name.startswith("Checksum"))
    return next((f"{name}:{value}" for name, value in found if name != "Type"), "")


def _size_refusal(size: int, largest: int) -> str:
    if size == 0:
        return "the file is empty"
    return f"the file has {size} bytes; {largest} are allowed" if size > largest else ""


def _scanned(clients: Clients, upload: Upload, left: Callable[[], float]) -> Upload:
    """With what the scan for malware says, which is awaited where there must be one."""
    policy = clients.settings.malware_scan
    while policy != "off":
        version = {"VersionId": upload.version} if upload.version else {}
        answer = clients.s3.get_object_tagging(Bucket=upload.bucket, Key=upload.key, **version)
        scan, said = scan_of(answer["TagSet"])
        if scan is Scan.REFUSED:
            return replace(upload, finding=Finding.REFUSED, reason=f"the scan for malware says {said}")
        if scan is Scan.CLEAN or policy == "if_scanned":
            break
        if left() < _LOOK_AGAIN:
            raise TransientFailure(
                f"{file_id(upload.bucket, upload.key, _identity(upload))} was not scanned for malware in time"
            )
        clients.sleep(_LOOK_AGAIN)
    return upload


def _notify(clients: Clients, step: Step, upload: Upload, event: str, what: str) -> None:
    """Notify of a version of a file once. A message that cannot be sent now is sent with the next look at the source.

    Raises:
        PermanentFailure, TransientFailure: AWS refuses something.
    """
    facts = {
        "source": step.source,
        "file": file_id(step.bucket, step.key, _identity(upload)),
        "user": step.user,
        "server": step.server,
        "reason": upload.reason,
        "execution": step.execution,
    }
    message = Unsent.of(None, event, f"{step.source}: {what}", facts)
    noted = f"upload/{digest(step.bucket, step.key, _identity(upload) if upload.size else step.etag)}"
    with aws_failures(step.called):
        messages = clients.ledger.messages
        if not messages.note_unsent(step.source, noted, message):
            return
        if Notifier(clients.sns, "", clients.topic).failure(event, message.subject, facts):
            messages.clear_unsent(step.source, message)
