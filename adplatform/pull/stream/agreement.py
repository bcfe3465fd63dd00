"""Whether days of the Marketing Stream agree with the reports of the same account, once neither changes any more.

A date is compared when its traffic has settled and its reports are there; until then it is noted as not judged. What
differs by itself is not compared: the first two days of a data set, of which messages may only take away what was never
sent (Amazon Ads documentation, onboarding guide for SQS), and ad products of which no report or no traffic is declared.
Sponsored Brands campaigns with one ad group of before May to August 2023, and some Sponsored Display campaigns of
before August 2021, are in reports alone (data guide, ``sb-traffic`` and ``sd-traffic``).
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.amazon.ads.stream import TRAFFIC_SETTLES_DAYS
from adplatform.failures import listed
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake import formats
from adplatform.lake.audit import AuditFinding
from adplatform.lake.limited import limited
from adplatform.lake.shown_files import download_shown, scan_shown
from adplatform.lake.table import table_name
from adplatform.lake.zones import JOINT, partition_values
from adplatform.ledger.derived import Basis
from adplatform.pull.fact import Fact, fact_of
from adplatform.pull.stream.sums import UNJUDGED
from adplatform.pull.stream.tables import StreamTables

AGREES = "agrees_with_reports"
"""The check that compares days with reports."""
COMPARED = ("impressions", "clicks", "cost")
JUDGED, NOT_JUDGED = "judged", "not judged"
_BEGINS = timedelta(days=2)
_WAITS = timedelta(days=30)
"""How long a date waits for reports that do not come."""

Sums = Mapping[tuple[str, str], Sequence[Decimal]]
"""By profile and ad product, what is compared."""
_NO_SUMS: Sums = {}


@dataclass(frozen=True)
class Judged:
    """A date that was compared, and what that found."""

    day: date
    finding: AuditFinding


def judge(services: Services, stream: StreamTables, work: Path) -> Iterator[Judged]:
    """Compare each date that has settled since it was built and of which the reports have all profiles. What is yielded
    is noted as judged when the next is asked for."""
    derived, table, account = services.ledger.derived, stream.daily.table, stream.account
    settled = services.now().date() - timedelta(days=TRAFFIC_SETTLES_DAYS)
    waiting = [day for day, basis in derived.bases(table).items() if basis.inputs == UNJUDGED and day <= settled]
    fact = fact_of(account)
    products = _products(stream, fact)
    wanted = {scope.id for scope in services.ledger.scopes.of_source(account.source) if account.wants(scope)}
    for day in waiting:
        sent = {product for product, flow in products.items() if not _begins(services, flow, day)}
        reported = streamed = _NO_SUMS
        if fact is not None and sent:
            with TemporaryDirectory(dir=work) as folder:
                reported = _sums(services, fact.table, day, Path(folder) / "reports")
                streamed = _of(_sums(services, stream.daily, day, Path(folder) / "stream"), wanted, sent)
        there = {profile for profile, _ in reported} & wanted
        if sent and {profile for profile, _ in streamed} - there and settled - day <= _WAITS:
            continue
        if there:
            own = _of(reported, there, sent)
            yield Judged(day, compare(own, _of(streamed, there, sent), stream.declared.tolerance))
        derived.note_basis(table, Basis(day, JUDGED if there else NOT_JUDGED))


def _products(stream: StreamTables, fact: Fact | None) -> Mapping[str, FeedFlow]:
    """The ad products of which there are both traffic and a report, with the table of the messages."""
    reported = {each.product for each in fact.inputs} if fact else set()
    return {
        dataset.product: flow
        for dataset, flow in stream.deltas
        if dataset.id.endswith("-traffic") and dataset.product in reported
    }


def _begins(services: Services, flow: FeedFlow, day: date) -> bool:
    first = min((each.day for each in services.ledger.deliveries.of_feed(flow.name)), default=day)
    return day < first + _BEGINS


def _of(sums: Sums, profiles: Set[str], products: Set[str]) -> Sums:
    return {key: values for key, values in sums.items() if key[0] in profiles and key[1] in products}


def _sums(services: Services, flow: FeedFlow, day: date, folder: Path) -> Sums:
    """What readers see of a date, by profile and ad product; a profile without rows has none."""
    named = table_name(flow.table, services.settings.database_prefix)
    table = formats.table(services.lake, named)
    if table is None:
        return {}
    folder.mkdir()
    parts = []
    for number, value in enumerate(_values(services, flow, day, len(table.partitions))):
        for part in formats.some_partitions(services.lake, named, table, [value]):
            files = download_shown(services.store, part, folder / str(number), f"{flow.table} {day}")
            values = dict(zip(table.partitions, partition_values(part.value, len(table.partitions)), strict=True))
            parts.append((values, files))
    settings = services.settings
    with limited(settings.memory_limit, settings.threads, folder) as con:
        rows = scan_shown(con, parts)
        if not rows:
            return {}
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in COMPARED)
        found = con.execute(
            f"select profile_id, ad_product, {sums} from ({rows}) where profile_id is not null group by all"
        ).fetchall()
    return {(profile, product): [Decimal(each) for each in values] for profile, product, *values in found}


def _values(services: Services, flow: FeedFlow, day: date, columns: int) -> list[str]:
    """What the partitions of a date may be called."""
    if columns == 1:
        return [day.isoformat()]
    return [f"{day}{JOINT}{scope.id}" for scope in services.ledger.scopes.of_source(flow.source)]


def compare(reported: Sums, streamed: Sums, tolerance: float) -> AuditFinding:
    """Whether sums of the stream are within ``tolerance`` percent of those of the reports."""
    keys = sorted({*reported, *streamed})
    details = []
    worst = Decimal(0)
    for key in keys:
        there, here = reported.get(key, _NOTHING), streamed.get(key, _NOTHING)
        for name, wanted, found in zip(COMPARED, there, here, strict=True):
            percent = _percent(wanted, found)
            worst = max(worst, percent)
            if percent > Decimal(str(tolerance)):
                shown = {"reports": f"{wanted:f}", "stream": f"{found:f}", "percent": f"{percent:.2f}"}
                details.append({"profile_id": key[0], "ad_product": key[1], "measure": name, **shown})
    texts = (
        f"{each['measure']} of {each['ad_product']}, profile {each['profile_id']}: {each['stream']} where reports have "
        f"{each['reports']} ({each['percent']} %)"
        for each in details
    )
    good = f"sums of {len(keys)} profiles and ad products are within {tolerance:g} % of the reports'"
    metrics = {"compared": len(keys), "greatest_percent": float(round(worst, 4))}
    return AuditFinding(AGREES, not details, False, listed(texts, separator="; ") or good, metrics, tuple(details))


_NOTHING = (Decimal(0),) * len(COMPARED)


def _percent(wanted: Decimal, found: Decimal) -> Decimal:
    """By how many percent of what reports have the stream differs; of nothing, anything is as much as all."""
    if wanted == found:
        return Decimal(0)
    return abs(found - wanted) / abs(wanted) * 100 if wanted else Decimal(100)
