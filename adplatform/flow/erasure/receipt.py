"""What an erasure came to, as people keep it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

from adplatform.flow.erasure.search import ERASED
from adplatform.flow.erasure.state import Erasing
from adplatform.ledger.erasures import ErasedObject, Erasure, ErasureState
from adplatform.ledger.rows import plain

OUT_OF_REACH = (
    "copies that others have made of the tables: in Redshift, in Clean Rooms collaborations, in ad platforms",
    "the sender's own servers, databases and buckets, and landing zones that are not of this platform; what is "
    "delivered again is new data",
    "point-in-time backups of the ledger, and copies of the buckets by AWS Backup or replication",
    "events that wait in the source's queue, which have names of objects",
    "messages that were sent, and logs of AWS (CloudTrail data events, S3 access logs), which have names of objects",
)
"""What no erasure here reaches."""


@dataclass(frozen=True)
class Receipt:
    """What an erasure came to; it names no person. It is complete when there are no ``problems``. ``unreadable`` are
    objects of which nobody knows what they hold, ``lost_keys`` hashing keys that cannot be had any more and under which
    readers see rows."""

    erasure: Erasure
    done: tuple[ErasedObject, ...]
    objects_read: int
    problems: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    lost_keys: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Objects by what was done to them."""
        return dict(sorted(Counter(each.what for each in self.done).items()))

    @property
    def document(self) -> dict[str, Any]:
        """The receipt as people keep it."""
        erasure = {name: plain(value) for name, value in asdict(self.erasure).items() if name != "mark" and value}
        named = sorted(self.done, key=lambda each: (each.place, each.stored, each.what))
        return {
            "erasure": erasure,
            "counts": self.counts,
            "done": [{n: v for n, v in asdict(each).items() if n != "erasure" and v != ""} for each in named],
            "objects_read": self.objects_read,
            "unreadable": list(self.unreadable),
            "lost_keys": list(self.lost_keys),
            "out_of_reach": list(OUT_OF_REACH),
        }


def receipt_of(doing: Erasing, lost: tuple[str, ...]) -> Receipt:
    unreadable = tuple(
        f"s3://{stored.bucket}/{doing.person.without(stored.key, ERASED)}: {why}"
        for stored, why in sorted(doing.search.unreadable.items(), key=lambda each: each[0].identity)
    )
    done = tuple(doing.done)
    return Receipt(doing.erasure, done, doing.search.read, tuple(doing.problems.values()), unreadable, lost)


def kept_receipt(doing: Erasing, lost: tuple[str, ...]) -> Receipt:
    """Of all that was done under the erasure's id, by this run or by one before that was killed; kept in the raw bucket
    and in the ledger once nothing is left to do."""
    ledger, name, zones = doing.ledger, doing.source.name, doing.services.zones
    result = replace(receipt_of(doing, lost), done=tuple(ledger.erasures.erased(name, doing.erasure.id)))
    if doing.problems:
        return result
    key = zones.erasure(name, doing.erasure.id)
    over = replace(doing.erasure, state=ErasureState.DONE, mark="", ended_at=ledger.now(), receipt_key=key)
    result = replace(result, erasure=over)
    body = json.dumps(result.document, indent=1, sort_keys=True).encode()
    doing.services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=body, **zones.put_arguments)
    ledger.erasures.put(name, over)
    return result
