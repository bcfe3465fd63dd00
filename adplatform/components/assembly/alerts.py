"""Who hears when something breaks: failed runs, failing sensors and schedules, stale tables."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import TOPIC_TAG
from adplatform.components.assembly.errors import run_error, sentence
from adplatform.components.assembly.metadata import FAILURE_TOPIC
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.runs import FEED_TAG, NOTIFIED_TAG, RANGE_END, RANGE_START, said_of
from adplatform.failures import listed
from adplatform.flow.outbox import notify, send_unsent
from adplatform.flow.services import Services
from adplatform.ledger.messages import PLATFORM, Unsent
from adplatform.platform.calls import CODE_SERVER, acting
from adplatform.resources.named import LedgerResource, NotificationsResource, services_of

_PARTITION, _FIRST, _LAST = "dagster/partition", RANGE_START, RANGE_END


@dataclass(frozen=True)
class Concern:
    """Whom a run or an asset concerns: feeds by name, and their source's failure topic; None is the platform's."""

    feed: str
    topic: str | None


def concern_of(keys: Iterable[dg.AssetKey], repository: dg.RepositoryDefinition | None) -> Concern:
    """What assets have in common; those of sources with different topics concern the platform's."""
    found = sorted(keys)
    names = listed(dict.fromkeys("/".join(key.path[1:] or key.path) for key in found))
    graph = repository.asset_graph if repository else None
    topics = {graph.get(k).metadata.get(FAILURE_TOPIC) if graph and graph.has(k) else None for k in found}
    return Concern(names, topics.pop() if len(topics) == 1 else None)


def concern_of_run(run: dg.DagsterRun, repository: dg.RepositoryDefinition | None) -> Concern:
    """What a run is about: runs that the platform starts say it themselves, the others by what they materialize."""
    if FEED_TAG in run.tags:
        return Concern(run.tags[FEED_TAG], run.tags.get(TOPIC_TAG))
    keys = run.asset_selection or {check.asset_key for check in run.asset_check_selection or ()}
    if not keys and repository is not None and repository.has_job(run.job_name):
        keys = set(repository.get_job(run.job_name).asset_layer.selected_asset_keys)
    return concern_of(keys, repository) if keys else Concern(f"job {run.job_name}", None)


@acting(CODE_SERVER)
def failure_of_run(
    services: Services, run: dg.DagsterRun, error: str, repository: dg.RepositoryDefinition | None = None
) -> None:
    """Notify the failure topic of a run, once, however many assets it has."""
    concern = concern_of_run(run, repository)
    first, last = (run.tags.get(tag, run.tags.get(_PARTITION, "")) for tag in (_FIRST, _LAST))
    day = first if first == last else f"{first} to {last}"
    facts = {"feed": concern.feed, "date": day, "run_id": run.run_id, "job": run.job_name, "error": error}
    subject = f"{concern.feed} {day}".rstrip() + ": run failed"
    notify(services, PLATFORM, Unsent.of(concern.topic, "run_failed", subject, facts))


def build_alerts(status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    @dg.run_failure_sensor(
        name="failed_runs",
        description="Notifies the failure topic of a run that failed and is not tried again, once.",
        monitor_all_code_locations=True,
        default_status=status,
        minimum_interval_seconds=15,
    )
    @acting(CODE_SERVER)
    def failed_runs(
        context: dg.RunFailureSensorContext, ledger: LedgerResource, notifications: NotificationsResource
    ) -> None:
        services = services_of(ledger, notifications)
        run = context.dagster_run
        if run.tags.get("dagster/will_retry") != "true" and not said_of(run, NOTIFIED_TAG):
            failure_of_run(services, run, run_error(context), context.repository_def)

    @dg.sensor(
        name="failing_ticks",
        description="Notifies people of a sensor or schedule whose newest tick failed, once until it succeeds, and "
        "sends messages about the platform that could not be sent before, and closes alerts whose cause has ended.",
        default_status=status,
        minimum_interval_seconds=60,
    )
    @automated
    def failing_ticks(
        context: dg.SensorEvaluationContext, ledger: LedgerResource, notifications: NotificationsResource
    ) -> dg.SensorResult:
        """A sensor or schedule that raises shows red in the UI and nowhere else."""
        services = services_of(ledger, notifications)
        send_unsent(services, PLATFORM)
        known = read_cursor(context.cursor, dict[str, bool]) or {}
        failing: dict[str, bool] = {}
        for state in context.instance.all_instigator_state():
            ticks = context.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
            ticks = [tick for tick in ticks if tick.is_completed or tick.is_failure][:1]
            if ticks and ticks[0].is_failure:
                failing[state.instigator_name] = True
                if state.instigator_name not in known:
                    name = state.instigator_name
                    error = sentence(ticks[0].error, f"a tick of {name}")
                    facts = {"name": name, "error": error}
                    notify(services, PLATFORM, Unsent.of(None, "tick_failed", f"{name} fails", facts))
        alerting = services.alerting()
        if alerting is not None:
            alerting.end()
            for name in known.keys() - failing.keys():
                alerting.end_seen("tick_failed", {"name": name}, f"{name} works again")
        return dg.SensorResult(cursor=json.dumps(failing))

    @dg.sensor(
        name="stale_tables",
        description="Notifies people of a table to which nothing was published for longer than fresh_within allows, "
        "once until something is.",
        default_status=status,
        minimum_interval_seconds=300,
    )
    @automated
    def stale_tables(
        context: dg.SensorEvaluationContext, ledger: LedgerResource, notifications: NotificationsResource
    ) -> dg.SensorResult:
        """Dagster evaluates freshness policies; notifying people is ours."""
        services = services_of(ledger, notifications)
        known = read_cursor(context.cursor, list[str]) or []
        if context.repository_def is None:
            return dg.SensorResult(cursor=json.dumps(known))
        keys = [k for k in context.repository_def.asset_graph.get_all_asset_keys() if k.path[0] == "clean"]
        records = context.instance.get_freshness_state_records(keys)
        stale = sorted(k.to_user_string() for k, r in records.items() if r.freshness_state == "FAIL")
        for name in stale:
            if name not in known:
                concern = concern_of([dg.AssetKey.from_user_string(name)], context.repository_def)
                why = f"nothing was published to {concern.feed} for longer than its fresh_within allows"
                facts = {"asset": name, "feed": concern.feed, "error": why}
                message = Unsent.of(concern.topic, "table_stale", f"{name} is stale", facts)
                notify(services, PLATFORM, message)
        alerting = services.alerting()
        if alerting is not None:
            for name in set(known) - set(stale):
                facts = {"asset": name, "feed": name.partition("/")[2]}
                alerting.end_seen("table_stale", facts, f"{name} is fresh again")
        return dg.SensorResult(cursor=json.dumps(stale))

    return [failed_runs, failing_ticks, stale_tables]
