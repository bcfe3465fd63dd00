"""The lists of a publication that grow with the data: which files readers see, and why rows are in the quarantine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from adplatform.lake.store import Store
from adplatform.ledger.publications import Publication
from adplatform.platform.aws_errors import aws_failures

KEPT = 50
"""How many locations, and how many reasons, stand in the ledger itself."""


@dataclass(frozen=True)
class Details:
    """All ``locations`` that readers see of a publication, and its quarantined rows by reason."""

    locations: tuple[str, ...]
    reasons: Mapping[str, int]


def with_details(
    store: Store, feed: str, row: Publication, locations: Sequence[str], reasons: Mapping[str, int]
) -> Publication:
    """The row with the first of both lists; where that is not all, the whole lists are stored in the raw bucket first.

    The object is named by its content, so writing it twice is harmless.

    Raises:
        PermanentFailure: not allowed. TransientFailure: S3 did not answer.
    """
    most_frequent = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    key = ""
    if len(locations) > KEPT or len(reasons) > KEPT:
        document = {
            **{"feed": feed, "date": row.day.isoformat(), "version": row.version},
            **{"locations": list(locations), "reasons": dict(most_frequent)},
        }
        body = json.dumps(document, indent=1).encode()
        key = f"{store.zones.publications(feed, row.day)}v{row.version:04d}-{sha256(body).hexdigest()[:16]}.json"
        with aws_failures(store.zones.raw_uri(key)):
            store.s3.put_object(Bucket=store.zones.raw_bucket, Key=key, Body=body, **store.zones.put_arguments)
    return replace(
        row,
        locations=tuple(locations[:KEPT]),
        location_count=len(locations),
        reasons=dict(most_frequent[:KEPT]),
        reason_count=len(reasons),
        details_key=key,
    )


def read_details(store: Store, row: Publication) -> Details:
    """All locations and reasons of a publication, wherever they are kept.

    Raises:
        PermanentFailure: the object is gone, or not allowed. TransientFailure: S3 did not answer.
    """
    if not row.details_key:
        return Details(row.locations, row.reasons)
    with aws_failures(store.zones.raw_uri(row.details_key)):
        body = store.s3.get_object(Bucket=store.zones.raw_bucket, Key=row.details_key)["Body"].read()
    document = json.loads(body)
    return Details(tuple(document["locations"]), document["reasons"])
