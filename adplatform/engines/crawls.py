"""Crawls of feeds with ``crawl: true``: one is wanted after a publication, run as those of every engine, and what it
found is compared with what is registered.

A crawl speaks for the table as it was when the crawl began. What was published later is for the next one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from adplatform.engines.crawler import GlueCrawler
from adplatform.engines.declared_crawlers import DeclaredCrawler, declared_crawler, provide
from adplatform.engines.failed import FailedRun, failed_runs
from adplatform.engines.runs import Look, Target, Watch
from adplatform.failures import PermanentFailure, TransientFailure, clipped, listed
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.crawled import crawled_tables, disagreements
from adplatform.lake.table import table_name
from adplatform.lake.zones import Zones
from adplatform.ledger.delivery import BUSY, DeliveryState
from adplatform.ledger.engine_run import EngineRun, Intention, IntentState
from adplatform.ledger.messages import Unsent
from adplatform.ledger.placements import Placement
from adplatform.ledger.report import FETCHABLE
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings
from adplatform.transform.compile import output_columns

LOOK_THROUGH = timedelta(hours=1)
"""How often every date of a table is asked for its publication, also where nothing was seen to be published."""
OVERTAKEN = "the table changed meanwhile; the next crawl says whether it agrees"
_SHOWN = 20
"""Differences that a run, a check and a message name."""


@dataclass(frozen=True)
class Published:
    """The newest publication of a table. ``feed`` is as its deliveries are named, ``at`` when readers of paths saw
    it."""

    feed: str
    day: date
    version: int
    at: datetime

    @property
    def key(self) -> str:
        return f"{self.feed}/{self.day}/v{self.version}"


@dataclass(frozen=True)
class Verdict:
    """What a crawl that counts said; no ``differences`` when it agrees with what is registered."""

    flow: FeedFlow
    run: EngineRun
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Since:
    """What an earlier look left: when the newest known crawl of each target began, the tables that were about to be
    published, and when all were looked through."""

    newest: Mapping[str, datetime] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    looked: datetime | None = None


@dataclass(frozen=True)
class CrawlLook:
    """What one look at the crawls of a source found, and what the next is to be given."""

    look: Look
    verdicts: tuple[Verdict, ...]
    since: Since


def crawled_flows(source: Source) -> tuple[FeedFlow, ...]:
    """The tables of the source that are crawled."""
    return tuple({flow.table: flow for flow in source.feeds if flow.feed.crawl}.values())


def target_name(flow: FeedFlow) -> str:
    """What a table's crawler is called among the targets of its source. No feed has a name with a hyphen."""
    return f"crawl-{flow.feed.name}"


def crawl_names(source: Source) -> list[str]:
    """What the crawls of a source can be called in a command."""
    return [f"{source.name}/{target_name(flow)}" for flow in crawled_flows(source)]


def crawl_watch(services: Services, source: Source, verdicts: list[Verdict] | None = None) -> Watch:
    """The crawls of a source. What those say that end while it is looked at is added to ``verdicts``."""
    found = [] if verdicts is None else verdicts
    flows = crawled_flows(source)
    targets = [_target(services, flow, found) for flow in flows]
    return Watch(services, source, targets, *(flow.topics for flow in flows[:1]))


def provide_crawlers(services: Services, source: Source) -> None:
    """Make the crawlers that are declared and missing.

    Raises:
        PermanentFailure, TransientFailure: as ``adplatform.engines.declared_crawlers.provide``.
    """
    for declared in declared_crawlers(services.settings, services.zones, source):
        provide(services.glue, declared)


def declared_crawlers(settings: Settings, zones: Zones, source: Source) -> list[DeclaredCrawler]:
    """The crawlers of the source's tables."""
    return [_declared(settings, zones, flow) for flow in crawled_flows(source)]


def failed_crawls(services: Services, source: Source) -> list[FailedRun]:
    """Crawls that were wanted and given up."""
    return failed_runs(services.ledger, source.name, map(target_name, crawled_flows(source)))


def look_at_crawls(services: Services, source: Source, before: Since, budget: Budget = UNLIMITED) -> CrawlLook:
    """Want a crawl of what was published, start what is due, and judge what has ended."""
    verdicts: list[Verdict] = []
    watch = crawl_watch(services, source, verdicts)
    now, every = services.ledger.now(), before.looked is None
    every = every or now - (before.looked or now) >= LOOK_THROUGH
    with aws_failures(f"the crawls of {source.name}"):
        active = [(feed, each) for feed, each in services.ledger.deliveries.active(source.name) if each.state in BUSY]
        busy = frozenset(_table_of(feed) for feed, _ in active)
        # One run lands a report and publishes its slices, whose deliveries may be at work between two looks only.
        if any(report.state in FETCHABLE for report in services.ledger.reports.active(source.name)):
            busy |= {flow.table for flow in crawled_flows(source)}
        running = {(feed, each.day) for feed, each in active if each.state is DeliveryState.RUNNING}
        waiting = [i.target for i in services.ledger.engine_runs.pursued(source.name) if _waits(i)]
        for flow, target in zip(crawled_flows(source), watch.targets, strict=True):
            if (every or flow.table in busy | before.busy) and target.name not in waiting:
                _want(services, watch, target, flow, running)
    look = watch.look(before.newest, budget)
    _forget(watch, verdicts)
    return CrawlLook(look, tuple(verdicts), Since(look.newest, busy, now if every else before.looked))


