"""What sources may use, and what is kept back where one has used that: its engines' runs and its backfills, and where
its declaration says so all of it, until the day or month is over or somebody allows more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import ValidationError

from adplatform.contracts.cost import Amounts, CostBudget
from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.failures import PermanentFailure
from adplatform.flow.outbox import send_unsent
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Unsent
from adplatform.ledger.spendings import Spent
from adplatform.ledger.table import Write
from adplatform.platform.settings import PREFIX, Settings

GUARD = "the cost guard"
"""By whom a source is paused at a limit."""
LATELY = 7
"""Days before the present one by which is told what the rest of it will use."""
_BYTES = 10**9
_SHOWN = {"requests": "requests", "dpu_hours": "DPU-hours", "vcpu_hours": "vCPU-hours", "bytes": "GB"}
Period = Literal["day", "month"]


@dataclass(frozen=True)
class Standing:
    """What a source has ``used`` in the present day or month (UTC) of what it may, which is ``limit``, with what was
    allowed beside its budget. ``forecast`` is what it comes to by the end of that. Gigabytes are shown, bytes
    counted."""

    source: str
    period: Period
    unit: str
    used: Decimal
    limit: Decimal
    forecast: Decimal

    @property
    def over(self) -> bool:
        return self.used >= self.limit

    def shown(self, amount: Decimal) -> str:
        """An amount of what it counts, with its unit."""
        return f"{_shown(self.unit, amount)} {_SHOWN[self.unit]}"

    def __str__(self) -> str:
        return f"{_shown(self.unit, self.used)} of {self.shown(self.limit)} of this {self.period}"


def budget_of(settings: Settings, declared: CostBudget | None) -> CostBudget | None:
    """What a source may use: what is ``declared`` for it, or the platform's default; None for any amount.

    Raises:
        PermanentFailure: the default is no budget.
    """
    if declared is not None or not settings.budget:
        return declared
    try:
        return CostBudget.model_validate_json(settings.budget)
    except ValidationError as e:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in e.errors())
        raise PermanentFailure(f"{PREFIX}BUDGET is no budget: {found}") from e


def used_writes(
    services: Services, source: str, declared: CostBudget | None, used: Mapping[str, Decimal | int]
) -> list[Write]:
    """What is used, to be written with what has used it; none where the source has no budget."""
    return services.ledger.spendings.written(source, used) if budget_of(services.settings, declared) else []


def standings(ledger: Ledger, source: str, budget: CostBudget | None) -> list[Standing]:
    """Where a source stands with each of its limits."""
    if budget is None:
        return []
    now = ledger.now().astimezone(UTC)
    today, month = now.date(), now.date().replace(day=1)
    spent = ledger.spendings.since(source, min(month, today - timedelta(days=LATELY)))
    periods: tuple[tuple[Period, date, Amounts], ...] = (("day", today, budget.day), ("month", month, budget.month))
    found = []
    for period, first, amounts in periods:
        for name, amount in amounts.limits.items():
            unit, limit = ("bytes", amount * _BYTES) if name == "gigabytes" else (name, amount)
            within = [each for each in spent if each.day >= first]
            used = sum((each.used(unit) for each in within), Decimal(0))
            more = sum((each.more(unit) for each in within), Decimal(0))
            to_come = _a_day(spent, unit, now) * _days_left(period, now)
            found.append(Standing(source, period, unit, used, limit + more, used + to_come))
    return found


def held(services: Services, source: str, declared: CostBudget | None, topics: Topics = PLATFORM_TOPICS) -> str:
    """Why nothing that costs is to begin for a source, "" where it may. People are notified when a limit is reached."""
    over = [each for each in standings(services.ledger, source, budget_of(services.settings, declared)) if each.over]
    if not over:
        return ""
    for each in over:
        _notify(services, each, topics)
    return kept_back(over)


def kept_back(over: Sequence[Standing]) -> str:
    """What a limit that is reached keeps back, and what helps, in a sentence."""
    source, longest = over[0].source, "month" if any(each.period == "month" for each in over) else "day"
    return (
        f"{source} has used {', '.join(map(str, over))} (UTC): none of its engines' runs and backfills begins before "
        f"the next {longest}, or `adplatform budget allow {source}`"
    )


def guard(services: Services, sources: Iterable[Source]) -> None:
    """Notify people of limits that are reached, and pause the sources whose deliveries wait then; those go on once they
    may use more."""
    pauses = services.ledger.pauses
    for source in sources:
        budget = budget_of(services.settings, source.budget)
        if budget is None:
            continue
        why = held(services, source.name, source.budget, *(flow.topics for flow in source.feeds[:1]))
        if why and budget.deliveries == "wait":
            pauses.begin(source.name, GUARD, why)
        elif not why and (pause := pauses.of(source.name)) is not None and pause.by == GUARD:
            pauses.end(source.name)


def allow(services: Services, source: Source, more: Mapping[str, Decimal], by: str, why: str) -> list[Standing]:
    """Allow a source to use so much more today, by unit, or, where ``more`` is empty, as much of each limit again; what
    that comes to. What is allowed counts for the month, too.

    Raises:
        PermanentFailure: the source has no budget, or none of such a unit.
    """
    budget = budget_of(services.settings, source.budget)
    before = standings(services.ledger, source.name, budget)
    known = {each.unit for each in before}
    if not known:
        raise PermanentFailure(f"{source.name} has no budget, so it may use whatever it does")
    if unknown := more.keys() - known:
        raise PermanentFailure(
            f"{source.name} has no limit of {', '.join(_SHOWN[each] for each in sorted(unknown))}; it has some of "
            f"{', '.join(_SHOWN[each] for each in sorted(known))}"
        )
    given = more or {each.unit: each.limit for each in reversed(before)}  # of two limits the day's
    services.ledger.spendings.allow(source.name, given, by, why)
    guard(services, [source])
    return standings(services.ledger, source.name, budget)


def _a_day(spent: Sequence[Spent], unit: str, now: datetime) -> Decimal:
    """How much the source uses a day: by the days before, or where nothing is known of them, by the present one."""
    today = now.date()
    lately = [each for each in spent if today - timedelta(days=LATELY) <= each.day < today]
    if lately:
        known = (today - lately[0].day).days
        return sum((each.used(unit) for each in lately), Decimal(0)) / known
    used = sum((each.used(unit) for each in spent if each.day == today), Decimal(0))
    return used / max(_gone(now), Decimal(1) / 24)


def _days_left(period: Period, now: datetime) -> Decimal:
    left = 1 - _gone(now)
    if period == "day":
        return left
    following = (now.date().replace(day=1) + timedelta(days=32)).replace(day=1)
    return left + (following - now.date()).days - 1


def _gone(now: datetime) -> Decimal:
    """Which part of the present day is over."""
    begun = datetime.combine(now.date(), time(), UTC)
    return Decimal(str((now - begun) / timedelta(days=1)))


def _notify(services: Services, reached: Standing, topics: Topics) -> None:
    """Once for each limit and each amount that was allowed."""
    ledger, today = services.ledger, services.ledger.now().astimezone(UTC).date()
    label = today.isoformat() if reached.period == "day" else f"{today:%Y-%m}"
    what = f"budget/{reached.period}/{label}/{reached.unit}/{reached.limit.normalize():f}"
    if ledger.messages.notified(reached.source, what) is not None:
        return
    facts = {
        "source": reached.source,
        "period": label,
        "unit": _SHOWN[reached.unit],
        "used": _shown(reached.unit, reached.used),
        "limit": _shown(reached.unit, reached.limit),
        "forecast": _shown(reached.unit, reached.forecast),
        "error": kept_back([reached]),
    }
    message = Unsent.of(topics.failure, "budget_reached", f"{reached.source}: {reached}", facts)
    if ledger.messages.note_unsent(reached.source, what, message):
        send_unsent(services, reached.source, [message])


def _shown(unit: str, amount: Decimal) -> str:
    number = amount / _BYTES if unit == "bytes" else amount
    return f"{number:,.{2 if number >= 1 else 9}f}".rstrip("0").rstrip(".")
