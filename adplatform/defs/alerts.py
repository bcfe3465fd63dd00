"""Who hears when something breaks: failed runs, failing sensors and schedules, stale tables."""

import json

import dagster as dg

from adplatform.components.delivery_assets import DEADLINE_TAG, TOPIC_TAG
from adplatform.components.ownership import automated
from adplatform.components.runs import FEED_TAG, TOLD_TAG
from adplatform.contracts.source import Topics
from adplatform.flow.services import Services
from adplatform.flow.settings import read_settings

MAX_TEXT = 2000
"""Characters of an error that a message carries."""


def failure_of_run(services: Services, run: dg.DagsterRun, error: str) -> None:
    """Tell the failure topic about a run. A missed deadline is its own event, so it can go to other people."""
    feed, day = run.tags.get(FEED_TAG, "unknown feed"), run.tags.get("dagster/partition", "")
    missed = run.tags.get(DEADLINE_TAG) == "missed"
    services.notifier(Topics(failure=run.tags.get(TOPIC_TAG))).failure(
        "delivery_missed" if missed else "run_failed",
        f"{feed} {day}: {'not delivered in time' if missed else 'run failed'}",
        {"feed": feed, "date": day, "run_id": run.run_id, "job": run.job_name, "error": error[:MAX_TEXT]},
    )


def run_error(context: dg.RunFailureSensorContext) -> str:
    """The message of the step that failed, which says what to do, else that of the run."""
    steps = [e.step_failure_data.error for e in context.get_step_failure_events()]
    return next((e.message for e in steps if e), context.failure_event.message or "")


def build_alerts(status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    @dg.run_failure_sensor(
        name="failed_runs", monitor_all_code_locations=True, default_status=status, minimum_interval_seconds=15
    )
    def failed_runs(context: dg.RunFailureSensorContext, services: dg.ResourceParam[Services]) -> None:
        tags = context.dagster_run.tags
        if tags.get("dagster/will_retry") != "true" and TOLD_TAG not in tags:
            failure_of_run(services, context.dagster_run, run_error(context))

    @dg.sensor(name="failing_ticks", default_status=status, minimum_interval_seconds=60)
    @automated
    def failing_ticks(context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]) -> dg.SensorResult:
        """A sensor or schedule that raises shows red in the UI and nowhere else."""
        known: dict[str, bool] = json.loads(context.cursor) if context.cursor else {}
        failing: dict[str, bool] = {}
        for state in context.instance.all_instigator_state():
            ticks = context.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
            ticks = [tick for tick in ticks if tick.is_completed or tick.is_failure][:1]
            if ticks and ticks[0].is_failure:
                failing[state.instigator_name] = True
                if state.instigator_name not in known:
                    error = ticks[0].error.message if ticks[0].error else ""
                    services.notifier().failure(
                        "tick_failed",
                        f"{state.instigator_name} fails",
                        {"name": state.instigator_name, "error": error[:MAX_TEXT]},
                    )
        return dg.SensorResult(cursor=json.dumps(failing))

    @dg.sensor(name="stale_tables", default_status=status, minimum_interval_seconds=300)
    @automated
    def stale_tables(context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]) -> dg.SensorResult:
        """Dagster evaluates freshness policies; telling somebody is ours."""
        known: list[str] = json.loads(context.cursor) if context.cursor else []
        if context.repository_def is None:
            return dg.SensorResult(cursor=json.dumps(known))
        keys = [k for k in context.repository_def.asset_graph.get_all_asset_keys() if k.path[0] == "clean"]
        records = context.instance.get_freshness_state_records(keys)
        stale = sorted(k.to_user_string() for k, r in records.items() if r.freshness_state == "FAIL")
        for name in stale:
            if name not in known:
                services.notifier().failure("table_stale", f"{name} is stale", {"asset": name})
        return dg.SensorResult(cursor=json.dumps(stale))

    return [failed_runs, failing_ticks, stale_tables]


@dg.definitions
def alerts() -> dg.Definitions:
    on = read_settings().automation
    return dg.Definitions(
        sensors=build_alerts(dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED)
    )
