"""Schedule expressions of AWS: when they are due, and how often."""

from datetime import UTC, datetime, timedelta

import pytest

from adplatform.local.aws.schedule_expressions import next_run, shortest_gap

NOW = datetime(2026, 3, 4, 10, 20, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 hour)", datetime(2026, 3, 4, 11, 20, 30, tzinfo=UTC)),
        ("rate(2 days)", datetime(2026, 3, 6, 10, 20, 30, tzinfo=UTC)),
        ("cron(0 12 * * ? *)", datetime(2026, 3, 4, 12, 0, tzinfo=UTC)),
        ("cron(20 10 * * ? *)", datetime(2026, 3, 5, 10, 20, tzinfo=UTC)),
        ("cron(21 * * * ? *)", datetime(2026, 3, 4, 10, 21, tzinfo=UTC)),
        ("cron(0 8/6 ? * MON-FRI *)", datetime(2026, 3, 4, 14, 0, tzinfo=UTC)),
        ("cron(0 8 ? * SUN *)", datetime(2026, 3, 8, 8, 0, tzinfo=UTC)),
        ("cron(0 0 1,15 * ? *)", datetime(2026, 3, 15, 0, 0, tzinfo=UTC)),
        ("cron(0 0 29 FEB ? *)", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
        ("cron(0 0 1 1 ? 2020)", None),
    ],
)
def test_next_run(expression: str, due: datetime | None) -> None:
    assert next_run(expression, NOW) == due


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("rate(30 minutes)", timedelta(minutes=30)),
        ("cron(0 * * * ? *)", timedelta(hours=1)),
        ("cron(0,59 0 * * ? *)", timedelta(minutes=59)),
        ("cron(0 0 1 1 ? 2027)", None),
    ],
)
def test_shortest_gap(expression: str, gap: timedelta | None) -> None:
    assert shortest_gap(expression, NOW) == gap


@pytest.mark.parametrize(
    "expression",
    [
        "daily",
        "rate(0 hours)",
        "rate(5 weeks)",
        "cron(0 12 * * *)",
        "cron(60 0 * * ? *)",
        "cron(0 0 * * * *)",
        "cron(0 0 L * ? *)",
        "cron(0 0 ? * 3#1 *)",
    ],
)
def test_what_is_no_expression_or_not_known_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        next_run(expression, NOW)
