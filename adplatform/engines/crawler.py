"""A Glue crawler as an engine: it reads what has been published and brings nothing but its opinion of it.

Facts: Glue API reference, StartCrawler, ListCrawls.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adplatform.engines.declared_crawlers import DeclaredCrawler, drift
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.failures import PermanentFailure, TransientFailure, clipped
from adplatform.lake.crawled import crawled_tables, drop_tables
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.platform.aws_errors import aws_failures

_STATES = {
    "RUNNING": RunState.RUNNING,
    "COMPLETED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "STOPPED": RunState.CANCELLED,
}
_PAGE = 100
"""The most crawls of a page (ListCrawls)."""
_CLOCKS = timedelta(minutes=1)
"""By how much the clock of Glue and ours may differ."""
_LONGEST = 500
"""Characters of what Glue says of a crawl that are kept."""


@dataclass(frozen=True)
class GlueCrawler:
    """The crawler of one table; ``client`` is one of Glue, ``client_once`` makes one that repeats no call by itself.
    ``unfit`` is why the table cannot be crawled at all.

    Glue runs one crawl of a crawler at a time, takes no token, and answers a start without the id of the crawl, which
    is found in the list of crawls.
    """

    client: Any
    declared: DeclaredCrawler
    unfit: str = ""
    client_once: Callable[[], Any] | None = None

    limits = Limits(
        called="crawler",
        history=timedelta(days=30),
        patience={RunState.UNSEEN: timedelta(minutes=15), RunState.RUNNING: timedelta(hours=6)},
    )

    @property
    def name(self) -> str:
        return self.declared.name

    def check(self) -> Sequence[Finding]:
        found = [*drift(self.declared, self._described()), *([Finding(self.unfit)] if self.unfit else [])]
        database = self.declared.database
        with self._failures():
            try:
                self.client.get_database(Name=database)
            except self.client.exceptions.EntityNotFoundException:
                text = f"crawler {self.name}: there is no database {database}: `adplatform provision` makes it"
                found.append(Finding(text))
        return found

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        """As ``adplatform.engines.engine.Engine``. What earlier crawls left is removed first: a crawler that logs
        changes only would leave it as it is."""
        state = self._described()["State"]
        if intention.begun > 1 and (run := self._started_for(intention, others)) is not None:
            return Started(run.run_id, adopted=True)
        if state != "READY":
            return self._busy()
        known = {run.run_id for run in self.recent(datetime.now(UTC) - self.limits.history)}
        with self._failures():
            self.forget()
            try:
                (self.client_once() if self.client_once else self.client).start_crawler(Name=self.name)
            except self.client.exceptions.CrawlerRunningException:
                return self._busy()
        new = [run.run_id for run in self.recent(datetime.now(UTC) - timedelta(days=1)) if run.run_id not in known]
        if not new:
            raise TransientFailure(f"crawler {self.name} was started, and the list of its crawls does not show it yet")
        return Started(new[0])

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        listed = (each for run_id in run_ids for each in self._crawls("CRAWL_ID", "EQ", run_id))
        return {run.run_id: run for run in map(_run, listed)}

    def recent(self, since: datetime) -> Iterator[Run]:
        milliseconds = int(since.timestamp() * 1000)
        return map(_run, self._crawls("START_TIME", "GE", str(max(milliseconds, 0))))

    def claims(self, run: Run) -> Iterator[Claim]:
        return iter(())

    def cancel(self, run_id: str) -> bool:
        run = self.observe([run_id]).get(run_id)
        if run is not None and run.final:
            return False
        going = self._going()
        if going != run_id:
            raise PermanentFailure(f"crawler {self.name} is not at crawl {run_id}, but at {going or 'none'}")
        with self._failures():
            try:
                self.client.stop_crawler(Name=self.name)
            except self.client.exceptions.CrawlerStoppingException:
                return True
            except self.client.exceptions.CrawlerNotRunningException:
                return False
        return True

    def forget(self) -> None:
        """Remove the tables that crawls have made."""
        glue, database = self.client, self.declared.database
        with self._failures():
            drop_tables(glue, database, crawled_tables(glue, database, self.declared.path))

    def _started_for(self, intention: Intention, others: Collection[str]) -> Run | None:
        """The newest crawl that an earlier call may have started. Any crawl since what is wanted is as good as our
        own."""
        since = intention.window_end or (intention.begun_at or datetime.now(UTC)) - _CLOCKS
        runs = [run for run in self.recent(since) if run.run_id not in others and run.started_at]
        return max(runs, key=lambda run: (run.started_at or since, run.run_id), default=None)

    def _busy(self) -> Busy:
        return Busy(self._going())

    def _going(self) -> str:
        """The crawl that goes on; empty where the list shows none."""
        return next((str(each["CrawlId"]) for each in self._crawls("STATE", "EQ", "RUNNING")), "")

    def _described(self) -> dict[str, Any]:
        with self._failures():
            described: dict[str, Any] = self.client.get_crawler(Name=self.name)["Crawler"]
        return described

    def _crawls(self, field: str, how: str, value: str) -> Iterator[dict[str, Any]]:
        wanted = {"FieldName": field, "FilterOperator": how, "FieldValue": value}
        page: dict[str, Any] = {}
        with self._failures():
            while True:
                answer = self.client.list_crawls(CrawlerName=self.name, Filters=[wanted], MaxResults=_PAGE, **page)
                yield from answer.get("Crawls", ())
                if not answer.get("NextToken"):
                    return
                page = {"NextToken": answer["NextToken"]}

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """
        Raises:
            PermanentFailure: there is no such crawler; otherwise as ``aws_failures``.
        """
        with aws_failures(f"crawler {self.name}"):
            try:
                yield
            except self.client.exceptions.EntityNotFoundException as e:
                said = e.response["Error"].get("Message", "")
                raise PermanentFailure(
                    f"there is no crawler {self.name}, or no database of it: `adplatform provision` makes both ({said})"
                ) from e


def _run(crawl: Mapping[str, Any]) -> Run:
    said = crawl["State"]
    state = _STATES.get(said, RunState.RUNNING)
    return Run(
        run_id=crawl["CrawlId"],
        state=state,
        said=said,
        message=clipped(crawl.get("ErrorMessage", ""), _LONGEST),
        final=state is not RunState.RUNNING,
        started_at=crawl.get("StartTime"),
        ended_at=crawl.get("EndTime"),
    )
