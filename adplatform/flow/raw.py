"""The raw step: every object of a settled version is checked, decrypted if the sender encrypts, and accounted for."""

import logging
from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from adplatform.contracts.limits import Limits
from adplatform.files.bad_file import BadFile
from adplatform.files.gpg_home import GpgHome, gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import fetch_keyring
from adplatform.files.magic import is_openpgp_head
from adplatform.files.pgp import decrypt
from adplatform.flow.screening import screened
from adplatform.flow.services import Services
from adplatform.flow.small_files import named, worth_keeping
from adplatform.flow.source import FeedFlow
from adplatform.flow.verdicts import refused, verdict
from adplatform.flow.version import VersionObject, digested, download, located, original, read_whole
from adplatform.lake.zones import file_key
from adplatform.ledger.publications import FileOutcome, Outcome
from adplatform.ledger.rows import digest
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures

log = logging.getLogger(__name__)

_HEAD = 4096
"""Bytes that tell an OpenPGP message."""


def land(
    services: Services,
    flow: FeedFlow,
    day: date,
    version: int,
    objects: Sequence[VersionObject],
    work: Path,
    contents: dict[str, bytes] | None = None,
    *,
    recorded: bool = True,
) -> tuple[FileOutcome, ...]:
    """Check and prepare files of a version; returns and records one outcome per object. ``contents`` gets the small
    ones (``flow.small_files``), as far as they need no decryption; it may have some already. Of those who transform the
    files themselves a moment later, outcomes of which nothing is bad need not be ``recorded``: they will be with their
    counts.

    A refused file is an outcome, not an exception: the caller decides whether the delivery goes on without it.
    """
    contents = {} if contents is None else contents
    screen = screened(services, flow, objects)
    begun = [(item, _begun(day, version, item, screen.get(item.object.identity))) for item in objects]
    if flow.feed.pgp is None:
        whole = worth_keeping(item.object for item, o in begun if o.outcome is Outcome.LOADED)
        outcomes = at_once(partial(_check_plain, services.s3, whole, contents), begun)
    else:
        keyring = fetch_keyring(services.secrets, flow.feed.pgp)
        with gpg_home(keyring.private_keys, keyring.signer_keys) as home:
            policy = SignaturePolicy(frozenset(flow.feed.pgp.signers) or home.signers, flow.feed.pgp.allow_unsigned)
            prefix = services.zones.prepared(flow.name, day)
            outcomes = [
                _decrypt(services, item, o, prefix, work, home, policy, flow.feed.limits)
                if o.outcome is Outcome.LOADED and not item.object.edited
                else _check_plain(services.s3, set(), contents, (item, o))
                for item, o in begun
            ]
    judged = tuple(
        replace(o, outcome=verdict(flow, item)) if o.outcome is Outcome.REFUSED else o
        for item, o in zip(objects, outcomes, strict=True)
    )
    if recorded or any(each.outcome not in (Outcome.LOADED, Outcome.EMPTY) for each in judged):
        services.ledger.publications.put_file_outcomes(flow.name, judged)
    return judged


def _begun(day: date, version: int, item: VersionObject, screened: tuple[str, str] | None) -> FileOutcome:
    size = item.object.stored_size
    begun = FileOutcome(
        day=day,
        version=version,
        origin=item.origin,
        outcome=Outcome.LOADED,
        bytes=size,
        file_id=item.object.file_id,
    )
    if screened is not None:
        return refused(begun, *screened)
    return begun if size else replace(begun, outcome=Outcome.EMPTY, reason="no bytes")


def _check_plain(
    s3: Any, whole: Set[str], contents: dict[str, bytes], begun: tuple[VersionObject, FileOutcome]
) -> FileOutcome:
    item, outcome = begun
    if outcome.outcome is not Outcome.LOADED:
        return outcome
    obj = item.object
    with aws_failures(obj.file_id):
        if named(obj) in whole:
            head = contents.get(named(obj)) or read_whole(s3, obj)
            if not _is_promised(item, sha256(head).hexdigest()):
                return _not_promised(outcome)
            contents[named(obj)] = head
        elif item.sha256 is not None:
            checksum, head = digested(s3, obj, _HEAD)
            if not _is_promised(item, checksum):
                return _not_promised(outcome)
        else:
            with original(obj):
                head = s3.get_object(**located(obj), Range=f"bytes=0-{_HEAD - 1}")["Body"].read()
    if is_openpgp_head(head):
        return refused(outcome, "encrypted", "it is OpenPGP-encrypted but the feed has no pgp settings")
    return outcome


def _decrypt(
    services: Services,
    item: VersionObject,
    outcome: FileOutcome,
    prefix: str,
    work: Path,
    home: GpgHome,
    policy: SignaturePolicy,
    limits: Limits,
) -> FileOutcome:
    obj = item.object
    cipher, plain = work / "cipher", work / "plain"
    checksum = download(services.s3, obj, cipher)
    outcome = replace(outcome, sha256=checksum)
    if not _is_promised(item, checksum):
        return _not_promised(outcome)
    try:
        decryption = decrypt(cipher, plain, home, policy, obj.file_id, limits=limits)
    except BadFile as e:
        return refused(outcome, e.reason, str(e))
    finally:
        cipher.unlink(missing_ok=True)
    key = file_key(f"{prefix}{digest(obj.key, obj.version)}/", plain_name(obj.key))
    services.store.upload(plain, services.zones.raw_bucket, key)
    plain.unlink()
    return replace(outcome, prepared_key=key, signer=decryption.signer or "", decryption_key=decryption.key)


def _is_promised(item: VersionObject, checksum: str) -> bool:
    return item.sha256 is None or checksum == item.sha256.lower()


def _not_promised(outcome: FileOutcome) -> FileOutcome:
    return refused(outcome, "checksum", "its SHA-256 is not the one in the manifest; ask the sender to send it again")


def plain_name(key: str) -> str:
    """What the decrypted object of this key is called."""
    name = PurePosixPath(key).name
    return name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith((".pgp", ".gpg", ".asc")) else name