def newest_published(
    services: Services, flow: FeedFlow, running: Collection[tuple[str, date]] = ()
) -> Published | None:
    """The newest publication of a table, without deliveries that are ``running``: readers of paths may not see them
    yet."""
    scopes = [f"{flow.table}/{scope.id}" for scope in services.ledger.scopes.of_source(flow.source)]
    placed: list[tuple[datetime, str, Placement]] = []
    for feed in scopes or [flow.table]:
        of_feed = services.ledger.placements.of_feed(feed)
        placed += [(p.placed_at, feed, p) for p in of_feed if p.placed_at and (feed, p.day) not in running]
    if not placed:
        return None
    at, feed, newest = max(placed, key=lambda each: (each[0], each[1], each[2].day))
    row = services.ledger.publications.get(feed, newest.day, newest.version)
    ended = row.finished_at if row is not None and row.finished_at else at
    return Published(feed, newest.day, newest.version, max(at, ended))


def crawler_of(services: Services, flow: FeedFlow) -> DeclaredCrawler:
    return _declared(services.settings, services.zones, flow)


def _declared(settings: Settings, zones: Zones, flow: FeedFlow) -> DeclaredCrawler:
    partitioned = flow.feed.contract.partition_by is not None
    return declared_crawler(settings, zones, flow.table, partitioned=partitioned)


def _target(services: Services, flow: FeedFlow, verdicts: list[Verdict]) -> Target:
    unfit = ""
    if flow.feed.contract.partition_by is not None and not services.settings.path_copies:
        unfit = (
            f"{flow.table} cannot be crawled: a crawler reads the copies of current files, and ADPLATFORM_PATH_COPIES "
            "is off; switch them on, or leave out crawl"
        )
    once = partial(services.aws.client_once, "glue")
    crawler = GlueCrawler(services.glue, crawler_of(services, flow), unfit, once)
    return Target(target_name(flow), crawler, judge=partial(_judge, services, flow, crawler, verdicts))


def _want(
    services: Services, watch: Watch, target: Target, flow: FeedFlow, running: Collection[tuple[str, date]]
) -> None:
    newest = newest_published(services, flow, running)
    if newest is None:
        return
    if services.ledger.engine_runs.intention(flow.source, target.name, newest.key) is None:
        watch.intend(target, newest.key, end=newest.at)


def _waits(intention: Intention) -> bool:
    """Whether its crawl will see everything that is published by now."""
    return intention.state is IntentState.INTENDED and not intention.begun


def _judge(
    services: Services, flow: FeedFlow, crawler: GlueCrawler, verdicts: list[Verdict], run: EngineRun
) -> str | None:
    """What a crawl says otherwise than the catalog; None while something is being published."""
    began = run.started_at or services.ledger.now()
    if any(each.run_id != run.run_id and (each.started_at or began) >= began for each in crawler.recent(began)):
        return OVERTAKEN
    active = services.ledger.deliveries.active(flow.source)
    if any(_table_of(feed) == flow.table and each.state is DeliveryState.RUNNING for feed, each in active):
        return None
    with aws_failures(f"the table of {flow.table}"):
        differences = tuple(_differences(services, flow, crawler.declared))
    newest = newest_published(services, flow)
    if differences and newest is not None and newest.at > began:
        return OVERTAKEN
    _tell(services, flow, run, differences)
    verdicts.append(Verdict(flow, run, differences))
    return clipped(listed(differences, _SHOWN, "; "))


def _differences(services: Services, flow: FeedFlow, declared: DeclaredCrawler) -> Iterable[str]:
    catalog, named = services.lake.catalog, table_name(flow.table, services.settings.database_prefix)
    shown = catalog.table(named)
    if shown is None:
        return [f"{named.database}.{named.name} is not registered any more"]
    found = crawled_tables(services.glue, declared.database, declared.path)
    columns = [column.name for column in output_columns(flow.feed.contract)]
    return disagreements(services.zones, flow.table, shown, catalog.partitions(named), found, columns)


def _tell(services: Services, flow: FeedFlow, run: EngineRun, differences: Sequence[str]) -> None:
    """Notify people of differences, once for as long as they are the same."""
    messages, what = services.ledger.messages, f"crawl/{flow.table}"
    known, text = messages.troubles(flow.source).get(what), clipped(listed(differences, _SHOWN, "; "))
    if not differences:
        if known is not None:
            messages.clear_trouble(flow.source, what)
    elif known is None or known.error != text:
        messages.note_trouble(flow.source, what, text)
        facts = {"source": flow.source, "feed": flow.table, "run": run.run_id, "error": text}
        subject = f"{flow.table}: the crawler found something else than is registered"
        notify(services, flow.source, Unsent.of(flow.topics.failure, "crawl_disagrees", subject, facts))


def _forget(watch: Watch, verdicts: Iterable[Verdict]) -> None:
    """Remove what crawls made that are judged. The next start does the same where that fails."""
    judged = {target_name(verdict.flow) for verdict in verdicts}
    for target in watch.targets:
        if target.name in judged and isinstance(target.engine, GlueCrawler):
            with suppress(PermanentFailure, TransientFailure):
                target.engine.forget()


def _table_of(feed: str) -> str:
    """The table of deliveries of this name."""
    return "/".join(feed.split("/")[:2])
