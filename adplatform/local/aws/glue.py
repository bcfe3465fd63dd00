"""Glue: crawlers and jobs that do their work, and the Data Catalog with optimistic locking.

Iceberg commits and concurrent publishers rely on the locking.
"""

import operator
from collections.abc import Callable
from datetime import UTC
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.glue import urls
from moto.glue.exceptions import InvalidInputException, JobRunNotFoundException
from moto.glue.responses import GlueResponse

from adplatform.local.aws import crawler, glue_jobs
from adplatform.local.aws.managed import CONTROL

_PAGE_OF_RUNS = 200
_LONGEST_TIMEOUT = 7 * 24 * 60
"""Minutes (Glue API reference, StartJobRun)."""
_PAGE = 20
"""Crawls of a page that nobody asked to be of another size (Glue API reference, ListCrawls)."""
_PAGE_OF_PARTITIONS = 1000
"""The most partitions of a page (Glue API reference, GetPartitions)."""


class ConcurrentModificationException(JsonRESTError):
    code = 400

    def __init__(self, expected: str, current: str) -> None:
        super().__init__(
            "ConcurrentModificationException",
            f"Update table failed due to concurrent modifications: the current version is {current}, not {expected}.",
        )


class ThrottlingException(JsonRESTError):
    code = 400

    def __init__(self) -> None:
        super().__init__("ThrottlingException", "Rate exceeded")


class InternalServiceException(JsonRESTError):
    code = 500

    def __init__(self) -> None:
        super().__init__("InternalServiceException", "An internal service error occurred.")


