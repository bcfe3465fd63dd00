"""Replications of AWS DMS: tasks of an instance, and those of DMS Serverless, asked and moved alike.

Facts: AWS DMS API reference, ReplicationTask, Replication, TableStatistics; user guide, "Task status".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.platform.aws_errors import aws_failures

START, RESUME = "start-replication", "resume-processing"
COMPLETED, ERROR = "Table completed", "Table error"
_ARN = re.compile(r"arn:[\w-]+:dms:")


@dataclass(frozen=True)
class Replication:
    """What DMS says of a replication. ``begun`` is when its present run was started, None before the first.
    ``errored`` counts tables in error."""

    arn: str
    name: str
    status: str
    migration: str
    stop_reason: str = ""
    message: str = ""
    begun: datetime | None = None
    ended: datetime | None = None
    errored: int = 0


@dataclass(frozen=True)
class TableStatistics:
    """What DMS says of a table since its replication was last started from its beginning. Counts are rows, those of
    changes as they were applied to the target; ``ddls`` are statements about the table itself."""

    schema: str
    table: str
    state: str
    loaded: int = 0
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    ddls: int = 0
    load_begun: datetime | None = None
    load_ended: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def changes(self) -> int:
        return self.inserts + self.updates + self.deletes


class Dms(Protocol):
    """One replication. Its calls raise the failures of ``adplatform.failures``."""

    @property
    def named(self) -> str:
        """Its identifier or ARN, as somebody declares it."""

    def described(self) -> Replication:
        """
        Raises:
            PermanentFailure: there is none.
        """

    def start(self, kind: str) -> bool:
        """Start it so; False when it cannot be started as it is: it runs, or is being changed."""

    def stop(self) -> bool:
        """Stop it; False when it does not run."""

    def statistics(self) -> list[TableStatistics]:
        """Those of all its tables."""

    def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
        """Load tables, each (schema, name), again while it runs; False when it does not run."""


@dataclass(frozen=True)
class Task:
    """A replication task; ``client`` is one of DMS."""

    client: Any
    named: str

    def described(self) -> Replication:
        kind = "replication-task-arn" if _ARN.match(self.named) else "replication-task-id"
        with self._failures():
            found = list(pages(self.client.describe_replication_tasks, "ReplicationTasks", kind, self.named))
        if len(found) != 1:
            raise PermanentFailure(f"DMS has {len(found)} tasks called {self.named!r}; give the ARN of one")
        [task] = found
        return _replication(
            task,
            task["ReplicationTaskArn"],
            task["ReplicationTaskIdentifier"],
            task["MigrationType"],
            "ReplicationTaskStats",
        )

    def start(self, kind: str) -> bool:
        arn = self.described().arn
        return self._moved(
            lambda: self.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType=kind)
        )

    def stop(self) -> bool:
        arn = self.described().arn
        return self._moved(lambda: self.client.stop_replication_task(ReplicationTaskArn=arn))

    def statistics(self) -> list[TableStatistics]:
        arn = self.named if _ARN.match(self.named) else self.described().arn
        with self._failures():
            ask = partial(self.client.describe_table_statistics, ReplicationTaskArn=arn)
            return [_statistics(each) for each in pages(ask, "TableStatistics")]

    def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
        arn = self.described().arn
        return self._moved(lambda: self.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=_named(tables)))

    def _moved(self, call: Callable[[], Any]) -> bool:
        with self._failures():
            return _done(self.client, call)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        with aws_failures(f"DMS task {self.named}"):
            yield


@dataclass(frozen=True)
class Serverless:
    """The replication of a configuration of DMS Serverless; ``client`` is one of DMS."""

    client: Any
    named: str

    def described(self) -> Replication:
        config = self._config()
        arn = config["ReplicationConfigArn"]
        with self._failures():
            try:
                found = list(pages(self.client.describe_replications, "Replications", "replication-config-arn", arn))
            except self.client.exceptions.ResourceNotFoundFault:
                found = []
        run = found[0] if found else {"Status": "ready"}
        return _replication(
            run, arn, config["ReplicationConfigIdentifier"], config["ReplicationType"], "ReplicationStats"
        )

    def start(self, kind: str) -> bool:
        arn = self._config()["ReplicationConfigArn"]
        return self._moved(lambda: self.client.start_replication(ReplicationConfigArn=arn, StartReplicationType=kind))

    def stop(self) -> bool:
        arn = self._config()["ReplicationConfigArn"]
        return self._moved(lambda: self.client.stop_replication(ReplicationConfigArn=arn))

    def statistics(self) -> list[TableStatistics]:
        arn = self.named if _ARN.match(self.named) else self._config()["ReplicationConfigArn"]
        with self._failures():
            ask = partial(self.client.describe_replication_table_statistics, ReplicationConfigArn=arn)
            return [_statistics(each) for each in pages(ask, "ReplicationTableStatistics")]

    def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
        arn, wanted = self._config()["ReplicationConfigArn"], _named(tables)
        return self._moved(
            lambda: self.client.reload_replication_tables(ReplicationConfigArn=arn, TablesToReload=wanted)
        )

    def _config(self) -> Mapping[str, Any]:
        kind = "replication-config-arn" if _ARN.match(self.named) else "replication-config-id"
        with self._failures():
            found = list(pages(self.client.describe_replication_configs, "ReplicationConfigs", kind, self.named))
        if len(found) != 1:
            raise PermanentFailure(f"DMS has {len(found)} configurations called {self.named!r}; give the ARN of one")
        return found[0]

    def _moved(self, call: Callable[[], Any]) -> bool:
        with self._failures():
            return _done(self.client, call)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        with aws_failures(f"DMS configuration {self.named}"):
            yield


@dataclass
class OfOneLook:
    """A replication that one look asks: DMS describes it once, until something is done to it."""

    dms: Task | Serverless
    said: Replication | None = None

    @property
    def named(self) -> str:
        return self.dms.named

    def described(self) -> Replication:
        if self.said is None:
            self.said = self.dms.described()
        return self.said

    def start(self, kind: str) -> bool:
        self.said = None
        return self.dms.start(kind)

    def stop(self) -> bool:
        self.said = None
        return self.dms.stop()

    def statistics(self) -> list[TableStatistics]:
        return replace(self.dms, named=self.described().arn).statistics()

    def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
        self.said = None
        return self.dms.reload(tables)


def _replication(said: Mapping[str, Any], arn: str, name: str, migration: str, stats: str) -> Replication:
    counted = said.get(stats) or {}
    return Replication(
        arn=arn,
        name=name,
        status=str(said.get("Status", "")).lower(),
        migration=migration,
        stop_reason=str(said.get("StopReason") or ""),
        message=str(said.get("LastFailureMessage") or "; ".join(said.get("FailureMessages") or ())),
        begun=counted.get("StartDate"),
        ended=counted.get("StopDate"),
        errored=counted.get("TablesErrored", 0),
    )


def _statistics(said: Mapping[str, Any]) -> TableStatistics:
    return TableStatistics(
        schema=said["SchemaName"],
        table=said["TableName"],
        state=str(said.get("TableState", "")),
        loaded=said.get("FullLoadRows", 0),
        inserts=_applied(said, "Inserts"),
        updates=_applied(said, "Updates"),
        deletes=_applied(said, "Deletes"),
        ddls=said.get("Ddls", 0),
        load_begun=said.get("FullLoadStartTime"),
        load_ended=said.get("FullLoadEndTime"),
    )


def _applied(said: Mapping[str, Any], kind: str) -> int:
    """What was written, where DMS says it: what it has captured may still wait, or be left out by a load."""
    return int(said.get(f"Applied{kind}", said.get(kind, 0)))


def _named(tables: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"SchemaName": schema, "TableName": table} for schema, table in tables]


def _done(client: Any, call: Callable[[], Any]) -> bool:
    """Whether it could be done; not when the replication is in a state for something else."""
    try:
        call()
    except client.exceptions.InvalidResourceStateFault:
        return False
    except client.exceptions.ResourceNotFoundFault as e:
        raise PermanentFailure(f"DMS does not know it: {e.response['Error'].get('Message', '')}") from e
    except client.exceptions.AccessDeniedFault as e:
        raise TransientFailure(f"DMS does not allow it: {e.response['Error'].get('Message', '')}") from e
    return True


def pages(ask: Callable[..., Any], entries: str, kind: str = "", value: str = "") -> Iterator[Mapping[str, Any]]:
    """The ``entries`` of all pages of a call, those that a filter of this ``kind`` lets through."""
    filters = {"Filters": [{"Name": kind, "Values": [value]}]} if kind else {}
    page: dict[str, Any] = {}
    while True:
        answer = ask(**filters, **page)
        yield from answer.get(entries, ())
        if not answer.get("Marker"):
            return
        page = {"Marker": answer["Marker"]}
