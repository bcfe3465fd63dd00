"""Results of matching jobs on their way to a feed: into its landing zone, the manifest last, as partners do it."""

import json
from dataclasses import dataclass
from datetime import UTC, date

from adplatform.engines.engine import BroughtNothing
from adplatform.flow.source import FeedFlow
from adplatform.lake.store import Store
from adplatform.ledger.engine_run import EngineRun

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class MatchResults:
    """Jobs write below ``prefix`` of the raw bucket, and what they found is landed as deliveries of ``flow``."""

    store: Store
    prefix: str
    flow: FeedFlow

    def land(self, run: EngineRun) -> None:
        """Land what a job has found, once: as the delivery of the date (UTC) on which it began. A job reads the whole
        table, whichever date was published last, and of a table that is whole with each delivery readers see the newest
        date.

        Raises:
            BroughtNothing: it found something, and there is none.
        """
        bucket, day = self.store.zones.raw_bucket, _day(run)
        found = list(self.store.listing(bucket, f"{self.prefix}{run.run_id}/success/"))
        if not found and run.files:
            raise BroughtNothing(f"nothing is below s3://{bucket}/{self.prefix}{run.run_id}/success/")
        names = [f"{run.run_id}-{number:05}.csv" for number, _ in enumerate(found)]
        listed = [{"name": name, "bytes": each.size} for name, each in zip(names, found, strict=True)]
        manifest, key = json.dumps({"files": listed}).encode(), self.flow.layout.key(day, _MANIFEST)
        if self._has(key, manifest):
            return
        for name, each in zip(names, found, strict=True):
            source = {"Bucket": bucket, "Key": each.key}
            self.store.copy_from(source, each.size, bucket, self.flow.layout.key(day, name))
        self.store.s3.put_object(Bucket=bucket, Key=key, Body=manifest, **self.store.zones.put_arguments)

    def _has(self, key: str, manifest: bytes) -> bool:
        s3, bucket = self.store.s3, self.store.zones.raw_bucket
        try:
            return bool(s3.get_object(Bucket=bucket, Key=key)["Body"].read() == manifest)
        except s3.exceptions.NoSuchKey:
            return False


def _day(run: EngineRun) -> date:
    began = next(at for at in (run.started_at, run.found_at) if at is not None)
    return began.astimezone(UTC).date()
