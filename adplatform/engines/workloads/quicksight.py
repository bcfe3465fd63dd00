"""Imports of tables into SPICE, the memory of Amazon QuickSight: one ingestion for the newest publication.

Facts: QuickSight API reference, CreateIngestion: the caller gives the id, under which it is found again; ingestions of
a data set that are asked for while one runs wait in a queue.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adplatform.engines.engine import BroughtNothing, Busy, Finding, Limits, Postponed, Run
from adplatform.engines.workloads.engine import SEEN_SOON, token_of
from adplatform.failures import clipped
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.platform.aws_errors import aws_failures

_STATES = {
    "INITIALIZED": RunState.WAITING,
    "QUEUED": RunState.WAITING,
    "RUNNING": RunState.RUNNING,
    "COMPLETED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
}
_LONGEST = 500
"""Characters of what QuickSight says of an ingestion that are kept."""
_QUOTA_RESTS = timedelta(hours=1)
"""For how long nothing is asked when there were as many ingestions of a data set as there may be in 24 hours."""


@dataclass(frozen=True)
class Ingestion:
    """Of the data set ``data_set`` of the ``account`` that is asked for; ``client`` is one of QuickSight."""

    client: Any
    account: Callable[[], str]
    data_set: str

    limits = Limits(
        called="quicksight",
        token=32,
        token_life=timedelta(days=90),
        history=timedelta(days=90),
        patience=SEEN_SOON | {RunState.WAITING: timedelta(hours=2), RunState.RUNNING: timedelta(hours=6)},
        alone=True,
    )

    def check(self) -> Sequence[Finding]:
        with self._failures():
            try:
                mode = self.client.describe_data_set(**self._named)["DataSet"].get("ImportMode")
            except self.client.exceptions.ResourceNotFoundException:
                text = f"there is no data set {self.data_set} in QuickSight: `adplatform consumers apply` makes it"
                return [Finding(text)]
        text = f"the data set {self.data_set} is not imported into SPICE but queried: leave out refresh, or import it"
        return [Finding(text)] if mode != "SPICE" else []

    def start(self, intention: Intention, others: Collection[str]) -> str | Busy:
        """Its id is made of the intention, so a call that is repeated finds what an earlier one has begun."""
        run_id = token_of(intention)
        with self._failures():
            try:
                self.client.create_ingestion(**self._named, IngestionId=run_id, IngestionType="FULL_REFRESH")
            except self.client.exceptions.ResourceExistsException:
                return run_id
            except self.client.exceptions.LimitExceededException as e:
                said = e.response["Error"].get("Message", "")
                raise Postponed(f"data set {self.data_set}: {said}", _QUOTA_RESTS) from e
        return run_id

    def look(self, run_id: str) -> Run | None:
        with self._failures():
            try:
                told = self.client.describe_ingestion(**self._named, IngestionId=run_id)["Ingestion"]
            except self.client.exceptions.ResourceNotFoundException:
                return None
        said, rows, why = told["IngestionStatus"], told.get("RowInfo", {}), told.get("ErrorInfo", {})
        state = _STATES.get(said, RunState.RUNNING)
        final = state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
        seconds = timedelta(seconds=told.get("IngestionTimeInSeconds", 0))
        return Run(
            run_id=run_id,
            state=state,
            said=said,
            message=clipped(": ".join(filter(None, (why.get("Type"), why.get("Message")))), _LONGEST),
            final=final,
            started_at=told["CreatedTime"],
            ended_at=told["CreatedTime"] + seconds if final else None,
            records=rows.get("RowsIngested"),
            failed=rows.get("RowsDropped"),
            bytes=told.get("IngestionSizeInBytes"),
        )

    def cancel(self, run_id: str) -> None:
        with self._failures():
            try:
                self.client.cancel_ingestion(**self._named, IngestionId=run_id)
            except self.client.exceptions.InvalidParameterValueException:
                return

    def result(self, run: EngineRun) -> str:
        if run.failed:
            raise BroughtNothing(
                f"SPICE dropped {run.failed} rows and has {run.records}: texts that are too long, or dates that it "
                "cannot show; `adplatform validate` and the check fit_for_quicksight say which columns"
            )
        return f"{run.records} rows in SPICE"

    @property
    def _named(self) -> dict[str, str]:
        return {"AwsAccountId": self.account(), "DataSetId": self.data_set}

    def _failures(self) -> Any:
        return aws_failures(f"data set {self.data_set} of QuickSight")
