"""What engines do for the tables of any source, whatever brings its data."""

from adplatform.engines.crawls import crawl_names, crawl_watch, failed_crawls
from adplatform.engines.failed import FailedRun
from adplatform.engines.runs import Watch
from adplatform.engines.spark_work import spark_watch
from adplatform.engines.workloads.runs import failed_workloads, workload_names, workload_watch
from adplatform.flow.pattern import Failed, Pattern
from adplatform.flow.services import Services
from adplatform.flow.source import Source


def engine_watches(services: Services, source: Source) -> list[Watch]:
    """Crawls, what Spark does, and what services do with tables when they were published."""
    return [crawl_watch(services, source), spark_watch(services, source), workload_watch(services, source)]


def engine_names(source: Source) -> list[str]:
    """What crawls and workloads of a source can be called in a command."""
    return [*crawl_names(source), *workload_names(source)]


def everything_failed(services: Services, pattern: Pattern) -> list[Failed]:
    """What of a source has failed and stays so, with what engines do for its tables."""
    return [*pattern.failed(services), *failed_of_engines(services, pattern.source)]


def failed_of_engines(services: Services, source: Source) -> list[FailedRun]:
    """Crawls and workloads that were wanted and given up."""
    return [*failed_crawls(services, source), *failed_workloads(services, source)]
