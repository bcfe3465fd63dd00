"""Queries of Amazon Athena whose results are stored as Parquet: one UNLOAD for each publication.

Facts: Athena API reference, StartQueryExecution, GetQueryExecution, GetQueryRuntimeStatistics; Athena User Guide,
"UNLOAD": it writes to a location without files, and of a result without rows it writes none.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from adplatform.contracts.workloads import DATE
from adplatform.engines.engine import BroughtNothing, Finding, Limits, Run
from adplatform.engines.workloads.engine import SEEN_SOON, token_of
from adplatform.failures import clipped
from adplatform.flow.workloads import filled, published_date
from adplatform.lake.store import Store
from adplatform.lake.table import TableName
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.platform.aws_errors import aws_failures

_STATES = {
    "QUEUED": RunState.WAITING,
    "RUNNING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
}
_LONGEST = 500
"""Characters of what Athena says of a query that are kept."""
LATEST = "latest.json"
"""What names the result below a prefix: ``location``, ``rows``, ``query_execution_id``, ``date``, and since when it was
``wanted``."""


@dataclass(frozen=True)
class Unload:
    """A query of ``table`` in its ``workgroup``; ``{table}`` and ``{date}`` in it are filled in. ``client`` is one of
    Athena, ``prefix`` that of its results in the clean bucket, ``intention_of`` gives why a run was wanted."""

    client: Any
    store: Store
    table: TableName
    workgroup: str
    query: str
    prefix: str
    intention_of: Callable[[EngineRun], Intention | None]

    limits = Limits(
        called="athena",
        token=32,
        token_life=timedelta(days=45),
        history=timedelta(days=45),
        patience=SEEN_SOON | {RunState.WAITING: timedelta(minutes=30), RunState.RUNNING: timedelta(hours=1)},
        alone=True,
    )

    def check(self) -> Sequence[Finding]:
        """Athena answers alike whether a workgroup is not there or not to be seen."""
        with self._failures():
            try:
                found = self.client.get_work_group(WorkGroup=self.workgroup)["WorkGroup"]
            except self.client.exceptions.InvalidRequestException:
                text = f"there is no workgroup {self.workgroup} of Athena: `adplatform consumers apply` makes it"
                return [Finding(text)]
        disabled = f"the workgroup {self.workgroup} of Athena is disabled: enable it"
        return [Finding(disabled)] if found.get("State") == "DISABLED" else []

    def start(self, intention: Intention, others: Collection[str]) -> str:
        with self._failures():
            started = self.client.start_query_execution(
                QueryString=self.statement(intention),
                ClientRequestToken=token_of(intention),
                QueryExecutionContext={"Database": self.table.database},
                WorkGroup=self.workgroup,
            )
        return str(started["QueryExecutionId"])

    def look(self, run_id: str) -> Run | None:
        with self._failures():
            try:
                told = self.client.get_query_execution(QueryExecutionId=run_id)["QueryExecution"]
            except self.client.exceptions.InvalidRequestException:
                return None
        status = told["Status"]
        state = _STATES.get(status["State"], RunState.RUNNING)
        final = state not in (RunState.WAITING, RunState.RUNNING)
        return Run(
            run_id=run_id,
            state=state,
            said=status["State"],
            message=clipped(status.get("StateChangeReason", ""), _LONGEST) if state is RunState.FAILED else "",
            final=final,
            started_at=status.get("SubmissionDateTime"),
            ended_at=status.get("CompletionDateTime") if final else None,
            records=self._rows(run_id) if state is RunState.SUCCEEDED else None,
            bytes=told.get("Statistics", {}).get("DataScannedInBytes"),
        )

    def cancel(self, run_id: str) -> None:
        with self._failures():
            self.client.stop_query_execution(QueryExecutionId=run_id)

    def result(self, run: EngineRun) -> str:
        """Its files. They are named beside them from then on, and earlier results go: readers look there for where the
        newest is, and nobody keeps what an erasure has taken out of the table. Of a query that was wanted before the
        newest, and took so long that nobody waited for it, the files go."""
        intention = self.intention_of(run)
        if intention is None:
            raise BroughtNothing(f"nothing wants query {run.run_id} any more")
        of_all, key, bucket = self._of_all(intention), self._key(intention), self.store.zones.clean_bucket
        with self._failures():
            if self._wanted_of_newest(of_all) > _wanted(intention):
                self.store.delete(bucket, [each.key for each in self.store.listing(bucket, key)])
                return "nothing is kept of it: a later run has left a newer result"
            files = list(self.store.listing(bucket, key))
            if not files and run.records != 0:
                raise BroughtNothing(f"the query succeeded, and nothing is below {self._uri(key)}")
            newest = {
                "location": self._uri(key),
                "rows": run.records,
                "date": published_date(intention.key) or None,
                "query_execution_id": run.run_id,
                "wanted": _wanted(intention),
            }
            zones, body = self.store.zones, json.dumps(newest).encode()
            self.store.s3.put_object(Bucket=bucket, Key=f"{of_all}{LATEST}", Body=body, **zones.put_arguments)
            there = (each.key for each in self.store.listing(bucket, of_all))
            self.store.delete(bucket, [each for each in there if not each.startswith((key, f"{of_all}{LATEST}"))])
        return f"{run.records if run.records is not None else 'some'} rows in {len(files)} files at {self._uri(key)}"

    def statement(self, intention: Intention) -> str:
        """
        Raises:
            PermanentFailure: as ``adplatform.flow.workloads.filled``.
        """
        query = filled(self.query, self.table, intention)
        return f"UNLOAD (\n{query}\n) TO '{self._uri(self._key(intention))}' WITH (format = 'PARQUET')"

    def _rows(self, run_id: str) -> int | None:
        with self._failures():
            told = self.client.get_query_runtime_statistics(QueryExecutionId=run_id)["QueryRuntimeStatistics"]
        rows = told.get("Rows", {}).get("OutputRows")
        return int(rows) if rows is not None else None

    def _wanted_of_newest(self, of_all: str) -> str:
        """Since when the result was wanted that is named there; "" where none is, or one without that."""
        s3, bucket = self.store.s3, self.store.zones.clean_bucket
        try:
            body = s3.get_object(Bucket=bucket, Key=f"{of_all}{LATEST}")["Body"].read()
        except s3.exceptions.NoSuchKey:
            return ""
        return str(json.loads(body).get("wanted", ""))

    def _of_all(self, intention: Intention) -> str:
        """Below which all results are of which one is to be kept: of a date where the query is of one."""
        return f"{self.prefix}{published_date(intention.key)}/" if DATE in self.query else self.prefix

    def _key(self, intention: Intention) -> str:
        return f"{self._of_all(intention)}{token_of(intention)}/"

    def _uri(self, key: str) -> str:
        return f"s3://{self.store.zones.clean_bucket}/{key}"

    def _failures(self) -> Any:
        return aws_failures(f"Athena's query of {self.table.database}.{self.table.name}")


def _wanted(intention: Intention) -> str:
    """Since when, as texts that are in order of time."""
    return intention.intended_at.astimezone(UTC).isoformat(timespec="microseconds") if intention.intended_at else ""
