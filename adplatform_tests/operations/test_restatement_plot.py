"""The pictures of how dates were restated."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from adplatform.amazon import restatement_watch as watch
from adplatform.amazon.restatement_watch import Finding, Observation
from adplatform.operations.restatement_plot import plots
from adplatform.operations.svg import BAD, SHOWN_AT_ONCE

DAY = date(2026, 6, 1)
AGES = (1, 2, 3, 4, 7, 14, 28, 42, 58, 90)


def seen(day: date, age: int, rows: int = 3, **totals: int) -> Observation:
    as_of = datetime(day.year, day.month, day.day, 20, tzinfo=UTC) + timedelta(days=age)
    return Observation(day, as_of, age, {name: Decimal(value) for name, value in totals.items()}, rows)


def unusual(observations: Sequence[Observation]) -> list[Finding]:
    return watch.unusual(watch.changes(observations), observations, attribution_days=14)


def drawn(markdown: str) -> ElementTree.Element:
    """The picture of what a page is given."""
    assert len(markdown) <= SHOWN_AT_ONCE
    return ElementTree.fromstring(unquote(markdown.partition("svg+xml,")[2].removesuffix(">)")))


def lines(markdown: str, color: str) -> list[str]:
    return [each.get("d", "") for each in drawn(markdown) if each.get("stroke") == color]


MANY = [
    seen(DAY - timedelta(days=n), age, rows=1 + n % 3, clicks=1000 - 7 * n - age * n % 13, sales14d=10 * age + n)
    for n in range(90)
    for age in AGES
]


@pytest.mark.parametrize(
    ("observations", "plotted"),
    [
        ([], []),
        (MANY[:1], []),
        (MANY[:10], ["sales14d"]),
        (MANY, ["clicks", "sales14d"]),
        ([replace(MANY[0], totals={}, rows=0)], []),
    ],
)
def test_metrics_that_changed_have_a_picture_that_is_shown_at_once(
    observations: list[Observation], plotted: list[str]
) -> None:
    pictures = dict(plots(observations, ("clicks", "cost", "sales14d", watch.ROWS), unusual(observations)))
    assert list(pictures) == plotted
    least = {"clicks": 95, "sales14d": 1}
    for metric, picture in pictures.items():
        title, first, last = (each.text or "" for each in drawn(picture) if each.tag.endswith("text"))
        assert title.startswith(f"{least[metric]} to 105 % of what a date has last")
        assert (first, last) == ("day 1", "day 90 after the date")


def test_the_largest_picture_is_shown_at_once() -> None:
    """Each date goes to and fro by a thousand times what it has last; names of metrics may be of any length."""
    metric = "ein sehr langer Titel einer Spalte mit Umlauten wie ä und ß" * 20
    wild = [
        seen(DAY - timedelta(days=n), age, **{metric: 1 + 999 * ((n + at) % 2)})
        for n in range(9)
        for at, age in enumerate(AGES)
    ]
    findings = [Finding(change, "odd") for change in watch.changes(wild)]
    [(_, picture)] = plots(wild, (metric,), findings)
    [both] = lines(picture, BAD)
    assert both.count("M") == 2


def test_a_date_with_an_unusual_change_is_drawn_in_red_from_one_value_to_the_other() -> None:
    calm = [seen(DAY - timedelta(days=n), age, clicks=100 + n * (age == 1)) for n in range(20) for age in AGES]
    odd = [replace(o, totals={"clicks": Decimal(200)}) if o.day == DAY and o.age > 9 else o for o in calm]
    findings = unusual(odd)
    assert [finding.change.age for finding in findings] == [14]
    [(_, picture)] = plots(odd, ["clicks"], findings)
    [line] = lines(picture, BAD)
    levels = [int(step.rpartition("+" if "+" in step else "-")[2]) for step in line.partition("l")[2].split()]
    assert sum(level > 0 for level in levels) == 1, "it is level but for one step"
    assert "red: 01 Jun" in str(next(each.text for each in drawn(picture) if each.tag.endswith("text")))
    [(_, unmarked)] = plots(odd, ["clicks"])
    assert lines(unmarked, BAD) == []
    assert dict(plots(list(reversed(odd)), ["clicks"])) == {"clicks": unmarked}
