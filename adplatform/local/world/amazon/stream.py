"""What Marketing Stream says of the same numbers as the reports: for each hour what has changed, at the age at which
the reports change, so that what was sent up to an age adds up to what a report says then (``advertising.rows``)."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adplatform.local.world.amazon.accounts import Profile
from adplatform.local.world.amazon.advertising import as_it_stands, atoms
from adplatform.local.world.amazon.atoms import Atom, Live, Purchase
from adplatform.local.world.amazon.products import minor_units
from adplatform.local.world.draws import number

Record = dict[str, Any]
_AGES = range(60)
"""Nothing changes later."""
_WINDOWS = (1, 7, 14, 30)
_COUNTS: Mapping[str, str] = {"conversions": "purchases", "units_ordered": "units"}
_IDS = ("campaign_id", "ad_group_id", "ad_id")


def records(dataset: str, profile: Profile, day: date, seed: int) -> Iterator[tuple[int, Record]]:
    """All records of a data set about the hours of a date, each with the age of the date in days at which it is
    sent."""
    product, _, what = dataset.partition("-")
    counted = _traffic if what == "traffic" else _conversions
    for place, atom in enumerate(atoms(seed, profile, product, day)):
        before: Record = {}
        hour = _hour(profile, day, f"{seed}/{dataset}/{place}")
        for age in _AGES:
            now = counted(as_it_stands(atom, age), profile)
            changed = {name: _less(value, before.get(name, 0)) for name, value in now.items()}
            if any(changed.values()):
                named = f"{seed}/{dataset}/{profile.id}/{day}/{place}/{age}"
                yield (
                    age,
                    {
                        "idempotency_id": hashlib.sha256(named.encode()).hexdigest()[:32],
                        "dataset_id": dataset,
                        "marketplace_id": profile.marketplace,
                        "advertiser_id": profile.entity,
                        "currency": profile.currency,
                        "time_window_start": hour,
                        **_dimensions(dataset, atom),
                        **changed,
                    },
                )
            before = now


def sent(dataset: str, profile: Profile, day: date, seed: int, days_old: int) -> list[Record]:
    """The records of a date that were sent up to an age."""
    return [record for age, record in records(dataset, profile, day, seed) if age <= days_old]


def send(sqs: Any, url: str, bodies: Iterable[Record | str]) -> int:
    """Send records, or any texts, to a queue, in their order; how many. ``sqs`` is a boto3 client."""
    every = [body if isinstance(body, str) else json.dumps(body, ensure_ascii=False) for body in bodies]
    for start in range(0, len(every), 10):  # SQS API reference, SendMessageBatch: at most 10
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(every[start : start + 10])]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    return len(every)


def _less(value: float, before: float) -> float:
    changed = value - before
    return round(changed, 6) if isinstance(changed, float) else changed


def _hour(profile: Profile, day: date, named: str) -> str:
    """The begin of one of the date's hours, of which there are 23 to 25, with the offset from UTC that it has."""
    zone = ZoneInfo(profile.timezone)
    begin, end = (datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    hours = int((end - begin) / timedelta(hours=1))
    chosen = begin + timedelta(hours=number(named, profile.id, day, below=hours))
    return chosen.astimezone(zone).isoformat()


def _dimensions(dataset: str, atom: Atom) -> Record:
    target, traffic = atom.target, dataset.endswith("traffic")
    ids = dict(zip(_IDS, (str(target.group.campaign.id), str(target.group.id), str(atom.ad.id)), strict=True))
    if dataset.startswith("sd"):
        return {**ids, "target_id": str(target.id), **({"targeting_text": target.text} if traffic else {})}
    brands = dataset.startswith("sb")
    text = {"keyword_text": target.text, "keyword_type" if brands else "match_type": target.match}
    placed = {"placement_type" if brands else "placement": atom.placement}
    return {**ids, "keyword_id": str(target.id), **(text if traffic or brands else {}), **placed}


def _traffic(live: Live | None, profile: Profile) -> Record:
    impressions, clicks, cost = (live.impressions, live.clicks, live.cost) if live else (0, 0, 0)
    return {"clicks": clicks, "impressions": impressions, "cost": cost / minor_units(profile.currency)}


def _conversions(live: Live | None, profile: Profile) -> Record:
    bought = live.purchases if live else ()
    found: Record = {}
    for days in _WINDOWS:
        of = [each for each in bought if each.lag <= days and not each.by_view]
        found |= {f"attributed_{name}_{days}d": _sum(of, own) for name, own in _COUNTS.items()}
        found[f"attributed_sales_{days}d"] = _sum(of, "sales") / minor_units(profile.currency)
    return found


def _sum(bought: Iterable[Purchase], name: str) -> int:
    return sum(getattr(each, name) for each in bought)
