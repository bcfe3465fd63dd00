"""For how long values in clear are kept: the lifecycle rules of the raw bucket, and what they remove.

S3 removes by these rules in AWS. The embedded AWS does not, so there :func:`expire` does, with the daily collection.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.quarantine import Entry
from adplatform.lake.store import Store
from adplatform.lake.zones import Zones
from adplatform.platform.aws_errors import aws_failures

_OURS = "retention-"
_LONGEST_ID = 255  # S3 API reference, LifecycleRule


def kept(source: Source) -> dict[str, timedelta | None]:
    """The prefixes of the raw bucket where values in clear of a source are kept, and digests that ad platforms match,
    and for how long, None for ever."""
    archives = {flow.archive for flow in source.feeds if flow.archive}
    originals = [*(f"{archive}{source.name}/" for archive in sorted(archives)), *source.documents]
    retention = source.retention
    destinations = {name for flow in source.feeds for name in flow.feed.activations.declared}
    exports = [Zones.exports(name, source.name) for name in sorted(destinations)]
    return {
        Zones.quarantine_of(source.name): retention.quarantine,
        **dict.fromkeys(originals, retention.archive),
        **dict.fromkeys(exports, retention.exports),
    }


def put_lifecycle(services: Services, own: Iterable[Mapping[str, Any]], sources: Iterable[Source]) -> list[str]:
    """Bring the rules of the raw bucket to what is declared: the platform's ``own``, and those of these sources. Rules
    of other sources, and of other people, stay. What was different, a sentence for each.

    Raises:
        PermanentFailure: what one source keeps for a while lies below the prefix of another.
    """
    declared = _declared(sources)
    s3, bucket = services.s3, services.zones.raw_bucket
    found = {rule.get("ID", ""): rule for rule in _rules(s3, bucket)}
    wanted = {rule["ID"]: rule for rule in (*own, *_rules_of(declared))}
    mine = {_id(prefix) for _, prefix, _ in declared}
    others = {id_: rule for id_, rule in found.items() if id_ not in wanted and id_ not in mine}
    changed = [id_ for id_ in (*wanted, *mine) if _said(found.get(id_)) != _said(wanted.get(id_))]
    if changed:
        every = {"Rules": [*others.values(), *wanted.values()]}
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=every)
    return [
        *(_change(id_, found.get(id_), wanted.get(id_)) for id_ in dict.fromkeys(changed) if found),
        *_in_conflict(others, declared),
    ]


def retention_rules(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """The lifecycle rules of these sources, as S3 takes them.

    Raises:
        PermanentFailure: as :func:`put_lifecycle`.
    """
    return _rules_of(_declared(sources))


def expire(services: Services, source: Source, *, dry_run: bool = False) -> int:
    """Remove every version of what the source has kept for long enough; how many that were, or would be.

    Raises:
        TransientFailure, EnvironmentFailure, PermanentFailure: as :func:`adplatform.platform.aws_errors.aws_failures`.
    """
    removed = 0
    for prefix, keep in kept(source).items():
        if keep is None:
            continue
        with aws_failures(f"what {source.name} keeps below {prefix}"):
            for versions in _older(services, prefix, services.ledger.now() - keep):
                removed += len(versions)
                if not dry_run:
                    services.store.delete_versions(services.zones.raw_bucket, versions)
    return removed


def has_expired(flow: FeedFlow, entry: Entry, now: datetime) -> bool:
    """Whether the quarantined rows of a version have been kept for long enough."""
    keep = flow.retention.quarantine
    return keep is not None and bool(entry.key) and entry.at is not None and entry.at + keep < now


def archived_now(store: Store, flow: FeedFlow, day: date) -> set[str]:
    """The keys that the archive has of a delivery; what the ledger names beside these has expired."""
    if not flow.archive:
        return set()
    return {
        each.key for each in store.listing(store.zones.raw_bucket, store.zones.archive(flow.name, day, flow.archive))
    }


def _declared(sources: Iterable[Source]) -> list[tuple[str, str, timedelta | None]]:
    """Source, prefix and how long it is kept."""
    declared = [(source.name, prefix, keep) for source in sources for prefix, keep in kept(source).items()]
    for name, prefix, keep in declared:
        for other, below, _ in declared:
            if keep is not None and other != name and below.startswith(prefix):
                raise PermanentFailure(
                    f"source {other} keeps {below}, below {prefix} of source {name}, which is removed after "
                    f"{keep.days} days; give one of them another `archive`"
                )
    return declared


def _rules_of(declared: Iterable[tuple[str, str, timedelta | None]]) -> list[dict[str, Any]]:
    return [_rule(prefix, keep) for _, prefix, keep in declared if keep is not None]


def _older(services: Services, prefix: str, before: datetime) -> Iterator[list[tuple[str, str]]]:
    """Versions that were written before then, as key and id, page by page."""
    pages = services.s3.get_paginator("list_object_versions").paginate(Bucket=services.zones.raw_bucket, Prefix=prefix)
    for page in pages:
        found = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        yield [(each["Key"], each["VersionId"]) for each in found if each["LastModified"] < before]


def _rules(s3: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as e:
        if e.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return []
    return found


def _id(prefix: str) -> str:
    return f"{_OURS}{prefix}"[:_LONGEST_ID]


def _rule(prefix: str, keep: timedelta) -> dict[str, Any]:
    return {
        "ID": _id(prefix),
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": keep.days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }


_ACTIONS = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")


def _said(rule: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """What a rule says, however the service spells it."""
    if rule is None:
        return ()
    numbers = [sorted((rule.get(action) or {}).items()) for action in _ACTIONS]
    own = [[(name, value) for name, value in each if value] for each in numbers]
    return rule["Status"], _prefix(rule), own, bool(rule.get("Transitions") or rule.get("NoncurrentVersionTransitions"))


def _prefix(rule: Mapping[str, Any]) -> str:
    """Below which prefix a rule applies; one that is told apart by tags or sizes as well is none of ours."""
    filtered = rule.get("Filter") or {}
    return str(rule.get("Prefix") or filtered.get("Prefix") or (filtered.get("And") or {}).get("Prefix") or "")


def _change(id_: str, found: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> str:
    if wanted is None:
        return f"lifecycle rule {id_} is removed: nothing declares it any more"
    return f"lifecycle rule {id_} {'was not there' if found is None else 'was another than declared'}; it is put"


def _in_conflict(
    others: Mapping[str, Mapping[str, Any]], declared: Iterable[tuple[str, str, timedelta | None]]
) -> Iterator[str]:
    """Rules of other people that remove earlier than is declared."""
    for id_, rule in others.items():
        days = (rule.get("Expiration") or {}).get("Days")
        if id_.startswith(_OURS) or rule["Status"] != "Enabled" or not days:
            continue
        place = _prefix(rule)
        for name, prefix, keep in declared:
            if prefix.startswith(place) and (keep is None or days < keep.days):
                declares = "for ever" if keep is None else f"for {keep.days} days"
                yield (
                    f"lifecycle rule {id_!r}, which is not the platform's, removes what is below {place!r} after "
                    f"{days} days; source {name} keeps {prefix} {declares}"
                )
