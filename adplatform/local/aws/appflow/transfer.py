"""What a run does: it reads the application, maps the records, and writes them to S3 through the port of the embedded
AWS.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend

from adplatform.local.aws import managed
from adplatform.local.aws.appflow import files, tasks
from adplatform.local.aws.appflow.source import Failed, Session, Unauthorized, connection
from adplatform.local.aws.appflow.state import CANCEL_STARTED, AppflowBackend, Flow, Profile, Run
from adplatform.local.aws.managed import Fault
from adplatform.local.aws.state import LOCK


class Cancelled(Exception):
    """The run is to end; what it wrote stays."""


def session(backend: AppflowBackend, profile: Profile) -> Session:
    """Of the application of a profile. Callers hold the lock for its making, not for its use.

    Raises:
        Failed: the profile is not complete, or its address is not of this machine.
    """

    def secret(arn: str) -> str:
        secrets = get_backend("secretsmanager")[backend.account_id][backend.region_name]
        return str(secrets.get_secret_value(arn, None, None)["SecretString"])

    def got(token: str) -> None:
        with LOCK:
            profile.token = token
            managed.changed("appflow")

    return Session(connection(profile.asked, secret), profile.token, got)


def transfer(backend: AppflowBackend, flow: Flow, run: Run) -> None:
    """Does the work of a run and counts it in ``run``. Callers do not hold the lock.

    Raises:
        Unauthorized: the application refuses the credentials.
        Failed: it refuses the query or cannot be reached.
        Cancelled: somebody cancelled the run.
        Terminated: a record is not valid, and the flow wants no run with such a record.
        ClientError: S3 refuses an object.
    """
    with LOCK:
        reading = _reading(backend, flow)
        output = _output(flow, run)
    known, source = tasks.read(flow.asked["tasks"]), flow.source_object
    types = reading.fields(source) if files.typed(flow) or tasks.needs_types(known) else {}
    names = tasks.selected(known, types)
    soql = tasks.query(known, names, source, _window(flow, run))
    run.records = run.filtered = run.bytes_processed = run.bytes_written = 0
    of_columns = {task.destination or task.sources[0]: types.get(task.sources[0], "") for task in known if task.sources}
    whole: list[tasks.Row] = []
    for records, size in reading.pages(soql, deleted=_wants_deleted(flow)):
        rows = [row for record in records if (row := tasks.applied(known, record, names)) is not None]
        run.records += len(records)
        run.filtered += len(records) - len(rows)
        run.bytes_processed += size
        if files.aggregated(flow):
            whole += rows
        else:
            output.write(rows, of_columns | types)
    output.write(whole, of_columns | types)
    output.end()


def _reading(backend: AppflowBackend, flow: Flow) -> Session:
    profile = backend.profiles.get(flow.source.get("connectorProfileName", ""))
    if profile is None:
        raise Failed("the connector profile does not exist any more")
    if managed.CONTROL.take("appflow", "connection_expired", flow.name):
        raise Unauthorized("invalid_grant: expired access/refresh token")
    return session(backend, profile)


def _window(flow: Flow, run: Run) -> Iterator[str]:
    if run.pull_start is None or run.pull_end is None:
        return
    name = flow.source.get("incrementalPullConfig", {}).get("datetimeTypeFieldName") or "LastModifiedDate"
    yield f"{name} >= {tasks.instant(run.pull_start)}"
    yield f"{name} < {tasks.instant(run.pull_end)}"


def _wants_deleted(flow: Flow) -> bool:
    return bool(flow.source["sourceConnectorProperties"].get("Salesforce", {}).get("includeDeletedRecords"))


@dataclass
class _Output:
    """The files of a run. Faults decide that some are ``missing``, or that the run ``fails`` after some."""

    flow: Flow
    run: Run
    put: Callable[..., Any]
    fails: Fault | None
    missing: Fault | None
    part: int = 0

    def write(self, rows: Sequence[tasks.Row], types: Mapping[str, str]) -> None:
        """One more file, of no rows none.

        Raises: as :func:`transfer`.
        """
        if self.run.status == CANCEL_STARTED:
            raise Cancelled
        if not rows:
            return
        if self.fails is not None and self.part >= self.fails.count:
            self.end()
        if self.missing is None or self.part >= self.missing.count:
            body = files.encoded(rows, self.flow, types)
            key = files.key(self.flow, self.run, self.part)
            self.put(Bucket=self.flow.destination["bucketName"], Key=key, Body=body)
            self.run.bytes_written += len(body)
        self.part += 1

    def end(self) -> None:
        """Raises: Failed: a fault says so."""
        if self.fails is not None:
            raise Failed("SERVER_UNAVAILABLE: Service unavailable")


def _output(flow: Flow, run: Run) -> _Output:
    fails = managed.CONTROL.take("appflow", "run_fails", flow.name)
    missing = managed.CONTROL.take("appflow", "put_failures", flow.name)
    run.failed = missing.count if missing is not None else 0
    return _Output(flow, run, managed.own_s3().put_object, fails, missing)
