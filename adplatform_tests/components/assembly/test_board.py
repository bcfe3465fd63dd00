"""The operations board in Dagster."""

from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from adplatform.components.assembly.board import KEY, MOST_ROWS, board_definitions, shown
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.operations.board import Counts, look_over
from adplatform.operations.pictures import Bar, bars, pictures
from adplatform.operations.sections import Section
from adplatform.operations.svg import SHOWN_AT_ONCE
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
    metadata = rebuilt(timed, instance, acme(timed, *feeds))
    texts = {name: each.value for name, each in metadata.items() if isinstance(each, dg.MarkdownMetadataValue)}
    assert {name: len(text) for name, text in texts.items() if len(text) > SHOWN_AT_ONCE} == {}
    assert texts["waiting"] == "no delivery waits"
    first, *_ = metadata["failed"].value.records
    assert first.data["what, why, and what to do"].startswith("acme/orders_2 2026-05-27: *** is damaged; mend it")
    assert [len(metadata[name].value.records) for name in ("failed", "arrivals")] == [14, MOST_ROWS + 1]
    assert metadata["arrivals"].value.records[-1].data["feed"] == "and 130 more: `adplatform status`"
    assert texts["rows a date"].count("v-") == 26, "13 dates have rows, and of each some are quarantined"
    assert "ann@example.com" not in repr(metadata)
    assert metadata["stale tables"].value == 19


def test_a_platform_without_sources_has_a_board(timed: Services, instance: dg.DagsterInstance) -> None:
    metadata = rebuilt(timed, instance)
    assert (metadata["failed or overdue"].value, metadata["freshness"].value) == (0, "no table is declared")


def test_sources_of_all_patterns_are_on_it(timed: Services, instance: dg.DagsterInstance) -> None:
    metadata = rebuilt(timed, instance, *declared_patterns(timed.settings))
    assert metadata["failed"].value == "nothing has failed"


def test_the_schedule_rebuilds_it_where_this_instance_owns_the_automation(
    timed: Services, instance: dg.DagsterInstance
) -> None:
    definitions = defined(timed)
    schedule = definitions.resolve_schedule_def("operations_board_hourly")
    context = dg.build_schedule_context(instance=instance, resources=resources_with(timed))
    [request] = schedule.evaluate_tick(context).run_requests or ()
    assert (request.run_key, request.tags["dagster/priority"]) == (None, "1"), "it goes before deliveries"


def test_a_row_with_a_bar_in_it_stays_one_row() -> None:
    section = Section("failed", ("what", "why"), (("a", "x | y\nz"),), "nothing")
    assert str(shown(section).value).splitlines()[-1] == "| a | x \\| y z |"


def test_the_largest_picture_is_shown_at_once(timed: Services) -> None:
    most = Counts(10**9, 10**18, 10**15, 1, 1, 10**15, 0, 10.0**9)
    board = look_over(timed, [])
    full = replace(board, days=tuple(replace(each, counts=most) for each in board.days))
    assert max(len(picture) for _, picture in pictures(full)) <= SHOWN_AT_ONCE


def test_a_picture_that_would_not_be_shown_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="999 are shown at once"):
        bars("x" * SHOWN_AT_ONCE, [Bar(1)], "a", "b")
