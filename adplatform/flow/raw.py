"""The raw step: every object of a settled version is checked, decrypted if the partner encrypts, and accounted for."""

import logging
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from json import loads
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
from adplatform.flow.settling import located
from adplatform.flow.source import FeedFlow
from adplatform.ledger.rows import FileOutcome, Outcome, RawObject, digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionObject:
    """One object of a version, with what the partner's manifest says of it."""

    object: RawObject
    sha256: str | None
    rows: int | None


def version_objects(services: Services, flow: FeedFlow, day: date, version: int) -> list[VersionObject]:
    """The objects of a settled version, at their present places.

    Raises:
        PermanentFailure: the version was never settled, or its manifest names an object that the ledger does not know.
    """
    publication = services.ledger.publication(flow.name, day, version)
    if publication is None:
        raise PermanentFailure(f"{flow.name} {day}: version {version} was never settled")
    body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=publication.manifest_key)["Body"].read()
    known = {(o.key, o.version): o for o in services.ledger.objects(flow.name, day)}
    found = []
    for entry in loads(body)["objects"]:
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
    if flow.feed.pgp is None:
        outcomes = tuple(_land_plain(services, day, version, o, work) for o in objects)
    else:
        keyring = fetch_keyring(services.secrets, flow.feed.pgp)
        with gpg_home(keyring.private_keys, keyring.signer_keys) as home:
            policy = SignaturePolicy(frozenset(flow.feed.pgp.signers) or home.signers, flow.feed.pgp.allow_unsigned)
            outcomes = tuple(_land_encrypted(services, flow, day, version, o, work, home, policy) for o in objects)
    if flow.feed.bad_file == "quarantine":
        aside = Outcome.QUARANTINED
        outcomes = tuple(replace(o, outcome=aside) if o.outcome is Outcome.REFUSED else o for o in outcomes)
    services.ledger.put_file_outcomes(flow.name, outcomes)
    return outcomes


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


def _land_plain(services: Services, day: date, version: int, item: VersionObject, work: Path) -> FileOutcome:
    obj = item.object
    blank = FileOutcome(day=day, version=version, origin=obj.uri, outcome=Outcome.LOADED, bytes=obj.size)
    if obj.size == 0:
        return replace(blank, outcome=Outcome.EMPTY, reason="no bytes")
    if item.sha256 is not None:
        local = work / "checked"
        got = download(services, obj, local)
        local.unlink()
        if got != item.sha256.lower():
            return _refused(
                blank, "checksum", "its SHA-256 is not the one in the manifest; ask the partner to send it again"
            )
    head = work / "head"
    head.write_bytes(services.s3.get_object(**located(obj), Range="bytes=0-4095")["Body"].read())
    if is_openpgp(head):
        return _refused(blank, "encrypted", "it is OpenPGP-encrypted but the feed has no pgp settings")
    return blank


def _land_encrypted(
    services: Services,
    flow: FeedFlow,
    day: date,
    version: int,
    item: VersionObject,
    work: Path,
    home: GpgHome,
    policy: SignaturePolicy,
) -> FileOutcome:
    obj = item.object
    blank = FileOutcome(day=day, version=version, origin=obj.uri, outcome=Outcome.LOADED, bytes=obj.size)
    if obj.size == 0:
        return replace(blank, outcome=Outcome.EMPTY, reason="no bytes")
    cipher, plain = work / "cipher", work / "plain"
    checksum = download(services, obj, cipher)
    blank = replace(blank, sha256=checksum)
    if item.sha256 is not None and checksum != item.sha256.lower():
        return _refused(
            blank, "checksum", "its SHA-256 is not the one in the manifest; ask the partner to send it again"
        )
    try:
        decryption = decrypt(cipher, plain, home, policy, obj.uri)
    except BadFile as e:
        return _refused(blank, e.reason, str(e))
    finally:
        cipher.unlink(missing_ok=True)
    key = f"{services.zones.prepared(flow.name, day)}{digest(obj.key, obj.version)}/{_plain_name(obj.key)}"
    services.store.upload(plain, services.zones.raw_bucket, key)
    plain.unlink()
    return replace(blank, prepared_key=key, signer=decryption.signer or "", decryption_key=decryption.key)


def _plain_name(key: str) -> str:
    name = PurePosixPath(key).name
    return name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith((".pgp", ".gpg", ".asc")) else name


def _refused(outcome: FileOutcome, reason: str, text: str) -> FileOutcome:
    log.warning("refused %s: %s", outcome.origin, text)
    return replace(outcome, outcome=Outcome.REFUSED, reason=f"{reason}: {text}")
