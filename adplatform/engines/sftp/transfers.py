"""Transfers of files by a connector, as runs: each fetches a batch of a plan into a folder of its own.

A start is not idempotent, and no call lists transfers: one whose answer was lost is repeated into another folder, which
costs a transfer. What counts is landed from there, each file once, and said in a receipt.

Facts: Transfer Family API reference, StartFileTransfer and ListFileTransferResults (kept for 7 days), and quotas (12
hours for a file, and as long before it begins).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.engines.sftp.listings import require_usable
from adplatform.engines.sftp.memories import Memories
from adplatform.engines.sftp.plans import MOST_PATHS, Plans, Receipt, Wanted
from adplatform.engines.sftp.provided_connectors import Connector
from adplatform.failures import PermanentFailure, clipped, listed
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.platform.at_once import Pool
from adplatform.platform.aws_errors import aws_failures
from adplatform.sftp.choice import Landed

CHANGED = "changed while they were fetched, and are fetched again once they are listed as they are"
SUPERSEDED = "a later listing has them otherwise, and they are fetched anew"
_FETCHED = "fetched"
"""Metadata of a landed object: which file, as it was listed, it is."""
_COMPLETED, _FAILED, _QUEUED = "COMPLETED", "FAILED", "QUEUED"
_ENDED = frozenset({_COMPLETED, _FAILED})
_UNTRIED = {"StatusCode": _FAILED, "FailureCode": "it was not tried"}
_LONGEST_TOKEN = 24
_LONGEST_MESSAGE = 500


@dataclass(frozen=True)
class Transfers:
    """The transfers of a source. ``row`` gives a run, and ``intention`` an intention, of the ledger."""

    services: Services
    connector: Connector
    source: str
    plans: Plans
    memories: Memories
    row: Callable[[str], EngineRun | None]
    intention: Callable[[str], Intention | None]
    findings: Callable[[], Sequence[Finding]]

    limits = Limits(
        called="transfer",
        history=timedelta(days=7),
        patience={
            RunState.UNSEEN: timedelta(minutes=15),
            RunState.WAITING: timedelta(hours=12),
            RunState.RUNNING: timedelta(hours=12),
        },
        proves_files=True,
        alone=True,
    )

    def check(self) -> Sequence[Finding]:
        """What is wrong with the connector is said of its listings."""
        return ()

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        wanted = self.plans.wanted(intention.key)
        require_usable(self.connector, self.findings())
        started = self.connector.start(
            "start_file_transfer",
            RetrieveFilePaths=[each.path for each in wanted],
            LocalDirectoryPath=f"/{self.services.zones.raw_bucket}/{self._folder(intention)}",
        )
        return Started(str(started["TransferId"]))

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        seen = {run_id: self._seen(run_id) for run_id in run_ids}
        return {run_id: run for run_id, run in seen.items() if run is not None}

    def recent(self, since: datetime) -> Iterator[Run]:
        """None: no call lists transfers."""
        return iter(())

    def claims(self, run: Run) -> Iterator[Claim]:
        """Land the files of an ended transfer, and say where they are. It may be asked again: what the receipt of the
        batch says is not landed once more.

        Raises:
            PermanentFailure: the plan is gone.
            TransientFailure: AWS does not answer at present, or does not allow it.
        """
        intention = self._intention(run.run_id)
        if intention is None:
            return
        receipt = self.plans.receipt(intention.key)
        if receipt is None:
            receipt = self._landed(run, intention)
            self.plans.write_receipt(intention.key, receipt)
        self._clean(intention)
        keys = {wanted.path: wanted.key for wanted in self.plans.wanted(intention.key)}
        for path, landed in receipt.landed.items():
            yield Claim(landed.key, landed.version, receipt.sizes[path])
        for path, why in receipt.failed.items():
            if why == CHANGED:
                yield Claim(keys[path], fault=why)

    def cancel(self, run_id: str) -> bool:
        raise PermanentFailure("Transfer Family stops no transfer; it ends by itself within 12 hours")

    def _seen(self, run_id: str) -> Run | None:
        """What Transfer Family says of it; where it has forgotten it, the objects are proof if all are there: each
        appears when it is whole."""
        results = self.connector.results(run_id)
        if results:
            return self._run(run_id, results)
        intention = self._intention(run_id)
        if results is not None or intention is None:
            return None
        batch, folder = self.plans.wanted(intention.key), self._folder(intention)
        if not all(self._is_whole(wanted, self._head(f"{folder}/{wanted.name}")) for wanted in batch):
            return None
        now = self.services.ledger.now()
        return Run(run_id, RunState.SUCCEEDED, "forgotten", final=True, ended_at=now, files=len(batch), failed=0)

    def _intention(self, run_id: str) -> Intention | None:
        row = self.row(run_id)
        return self.intention(row.intent) if row is not None and row.intent else None

    def _run(self, run_id: str, results: Mapping[str, Mapping[str, Any]]) -> Run:
        codes = [each["StatusCode"] for each in results.values()]
        if not all(code in _ENDED for code in codes):
            waiting = all(code == _QUEUED for code in codes)
            said = _QUEUED if waiting else "IN_PROGRESS"
            return Run(run_id, RunState.WAITING if waiting else RunState.RUNNING, said)
        failed = [_why(each) for each in results.values() if each["StatusCode"] == _FAILED]
        row = self.row(run_id)
        return Run(
            run_id,
            # One whose every file failed, too: what becomes of each file is for the next listing.
            RunState.PARTIAL if failed else RunState.SUCCEEDED,
            _FAILED if len(failed) == len(codes) else _COMPLETED,
            clipped(listed(f"{count} x {why}" for why, count in Counter(failed).most_common()), _LONGEST_MESSAGE),
            final=True,
            started_at=row.found_at if row is not None else None,
            ended_at=self.services.ledger.now(),
            files=len(codes) - len(failed),
            failed=len(failed),
        )

    def _landed(self, run: Run, intention: Intention) -> Receipt:
        """Where Transfer Family has forgotten the transfer by now, its objects are proof."""
        results, batch = self.connector.results(run.run_id), self.plans.wanted(intention.key)
        memories = {folder: self.memories.read(folder).memory for folder in {each.folder for each in batch}}

        def outcome(wanted: Wanted) -> tuple[Landed, int] | str:
            result = {"StatusCode": _COMPLETED} if results is None else results.get(wanted.path, _UNTRIED)
            known = memories[wanted.folder].known.get(wanted.path)
            if result["StatusCode"] != _COMPLETED:
                return _why(result)
            if known is not None and known.fetch not in ("", intention.key.partition(" ")[0]):
                # What this one brought may be older than what the other has landed.
                return SUPERSEDED
            return self._there(wanted) or self._copied(wanted, self._folder(intention)) or CHANGED

        with Pool(MOST_PATHS) as pool:
            outcomes = dict(zip((wanted.path for wanted in batch), pool.map(outcome, batch), strict=True))
        there = {path: each for path, each in outcomes.items() if not isinstance(each, str)}
        return Receipt(
            {path: landed for path, (landed, _) in there.items()},
            {path: size for path, (_, size) in there.items()},
            {path: why for path, why in outcomes.items() if isinstance(why, str)},
        )

    def _there(self, wanted: Wanted) -> tuple[Landed, int] | None:
        """The object that holds the file already."""
        head = self._head(wanted.key)
        if head is None or head.get("Metadata", {}).get(_FETCHED) != wanted.identity:
            return None
        return Landed(wanted.key, head.get("VersionId", ""), head["ETag"].strip('"')), head["ContentLength"]

    def _copied(self, wanted: Wanted, folder: str) -> tuple[Landed, int] | None:
        """Land the object of a transfer; None where it is not what was listed."""
        zones, source = self.services.zones, f"{folder}/{wanted.name}"
        head = self._head(source)
        if head is None or not self._is_whole(wanted, head):
            return None
        exactly = {"Bucket": zones.raw_bucket, "Key": source, "VersionId": head["VersionId"]}
        said: dict[str, Any] = {"Metadata": {_FETCHED: wanted.identity}, "MetadataDirective": "REPLACE"}
        with aws_failures(zones.raw_uri(wanted.key)):
            self.services.store.copy_from(exactly, head["ContentLength"], zones.raw_bucket, wanted.key, **said)
        return self._there(wanted)

    @staticmethod
    def _is_whole(wanted: Wanted, head: Mapping[str, Any] | None) -> bool:
        return head is not None and wanted.size in (None, head["ContentLength"])

    def _head(self, key: str) -> Mapping[str, Any] | None:
        zones = self.services.zones
        with aws_failures(zones.raw_uri(key)):
            return self.services.store.head(zones.raw_bucket, key)

    def _clean(self, intention: Intention) -> None:
        """Remove what the transfer wrote, in every version. What a start wrote whose answer was lost expires."""
        s3, bucket = self.services.s3, self.services.zones.raw_bucket
        prefix = f"{self._folder(intention)}/"
        with aws_failures(self.services.zones.raw_uri(prefix)):
            pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
            versions = [v for page in pages for v in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))]
            self.services.store.delete_versions(bucket, [(v["Key"], v["VersionId"]) for v in versions])

    def _folder(self, intention: Intention) -> str:
        """Of the attempt, and of the call that asked for it."""
        below = self.services.zones.sftp_transfers(self.source)
        return f"{below}{intention.token(_LONGEST_TOKEN)}-{intention.begun}"


def _why(result: Mapping[str, Any]) -> str:
    code, message = result.get("FailureCode") or "", result.get("FailureMessage") or ""
    return ": ".join(filter(None, [code, message])) or "it failed"
