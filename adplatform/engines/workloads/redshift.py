"""Materialized views of Amazon Redshift, which the Data API refreshes: once for the newest publication.

Facts: Redshift Data API reference, ExecuteStatement, BatchExecuteStatement, DescribeStatement; Amazon Redshift
Management Guide, "Using the Data API": a token is remembered for 8 hours, a statement for 24.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adplatform.engines.engine import Finding, Limits, Postponed, Run
from adplatform.engines.runs import BUSY_FOR
from adplatform.engines.workloads.engine import SEEN_SOON, token_of
from adplatform.failures import clipped
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.platform.aws_errors import aws_failures

_STATES = {
    "SUBMITTED": RunState.WAITING,
    "PICKED": RunState.WAITING,
    "STARTED": RunState.RUNNING,
    "FINISHED": RunState.SUCCEEDED,
    "ABORTED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
}
_LONGEST = 500
"""Characters of what Redshift says of a statement that are kept."""


@dataclass(frozen=True)
class Refresh:
    """Of these ``views``; ``where`` is the database and how it is reached, as the Data API takes it, and ``lacking``
    says which settings it would take to know. ``client`` is one of that API."""

    client: Any
    where: Mapping[str, str]
    views: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    limits = Limits(
        called="redshift",
        token=32,
        token_life=timedelta(hours=8),
        history=timedelta(hours=24),
        patience=SEEN_SOON | {RunState.WAITING: timedelta(hours=1), RunState.RUNNING: timedelta(hours=6)},
        alone=True,
    )

    def check(self) -> Sequence[Finding]:
        return [*map(Finding, self.lacking)]

    def start(self, intention: Intention, others: Collection[str]) -> str:
        sqls = [f"REFRESH MATERIALIZED VIEW {view}" for view in self.views]
        asked = {**self.where, "ClientToken": token_of(intention)}
        with self._failures():
            try:
                if len(sqls) == 1:
                    return str(self.client.execute_statement(Sql=sqls[0], **asked)["Id"])
                return str(self.client.batch_execute_statement(Sqls=sqls, **asked)["Id"])
            except self.client.exceptions.ActiveStatementsExceededException as e:
                raise Postponed("as many statements of Redshift are active as may be", BUSY_FOR) from e

    def look(self, run_id: str) -> Run | None:
        with self._failures():
            try:
                told = self.client.describe_statement(Id=run_id)
            except self.client.exceptions.ResourceNotFoundException:
                return None
        state = _STATES.get(told["Status"], RunState.RUNNING)
        final = state not in (RunState.WAITING, RunState.RUNNING)
        return Run(
            run_id=run_id,
            state=state,
            said=told["Status"],
            message=clipped(told.get("Error", ""), _LONGEST),
            final=final,
            started_at=told.get("CreatedAt"),
            ended_at=told.get("UpdatedAt") if final else None,
        )

    def cancel(self, run_id: str) -> None:
        with self._failures():
            self.client.cancel_statement(Id=run_id)

    def result(self, run: EngineRun) -> str:
        return f"refreshed {', '.join(self.views)}"

    def _failures(self) -> Any:
        return aws_failures("the Data API of Redshift")
