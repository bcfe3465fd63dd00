"""The restatement watch of a report's table: how each date changed from wave to wave, as an asset with plots."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

from adplatform.amazon import restatement_watch
from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.sources import ReportSource
from adplatform.components.assembly.automation import unless_paused
from adplatform.components.assembly.metadata import topic_metadata
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.report_assets import clean_key
from adplatform.components.assembly.reports import run_tags
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import at_work, work_ended
from adplatform.components.assembly.specs import AssetSpecHook, unchanged, with_hook
from adplatform.failures import PermanentFailure, TransientFailure, listed
from adplatform.operations.restatement_plot import plots
from adplatform.platform.aws_errors import aws_failures
from adplatform.pull.account import Account
from adplatform.pull.watch import (
    REPORTED_FOR,
    AtRisk,
    Freshness,
    Gap,
    Watched,
    at_risk,
    freshness,
    gaps,
    restatements,
    seen_on,
)
from adplatform.resources.named import LedgerResource, services_of

SHOWN_PLOTS = 6
SHOWN_CHANGES = 100


def watch_key(account: Account, feed: str) -> dg.AssetKey:
    return dg.AssetKey(["restatement", account.source, feed])


def watch_definitions(
    account: Account,
    owners: Sequence[str],
    tags: dict[str, str],
    status: dg.DefaultScheduleStatus,
    hook: AssetSpecHook = unchanged,
) -> dg.Definitions:
    """The audit of every table that is restated, and its schedule; reports that Amazon makes by itself add to each
    other, so they have none."""
    assets = [
        watch_asset(account, definition, flow.feed.name, owners, tags)
        for definition, flow in account.tables()
        if not definition.discovered
    ]
    assets = with_hook(assets, hook)
    return dg.Definitions(assets=assets, schedules=[watch_schedule(account, assets, status)] if assets else [])


def watch_asset(
    account: Account, definition: ReportDefinition, feed: str, owners: Sequence[str], tags: dict[str, str]
) -> dg.AssetsDefinition:
    """Reads the ledger alone: the totals of each date and wave were noted when its slice landed. It has no partitions,
    because each run looks at all dates and scopes together. Of a snapshot, which is not restated, it only says how
    fresh it is and which dates it lacks."""
    key, within = watch_key(account, feed), account.fresh_within
    spec = dg.AssetSpec(
        key,
        deps=[dg.AssetDep(clean_key(account, feed), partition_mapping=dg.AllPartitionMapping())],
        description=f"How fresh {account.source}/{feed} is, and which dates it lacks."
        if definition.snapshot
        else f"How the dates of {account.source}/{feed} changed each time they were asked for again: a plot for "
        f"each {account.dimension} and metric that changed, the newest changes, and what is unusual, late or about to "
        "be lost.",
        group_name=account.source,
        owners=owners,
        kinds={"audit", "python"},
        tags=tags | {"zone": "audit"},
        metadata=topic_metadata(account.topics),
    )
    usual = dg.AssetCheckSpec(
        "usual_restatement", asset=key, description="No date changed later, or by more, than dates usually do."
    )
    fresh = dg.AssetCheckSpec(
        "fresh_by_data_date", asset=key, description="The newest published date of every scope ended recently."
    )
    kept = dg.AssetCheckSpec(
        "within_retention",
        asset=key,
        description="No date was missed, of which a snapshot cannot be had afterwards."
        if definition.snapshot
        else "No date is about to leave Amazon's retention unread.",
    )

    @dg.multi_asset(
        name=f"restatement__{account.source}__{feed}",
        specs=[spec],
        check_specs=[*([] if definition.snapshot else [usual]), kept, *([fresh] if within else [])],
    )
    @step_of(ReportSource.pattern)
    def watch(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        services = services_of(ledger)
        work = f"restatement {account.source}/{feed}"
        try:
            with aws_failures(f"{account.source}/{feed}"), at_work(context, services.ledger, work):
                if definition.snapshot:
                    watched, risky = [], [_gap(gap) for gap in gaps(services.ledger, account, definition)]
                else:
                    watched = restatements(services.ledger, account, definition, feed)
                    risky = [_risk(risk) for risk in at_risk(services.ledger, account, definition)]
                ages = freshness(services.ledger, account, definition, feed, within) if within else []
                work_ended(context, services.ledger, work)
        except (PermanentFailure, TransientFailure) as e:
            raise dg.Failure(str(e), allow_retries=False) from e
        if definition.snapshot:
            yield dg.MaterializeResult(asset_key=key)
            yield _check(kept, risky, f"every date of the last {REPORTED_FOR.days} days was had")
        else:
            since = services.ledger.now().date() - REPORTED_FOR
            metrics = (*definition.dataset(feed).plotted, restatement_watch.ROWS)
            yield dg.MaterializeResult(asset_key=key, metadata=_metadata(watched, metrics, since))
            findings = [f"{w.scope.id}: {finding}" for w in watched for finding in w.recent(since)]
            yield _check(usual, findings, f"no date changed unusually in the last {REPORTED_FOR.days} days")
            yield _check(kept, risky, "all dates that Amazon keeps are read or planned")
        if within:
            yield _check(fresh, [_stale(f) for f in ages if f.overdue], _fresh(ages))

    return watch


def _metadata(watched: Sequence[Watched], metrics: Sequence[str], since: date) -> dict[str, dg.MetadataValue]:
    """Plots of the scopes that deserve a look most, the newest changes, and counts of everything."""
    shown: dict[str, dg.MetadataValue] = {}
    plotted: set[str] = set()
    for each in sorted(watched, key=_interest, reverse=True)[:SHOWN_PLOTS]:
        for metric, picture in plots(each.observations, metrics, each.findings):
            shown[f"{each.scope.id} {metric}"] = dg.MetadataValue.md(picture)
            plotted.add(each.scope.id)
    if not plotted:
        shown["plots"] = dg.MetadataValue.text("none yet: no date has other values than when it was read before")
    records = _change_records(watched)
    if records:
        shown["changes"] = dg.MetadataValue.table(records)
    return {
        **shown,
        "scopes": dg.MetadataValue.int(len(watched)),
        "plotted scopes": dg.MetadataValue.int(len(plotted)),
        "changed values": dg.MetadataValue.int(sum(len(w.changes) for w in watched)),
        "unusual changes": dg.MetadataValue.int(sum(len(w.findings) for w in watched)),
        "recent unusual changes": dg.MetadataValue.int(sum(len(w.recent(since)) for w in watched)),
    }


def _interest(watched: Watched) -> tuple[date, int]:
    """The most recent unusual change first, then the greatest number of rows."""
    newest = max((seen_on(finding.change) for finding in watched.findings), default=date.min)
    return newest, sum(observation.rows for observation in watched.observations)


def _change_records(watched: Iterable[Watched]) -> list[dg.TableRecord]:
    """The newest changes of all scopes, of one day the unusual ones first."""
    rows = []
    for each in watched:
        unusual = {finding.change for finding in each.findings}
        rows += [(each.scope.id, change, change in unusual) for change in each.changes]
    rows.sort(key=lambda row: (seen_on(row[1]), row[2]), reverse=True)
    return [
        dg.TableRecord(
            {
                "scope": scope,
                "date": change.day.isoformat(),
                "metric": change.metric,
                "from age": change.age_before,
                "to age": change.age,
                "before": f"{change.before.normalize():f}",
                "after": f"{change.after.normalize():f}",
                "change": f"{change.relative:+.1%}" if change.relative is not None else "",
                "unusual": out_of_line,
            }
        )
        for scope, change, out_of_line in rows[:SHOWN_CHANGES]
    ]


def _risk(risk: AtRisk) -> str:
    why = (
        f"nothing was planned since {risk.day}, see the runs of the orders job"
        if risk.stands_still
        else "the requests of a day are not enough; materialize them by hand to ask for them now"
    )
    return f"{risk.scope}: {risk.dates} dates will soon be older than Amazon keeps and are not read yet: {why}"


def _gap(gap: Gap) -> str:
    days = listed([day.isoformat() for day in gap.dates])
    return f"{gap.scope}: nothing was had of {days}, and a snapshot cannot be asked for a date that is over"


def _stale(scope: Freshness) -> str:
    hours = int(scope.age / timedelta(hours=1)) if scope.age else 0
    if scope.newest is None:
        return f"{scope.scope.id}: nothing was published in the {hours} hours since it was first waited for"
    allowed = int(scope.allowed / timedelta(hours=1))
    return f"{scope.scope.id}: newest date {scope.newest} ended {hours} hours ago, {allowed} are allowed"


def _fresh(scopes: Sequence[Freshness]) -> str:
    if not scopes:
        return "no scope is known yet"
    waiting = sum(scope.waiting for scope in scopes)
    return f"{len(scopes) - waiting} scopes are fresh" + (f", {waiting} have no data yet" if waiting else "")


def _check(spec: dg.AssetCheckSpec, problems: Sequence[str], good: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not problems,
        description=listed(problems, separator="; ") or good,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"problems": len(problems)},
    )


def watch_schedule(
    account: Account, assets: Sequence[dg.AssetsDefinition], status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Four times a day, so that people hear of stale data within hours wherever its account is."""

    name = f"{account.source}_restatement_audit"
    tags = run_tags(account, account.source)
    description = f"Watches how {account.source} is restated, how fresh its data is, and which dates are at risk."

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(name, selection=list(assets), description=description, tags=tags),
        cron_schedule="40 */6 * * *",
        execution_timezone="UTC",
        default_status=status,
        tags=tags,
        description=description,
    )
    @automated
    @unless_paused(account.source)
    def watched(context: dg.ScheduleEvaluationContext, ledger: LedgerResource) -> dg.RunRequest:
        return dg.RunRequest(tags=tags)

    return watched
