"""Our own workers as an engine: a run of this platform reads, piece by piece; the ledger is its record."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.ledger.extracts import Extract
from adplatform.platform.aws_errors import aws_failures


@dataclass(frozen=True)
class Extractor:
    """One target of a source. ``findings`` says whether it is fit to be read. A reading does not begin while one of
    ``kin`` goes on, targets that read the same. One that ``replaces`` brings everything each time."""

    services: Services
    source: str
    target: str
    findings: Callable[[], Sequence[Finding]]
    kin: tuple[str, ...] = ()
    replaces: bool = False
    counts_rows: bool = True

    @property
    def limits(self) -> Limits:
        return Limits(
            called="extractor",
            token=32,
            token_life=EVER,
            history=EVER,
            patience={
                RunState.UNSEEN: timedelta(minutes=15),
                RunState.WAITING: timedelta(hours=1),
                RunState.RUNNING: timedelta(hours=1),
            },
            replaces=self.replaces,
            alone=True,
        )

    def check(self) -> Sequence[Finding]:
        return self.findings()

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        extracts, source, target = self.services.ledger.extracts, intention.source, intention.target
        id = intention.token(self.limits.token)
        if extracts.get(source, target, id) is not None:
            return Started(id, adopted=True)
        going = next(self._going(*self.kin), None)
        if going is not None:
            return Busy(going.id)
        extracts.want(source, target, id)
        return Started(id)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        found = map(self._row, run_ids)
        return {row.id: self._run(row) for row in found if row is not None}

    def recent(self, since: datetime) -> Iterator[Run]:
        """Those that go on: nobody else starts readings, and each is asked about by its id until it has landed."""
        return map(self._run, self._going())

    def claims(self, run: Run) -> Iterator[Claim]:
        """By the manifest; what it calls ``left``, by path, was not brought.

        Raises:
            PermanentFailure: the manifest is gone.
            TransientFailure: S3 does not answer at present.
        """
        row = self._row(run.run_id)
        if row is None or not row.manifest_key:
            return
        s3, bucket = self.services.s3, self.services.zones.raw_bucket
        with aws_failures(row.manifest_key):
            try:
                body = s3.get_object(Bucket=bucket, Key=row.manifest_key)["Body"].read()
            except s3.exceptions.NoSuchKey as e:
                place = f"s3://{bucket}/{row.manifest_key}"
                raise PermanentFailure(f"{row.name}: {place} is gone: restore it, or read {self.target} again") from e
        manifest = json.loads(body)
        for each in manifest["files"]:
            yield Claim(each["key"], each["version"], each["bytes"], rows=each.get("rows"))
        for path, why in manifest.get("left", {}).items():
            yield Claim(path, fault=why)

    def cancel(self, run_id: str) -> bool:
        row = self._row(run_id)
        while row is not None and not row.ended and not row.stopping:
            if self.services.ledger.extracts.stop(row) is not None:
                return True
            row = self._row(run_id)
        return row is not None and not row.ended

    def _going(self, *kin: str) -> Iterator[Extract]:
        active = self.services.ledger.extracts.active(self.source)
        return (row for row in active if row.target in (self.target, *kin))

    def _run(self, row: Extract) -> Run:
        succeeded = row.state is RunState.SUCCEEDED
        return Run(
            run_id=row.id,
            state=row.state,
            said="stopping" if row.stopping and not row.ended else str(row.state),
            message=row.error,
            final=row.ended,
            started_at=row.started_at,
            ended_at=row.ended_at,
            records=row.rows if succeeded and self.counts_rows else None,
            files=row.files if succeeded else None,
            bytes=row.bytes if succeeded else None,
        )

    def _row(self, run_id: str) -> Extract | None:
        return self.services.ledger.extracts.get(self.source, self.target, run_id)


EVER = timedelta(days=3650)
