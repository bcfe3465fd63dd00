"""Token buckets in the ledger: their pace, their pauses, and the rates that a service announces."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pytest

from adplatform.ledger.ledger import Ledger
from adplatform.ledger.rate_limits import RateLimits
from adplatform.ledger.table import table_definition
from adplatform.platform.aws import Aws

START = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


@dataclass
class Clock:
    at: datetime = START
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(aws: Aws, clock: Clock) -> RateLimits:
    return RateLimits(_ledger(aws, clock))


def _ledger(aws: Aws, now: Callable[[], datetime]) -> Ledger:
    client, table = aws.client("dynamodb"), f"ledger-{uuid.uuid4().hex}"
    client.create_table(**table_definition(table))
    return Ledger(client, table, now)


def granted(limits: RateLimits, rate: float, burst: int, tries: int = 100) -> int:
    """Tokens that can be had at once."""
    count = 0
    while count < tries and not limits.take("bucket", rate, burst):
        count += 1
    return count


@pytest.mark.parametrize(("rate", "burst"), [(1.0, 10), (2.0, 15), (0.0167, 15), (1.0, 1), (50.0, 1)])
def test_a_burst_and_then_one_by_one(limits: RateLimits, clock: Clock, rate: float, burst: int) -> None:
    assert granted(limits, rate, burst) == burst
    for _ in range(3):
        wait = limits.take("bucket", rate, burst)
        assert wait == pytest.approx(1 / rate, rel=1e-3)
        clock.sleep(wait)
        assert granted(limits, rate, burst) == 1


def test_a_bucket_fills_up_to_its_burst(limits: RateLimits, clock: Clock) -> None:
    assert granted(limits, 1.0, 5) == 5
    clock.sleep(3)
    assert granted(limits, 1.0, 5) == 3
    clock.sleep(3600)
    assert granted(limits, 1.0, 5) == 5


def test_buckets_of_other_names_are_others(limits: RateLimits) -> None:
    assert limits.take("a", 1.0, 1) == 0
    assert limits.take("a", 1.0, 1) > 0
    assert limits.take("b", 1.0, 1) == 0


def test_many_threads_of_many_processes_never_exceed_the_rate(aws: Aws, clock: Clock) -> None:
    rate, burst, threads, each = 10.0, 3, 8, 4
    shared = _ledger(aws, clock)
    taken: list[datetime] = []

    def work(_: int) -> None:
        mine = RateLimits(Ledger(shared.client, shared.table, clock))
        for _ in range(each):
            while wait := mine.take("bucket", rate, burst):
                clock.sleep(max(wait / threads, 0.001))
            taken.append(clock())

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    assert len(taken) == threads * each
    seconds = (clock() - START).total_seconds()
    assert len(taken) <= burst + rate * seconds + 1e-6


def test_a_pause_holds_everybody_back_and_then_lets_one_pass(limits: RateLimits, clock: Clock) -> None:
    limits.pause("bucket", START + timedelta(seconds=30), 1.0, 10)
    assert limits.take("bucket", 1.0, 10) == pytest.approx(30)
    clock.sleep(29.9)
    assert granted(limits, 1.0, 10) == 0
    clock.sleep(0.1)
    assert granted(limits, 1.0, 10) == 1, "no burst into a service that has just had enough"


def test_a_pause_shortens_no_longer_one(limits: RateLimits) -> None:
    elsewhere = timezone(timedelta(hours=-8))
    limits.pause("bucket", (START + timedelta(seconds=100)).astimezone(elsewhere), 1.0, 10)
    limits.pause("bucket", START + timedelta(seconds=2.5), 1.0, 10)
    assert limits.take("bucket", 1.0, 10) == pytest.approx(100)


def test_a_clock_that_is_behind_takes_no_more(aws: Aws, clock: Clock) -> None:
    ahead = _ledger(aws, lambda: START + timedelta(seconds=60))
    behind = RateLimits(Ledger(ahead.client, ahead.table, clock))
    assert granted(RateLimits(ahead), 1.0, 5) == 5
    assert granted(behind, 1.0, 5) == 0


def test_an_announced_rate_takes_the_place_of_the_default(limits: RateLimits, clock: Clock) -> None:
    limits.learn("bucket", "0.5")
    assert granted(limits, 10.0, 3) == 3
    assert limits.take("bucket", 10.0, 3) == pytest.approx(2)
    limits.learn("bucket", "4")
    clock.sleep(60)
    assert granted(limits, 10.0, 3) == 3
    assert limits.take("bucket", 10.0, 3) == pytest.approx(0.25)
    assert limits.take("another", 10.0, 3) == 0


def test_an_announced_rate_outlives_calls_and_pauses(limits: RateLimits, clock: Clock) -> None:
    assert granted(limits, 10.0, 3) == 3
    limits.learn("bucket", "0.5")
    limits.learn("bucket", "0.5")
    limits.pause("bucket", START + timedelta(seconds=10), 10.0, 3)
    assert limits.take("bucket", 10.0, 3) == pytest.approx(10)
    clock.sleep(10)
    assert granted(limits, 10.0, 3) == 1
    assert limits.take("bucket", 10.0, 3) == pytest.approx(2)


def test_a_pause_that_a_clock_far_ahead_wrote_holds_nobody_back_once_the_clock_is_right(
    limits: RateLimits, clock: Clock
) -> None:
    limits.pause("bucket", START + timedelta(days=1), 1.0, 10)
    assert granted(limits, 1.0, 10) == 10
    limits.pause("bucket", clock.at + timedelta(hours=1), 1.0, 10)
    assert limits.take("bucket", 1.0, 10) == pytest.approx(3600)


@pytest.mark.parametrize(
    "announced", ["0", "-1", "", "fast", "nan", "inf", "1e-9", "1e9", "0.5, 0.5", "0.0", "1/60", "0x1"]
)
def test_an_absurd_rate_is_ignored(limits: RateLimits, announced: str) -> None:
    limits.learn("bucket", announced)
    assert granted(limits, 1.0, 2) == 2
    assert limits.take("bucket", 1.0, 2) == pytest.approx(1)
