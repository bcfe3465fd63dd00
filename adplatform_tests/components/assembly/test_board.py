"""The operations board in Dagster."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from adplatform.components.assembly.board import KEY, board_definitions, markdown
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.operations.pictures import SHOWN_AT_ONCE, Bar, bars
from adplatform.operations.sections import Section
from adplatform.patterns import declared_patterns
from adplatform_tests.operations.history import FEED, NOON, acme, days_before, fail, publish
from adplatform_tests.support.platforms import resources_with


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


def defined(services: Services, *patterns: Pattern) -> dg.Definitions:
    resources = dg.Definitions(resources=resources_with(services), executor=dg.in_process_executor)
    return dg.Definitions.merge(board_definitions(lambda: patterns, dg.DefaultScheduleStatus.STOPPED), resources)


def rebuilt(services: Services, instance: dg.DagsterInstance, *patterns: Pattern) -> dict[str, dg.MetadataValue]:  # type: ignore[type-arg]
    result = dg.materialize([defined(services, *patterns).resolve_assets_def(KEY)], instance=instance)
    [event] = result.get_asset_materialization_events()
    return dict(event.materialization.metadata)


def test_the_board_shows_at_once_what_matters_and_no_name_of_a_file(
    timed: Services, instance: dg.DagsterInstance
) -> None:
    feeds = [{**FEED, "name": f"orders_{n}"} for n in range(20)]
    for n in range(1, 15):
        publish(timed, "acme/orders_1", days_before(n), NOON - timedelta(days=n), rows_in=10**9 + n, quarantined=n)
        fail(timed, "acme/orders_2", days_before(n))
    shown = rebuilt(timed, instance, acme(timed, *feeds))
    texts = {name: each.value for name, each in shown.items() if isinstance(each, dg.MarkdownMetadataValue)}
    assert {name: len(text) for name, text in texts.items() if len(text) > SHOWN_AT_ONCE} == {}
    assert "| acme/orders_2 2026-05-27: *** is damaged; mend it" in texts["failed"]
    assert texts["failed"].endswith("more: `adplatform status`")
    assert texts["waiting"] == "no delivery waits"
    svg = base64.b64decode(texts["rows a day"].partition("base64,")[2].removesuffix(")")).decode()
    assert svg.count("v-") == 26, "13 dates have rows, and of each some are quarantined"
    assert "ann@example.com" not in json.dumps([str(each.value) for each in shown.values()])
    assert shown["stale tables"].value == 19


def test_a_platform_without_sources_has_a_board(timed: Services, instance: dg.DagsterInstance) -> None:
    shown = rebuilt(timed, instance)
    assert (shown["troubles"].value, shown["tables"].value) == (0, "no table is declared")


def test_sources_of_all_patterns_are_on_it(timed: Services, instance: dg.DagsterInstance) -> None:
    shown = rebuilt(timed, instance, *declared_patterns(timed.settings))
    assert shown["failed"].value == "nothing has failed"


def test_the_schedule_rebuilds_it_where_this_instance_owns_the_automation(
    timed: Services, instance: dg.DagsterInstance
) -> None:
    definitions = defined(timed)
    schedule = definitions.resolve_schedule_def("operations_board_hourly")
    context = dg.build_schedule_context(instance=instance, resources=resources_with(timed))
    [request] = schedule.evaluate_tick(context).run_requests or ()
    assert request.run_key is None


def test_a_row_with_a_bar_in_it_stays_one_row() -> None:
    section = Section("failed", ("what", "why"), (("a", "x | y\nz"),), "nothing")
    assert markdown(section).splitlines()[-1] == "| a | x \\| y z |"


def test_a_picture_that_would_not_be_shown_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="999 are shown at once"):
        bars("x" * 500, [Bar(1)], "a", "b")
