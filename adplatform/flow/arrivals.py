"""What arrives in the landing zone, from events and listings into the ledger, once each and in S3's own order."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import TransientFailure
from adplatform.files.arrivals import unordered
from adplatform.files.events import ObjectCreated, parse_events
from adplatform.flow.source import FeedFlow, Source, to_object
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.rows import RawObject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrivals:
    """The objects of one source. ``s3`` and ``sqs`` are boto3 clients."""

    source: Source
    s3: Any
    sqs: Any
    queue_url: str
    ledger: Ledger

    def receive(self, limit: int = 100) -> int:
        """Move up to ``limit`` event messages into the ledger; returns how many new objects they brought.

        A message leaves the queue when the ledger has its objects. One whose object S3 refuses to describe (no
        permission for its key, for example) stays, to be tried again after its visibility timeout and to show in the
        age of the queue; it holds up nothing, and the listing brings its object.
        """
        new = handled = 0
        while handled < limit:
            answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=300)
            messages = answer.get("Messages", [])
            if not messages:
                break
            handled += len(messages)
            for message in messages:
                try:
                    new += sum(self._arrived(event) for event in parse_events(message["Body"]))
                except TransientFailure as e:
                    log.warning("%s", e)
                    continue
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return new

    def reconcile(self, prefix: str | None = None) -> int:
        """Record every object version below ``prefix`` that the ledger lacks, oldest first; returns how many."""
        return self._record_listed(self._versions(prefix or self.source.prefix))

    def objects(self, flow: FeedFlow, day: date) -> list[RawObject]:
        """The objects of the delivery, those of one key and second in S3's own order."""
        objects = self.ledger.objects(flow.name, day)
        keys = {group[0].key for group in unordered(objects)}
        for key in keys:
            self._put_in_order(flow, day, key)
        return self.ledger.objects(flow.name, day) if keys else objects

    def _arrived(self, event: ObjectCreated) -> bool:
        if event.bucket != self.source.bucket or not event.key.startswith(self.source.prefix):
            return False
        version = {"VersionId": event.version_id} if event.version_id not in (None, "", "null") else {}
        try:
            head = self.s3.head_object(Bucket=event.bucket, Key=event.key, **version)
        except ClientError as e:
            status = e.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in (404, 405):
                return False  # archived by an earlier version of the delivery, or withdrawn by the partner
            if status < 500:
                raise TransientFailure(f"s3://{event.bucket}/{event.key}: S3 does not describe it: {e}") from e
            raise
        found = {**head, "Key": event.key, "Size": head["ContentLength"]}
        return self._record(*self._to_object(found, "event"))

    def _record_listed(self, listed: Iterable[dict[str, Any]]) -> int:
        known: dict[tuple[str, date], set[str]] = {}
        new: list[tuple[str, RawObject]] = []
        for version in listed:
            feed, obj = self._to_object(version, "listing")
            if (feed, obj.day) not in known:
                known[feed, obj.day] = {o.sort_key for o in self.ledger.objects(feed, obj.day)}
            if obj.sort_key not in known[feed, obj.day]:
                new.append((feed, obj))
        # S3 lists the versions of a key newest first, and dates them by the second.
        new.reverse()
        new.sort(key=lambda found: found[1].last_modified)
        return sum(self._record(feed, obj) for feed, obj in new)

    def _record(self, feed: str, obj: RawObject) -> bool:
        new = self.ledger.record_object(feed, obj)
        if new and obj.reason:
            log.warning("ignored %s: %s", obj.uri, obj.reason)
        return new

    def _to_object(self, found: dict[str, Any], seen_by: str) -> tuple[str, RawObject]:
        return to_object(
            self.source,
            key=found["Key"],
            version_id=found.get("VersionId"),
            size=found["Size"],
            etag=found["ETag"],
            modified=found["LastModified"],
            today=self.ledger.now().date(),
            seen_by=seen_by,
        )

    def _versions(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.source.bucket, Prefix=prefix):
            yield from page.get("Versions", [])

    def _put_in_order(self, flow: FeedFlow, day: date, key: str) -> None:
        """All versions that S3 lists are recorded first, so one that is recorded later is newer and comes behind."""
        listed = [v for v in self._versions(key) if v["Key"] == key]
        self._record_listed(listed)
        age = {self._to_object(v, "listing")[1].version: -n for n, v in enumerate(listed)}
        for group in unordered(o for o in self.ledger.objects(flow.name, day) if o.key == key):
            # What the archive holds was settled before the others came.
            new = [o for o in group if o.place == 0 and (o.archived_key or o.version in age)]
            new.sort(key=lambda o: age.get(o.version, -len(age)))
            for place, obj in enumerate(new, start=1 + max(o.place for o in group)):
                self.ledger.update_object(flow.name, obj, place=place)