class LocalGlueResponse(GlueResponse):
    def get_partitions(self) -> ActionResult:
        """moto has all on one page, whatever is asked for."""
        found = list(
            self.glue_backend.get_partitions(
                self.parameters["DatabaseName"], self.parameters["TableName"], self.parameters.get("Expression")
            )
        )
        begin = int(self.parameters.get("NextToken") or 0)
        end = begin + int(self.parameters.get("MaxResults") or _PAGE_OF_PARTITIONS)
        more = {"NextToken": str(end)} if len(found) > end else {}
        return ActionResult({"Partitions": [each.as_dict() for each in found[begin:end]], **more})

    def update_table(self) -> Any:
        """moto ignores VersionId, so that every concurrent writer wins and earlier commits vanish, and SkipArchive."""
        table_input = self.parameters["TableInput"]
        table = self.glue_backend.get_table(self.parameters["DatabaseName"], table_input["Name"])
        current = str(table._current_version)
        expected = self.parameters.get("VersionId")
        if expected is not None and str(expected) != current:
            raise ConcurrentModificationException(str(expected), current)
        table.update(table_input)
        if self.parameters.get("SkipArchive"):
            table.versions.pop(current, None)
        return EmptyResult()

    def start_crawler(self) -> Any:
        name = self._unthrottled("Name")
        crawler.start(self.glue_backend.get_crawler(name), _changed)
        if CONTROL.take("glue", "answer_lost", name):
            raise InternalServiceException
        return EmptyResult()

    def stop_crawler(self) -> Any:
        self._unthrottled("Name")
        return super().stop_crawler()

    def get_crawler(self) -> Any:
        self._unthrottled("Name")
        return super().get_crawler()

    def list_crawls(self) -> Any:
        """moto shows the first twenty and compares times as text, where the API takes milliseconds since 1970."""
        name = self._unthrottled("CrawlerName")
        crawls = self.glue_backend.get_crawler(name).crawls
        if CONTROL.take("glue", "history_expired", name):
            crawls[:] = [crawl for crawl in crawls if crawl.end_time is None]
        if CONTROL.take("glue", "no_records", name):
            return ActionResult({"Crawls": []})
        begin = self.parameters.get("NextToken")
        if begin is None and CONTROL.take("glue", "on_page_2", name):
            return ActionResult({"Crawls": [], "NextToken": "0"})
        described = [each.as_dict() for each in reversed(crawls)]
        shown = [each for each in described if all(_fits(each, f) for f in self.parameters.get("Filters", []))]
        first, most = int(begin or 0), int(self.parameters.get("MaxResults", _PAGE))
        more = {"NextToken": str(first + most)} if len(shown) > first + most else {}
        return ActionResult({"Crawls": shown[first : first + most], **more})

    def get_job(self) -> Any:
        """moto tells no capacity of a job with workers, which Glue computes."""
        self._unthrottled("JobName")
        answer = super().get_job()
        job = answer.result["Job"]
        if job["WorkerType"]:
            job["MaxCapacity"] = glue_jobs.capacity(job["WorkerType"], job["NumberOfWorkers"])
        return answer

    def update_job(self) -> Any:
        """moto has none."""
        name, given = self._unthrottled("JobName"), self.parameters["JobUpdate"]
        if given.get("WorkerType") and (given.get("MaxCapacity") or given.get("AllocatedCapacity")):
            raise InvalidInputException(
                "UpdateJob", "Please do not set Max Capacity if using Worker Type and Number of Workers."
            )
        glue_jobs.overwrite(self.glue_backend.get_job(name), given)
        return ActionResult({"JobName": name})

    def start_job_run(self) -> Any:
        name = self._unthrottled("JobName")
        glue_jobs.check_room(self.glue_backend.get_job(name))
        if int(self.parameters.get("Timeout") or 0) > _LONGEST_TIMEOUT:
            raise InvalidInputException("StartJobRun", f"Timeout must be at most {_LONGEST_TIMEOUT} minutes.")
        answer = super().start_job_run()
        glue_jobs.begin(self.glue_backend.get_job(name), answer.result["JobRunId"], _changed)
        if CONTROL.take("glue", "answer_lost", name):
            raise InternalServiceException
        return answer

    def get_job_run(self) -> Any:
        self._job_runs()
        if CONTROL.take("glue", "no_records", str(self.parameters["JobName"])):
            raise JobRunNotFoundException(str(self.parameters["RunId"]))
        return super().get_job_run()

    def get_job_runs(self) -> Any:
        """moto shows the oldest first."""
        name, runs = self._job_runs()
        if CONTROL.take("glue", "no_records", name):
            return ActionResult({"JobRuns": []})
        begin = self.parameters.get("NextToken")
        if begin is None and CONTROL.take("glue", "on_page_2", name):
            return ActionResult({"JobRuns": [], "NextToken": "0"})
        first, most = int(begin or 0), int(self.parameters.get("MaxResults", _PAGE_OF_RUNS))
        more = {"NextToken": str(first + most)} if len(runs) > first + most else {}
        shown = list(reversed(runs))[first : first + most]
        return ActionResult({"JobRuns": [each.as_dict() for each in shown], **more})

    def batch_stop_job_run(self) -> Any:
        name = self._unthrottled("JobName")
        return ActionResult(glue_jobs.stop(self.glue_backend.get_job(name), self.parameters["JobRunIds"]))

    def _job_runs(self) -> tuple[str, list[Any]]:
        """A job's name and runs, the oldest first."""
        name = self._unthrottled("JobName")
        runs: list[Any] = self.glue_backend.get_job(name).job_runs
        if CONTROL.take("glue", "history_expired", name):
            runs[:] = [run for run in runs if not run.ended]
        return name, runs

    def _unthrottled(self, parameter: str) -> str:
        name = str(self.parameters[parameter])
        if CONTROL.take("glue", "throttled", name):
            raise ThrottlingException
        return name


def _fits(crawl: dict[str, Any], wanted: dict[str, str]) -> bool:
    """Whether a crawl passes one filter."""
    field, value = wanted["FieldName"], wanted["FieldValue"]
    names = {"CRAWL_ID": "CrawlId", "STATE": "State", "START_TIME": "StartTime", "END_TIME": "EndTime"}
    own = crawl.get(names[field])
    if field in ("CRAWL_ID", "STATE"):
        return (own == value) is (wanted["FilterOperator"] == "EQ")
    if own is None:
        return False
    milliseconds = own.replace(tzinfo=UTC).timestamp() * 1000
    return bool(_COMPARED[wanted["FilterOperator"]](milliseconds, float(value)))


_COMPARED = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "GT": operator.gt,
    "GE": operator.ge,
    "LT": operator.lt,
    "LE": operator.le,
}


_changed: Callable[[], None]


def install(changed: Callable[[], None]) -> None:
    """``changed`` is called when the catalogue changed outside of a request."""
    global _changed  # noqa: PLW0603 - moto itself creates the responses
    _changed = changed
    crawler.install()
    glue_jobs.install()
    CONTROL.known["glue"] = {
        name: "; or ".join(filter(None, (crawler.FAULTS.get(name), glue_jobs.FAULTS.get(name))))
        for name in {**crawler.FAULTS, **glue_jobs.FAULTS}
    }
    urls.url_paths["{0}/$"] = LocalGlueResponse.dispatch
