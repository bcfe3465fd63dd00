"""The raw step: every object of a settled version is checked, decrypted if the sender encrypts, and accounted for."""

import logging
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.gpg_home import GpgHome, gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import fetch_keyring
from adplatform.files.magic import is_openpgp
from adplatform.files.pgp import decrypt
from adplatform.flow.services import Services
from adplatform.flow.settling import located, read_settlement
from adplatform.flow.source import FeedFlow
from adplatform.lake.zones import file_key
from adplatform.ledger.objects import RawObject
from adplatform.ledger.publications import FileOutcome, Outcome
from adplatform.ledger.rows import digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionObject:
    """One object of a version, with what the sender's manifest says of it."""

    object: RawObject
    sha256: str | None
    rows: int | None


def version_objects(services: Services, flow: FeedFlow, day: date, version: int) -> list[VersionObject]:
    """The objects of a settled version, at their present places.

    Raises:
        PermanentFailure: the version was never settled, or its manifest names an object that the ledger does not know.
    """
    publication = services.ledger.publications.get(flow.name, day, version)
    if publication is None:
        raise PermanentFailure(f"{flow.name} {day}: version {version} was never settled")
    entries = read_settlement(services.s3, services.zones, publication.manifest_key)["objects"]
    known = {(o.key, o.version): o for o in services.ledger.objects.of_day(flow.name, day)}
    found = []
    for entry in entries:
        obj = known.get((entry["key"], entry["version"]))
        if obj is None:
            raise PermanentFailure(
                f"{flow.name} {day}: {publication.manifest_key} names {entry['key']}, not in the ledger"
            )
        found.append(VersionObject(obj, entry["sha256"], entry["rows"]))
    return found


def land(services: Services, flow: FeedFlow, day: date, version: int, work: Path) -> tuple[FileOutcome, ...]:
    """Check and prepare the files of a version; returns and records one outcome per object.

    A refused file is an outcome, not an exception: the caller decides whether the delivery goes on without it.
    """
    objects = version_objects(services, flow, day, version)
    begun = [(item, _begun(day, version, item.object)) for item in objects]
    if flow.feed.pgp is None:
        outcomes = [_check_plain(services, item, o, work) if o.outcome is Outcome.LOADED else o for item, o in begun]
    else:
        keyring = fetch_keyring(services.secrets, flow.feed.pgp)
        with gpg_home(keyring.private_keys, keyring.signer_keys) as home:
            policy = SignaturePolicy(frozenset(flow.feed.pgp.signers) or home.signers, flow.feed.pgp.allow_unsigned)
            prefix = services.zones.prepared(flow.name, day)
            outcomes = [
                _decrypt(services, item, o, prefix, work, home, policy) if o.outcome is Outcome.LOADED else o
                for item, o in begun
            ]
    judged = tuple(replace(o, outcome=verdict(flow)) if o.outcome is Outcome.REFUSED else o for o in outcomes)
    services.ledger.publications.put_file_outcomes(flow.name, judged)
    return judged


def verdict(flow: FeedFlow) -> Outcome:
    """What becomes of a bad file: put aside where the feed allows it, else refused."""
    return Outcome.QUARANTINED if flow.feed.bad_file == "quarantine" else Outcome.REFUSED


def download(services: Services, obj: RawObject, target: Path) -> str:
    """Fetch exactly this object version and return its SHA-256.

    Raises:
        TransientFailure: fewer bytes came than the object has.
    """
    body = services.s3.get_object(**located(obj))["Body"]
    return save(body, target, obj.size, obj.uri)


def save(body: Any, target: Path, size: int, origin: str) -> str:
    """Stream a response body to ``target``; its SHA-256."""
    digest, written = sha256(), 0
    with target.open("wb") as out:
        for chunk in body.iter_chunks(1 << 20):
            out.write(chunk)
            digest.update(chunk)
            written += len(chunk)
    if written != size:
        raise TransientFailure(f"{origin}: {written} of {size} bytes came")
    return digest.hexdigest()


def _begun(day: date, version: int, obj: RawObject) -> FileOutcome:
    begun = FileOutcome(day=day, version=version, origin=obj.uri, outcome=Outcome.LOADED, bytes=obj.size)
    return begun if obj.size else replace(begun, outcome=Outcome.EMPTY, reason="no bytes")


def _check_plain(services: Services, item: VersionObject, outcome: FileOutcome, work: Path) -> FileOutcome:
    obj = item.object
    if item.sha256 is not None:
        local = work / "checked"
        checksum = download(services, obj, local)
        local.unlink()
        if not _is_promised(item, checksum):
            return _not_promised(outcome)
    head = work / "head"
    head.write_bytes(services.s3.get_object(**located(obj), Range="bytes=0-4095")["Body"].read())
    if is_openpgp(head):
        return _refused(outcome, "encrypted", "it is OpenPGP-encrypted but the feed has no pgp settings")
    return outcome


def _decrypt(
    services: Services,
    item: VersionObject,
    outcome: FileOutcome,
    prefix: str,
    work: Path,
    home: GpgHome,
    policy: SignaturePolicy,
) -> FileOutcome:
    obj = item.object
    cipher, plain = work / "cipher", work / "plain"
    checksum = download(services, obj, cipher)
    outcome = replace(outcome, sha256=checksum)
    if not _is_promised(item, checksum):
        return _not_promised(outcome)
    try:
        decryption = decrypt(cipher, plain, home, policy, obj.uri)
    except BadFile as e:
        return _refused(outcome, e.reason, str(e))
    finally:
        cipher.unlink(missing_ok=True)
    key = file_key(f"{prefix}{digest(obj.key, obj.version)}/", _plain_name(obj.key))
    services.store.upload(plain, services.zones.raw_bucket, key)
    plain.unlink()
    return replace(outcome, prepared_key=key, signer=decryption.signer or "", decryption_key=decryption.key)


def _is_promised(item: VersionObject, checksum: str) -> bool:
    return item.sha256 is None or checksum == item.sha256.lower()


def _not_promised(outcome: FileOutcome) -> FileOutcome:
    return _refused(outcome, "checksum", "its SHA-256 is not the one in the manifest; ask the sender to send it again")


def _plain_name(key: str) -> str:
    name = PurePosixPath(key).name
    return name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith((".pgp", ".gpg", ".asc")) else name


def _refused(outcome: FileOutcome, reason: str, text: str) -> FileOutcome:
    log.warning("refused %s: %s", outcome.origin, text)
    return replace(outcome, outcome=Outcome.REFUSED, reason=f"{reason}: {text}")
