"""What keeps a delivered file from being read at all: it is too large, not whole, or has something in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from adplatform.failures import EnvironmentFailure
from adplatform.files.malware import SCAN_TAG, Scan, scan_of
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import VersionObject, located
from adplatform.ledger.objects import RawObject
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures


def screened(services: Services, flow: FeedFlow, objects: Sequence[VersionObject]) -> Mapping[str, tuple[str, str]]:
    """Reason and text, by the objects' identity, of those that are refused before anybody looks into them.

    Raises:
        EnvironmentFailure: an object must be scanned for malware and is not yet.
        PermanentFailure, TransientFailure: AWS refuses something.
    """
    found, rest = dict[str, tuple[str, str]](), list[RawObject]()
    raw = [item.object for item in objects if item.object.size]
    cut_off = services.ledger.uploads.cut_off_among(flow.source, raw) if flow.uploaded else {}
    for obj in raw:
        if obj.size > services.settings.largest_file:
            found[obj.identity] = (
                "too_large",
                f"it has {obj.size} bytes; {services.settings.largest_file} are allowed",
            )
        elif obj.identity in cut_off:
            found[obj.identity] = ("partial", f"the session of {cut_off[obj.identity].user} ended in the middle of it")
        else:
            rest.append(obj)
    for obj, said in zip(rest, _infected(services, rest), strict=True):
        if said:
            found[obj.identity] = ("malware", f"the scan for malware says {said}")
    return found


def _infected(services: Services, objects: Sequence[RawObject]) -> list[str]:
    """What the scan says against each; "" when nothing. What is in the archive was looked at when it was delivered."""
    if services.settings.malware_scan == "off":
        return [""] * len(objects)
    return at_once(lambda obj: "" if obj.archived_key else _said_of(services, obj), objects)


def _said_of(services: Services, obj: RawObject) -> str:
    with aws_failures(f"tags of {obj.file_id}"):
        answer: dict[str, Any] = services.s3.get_object_tagging(**located(obj))
    scan, said = scan_of(answer["TagSet"])
    if scan is Scan.MISSING and services.settings.malware_scan == "required":
        raise EnvironmentFailure(
            f"{obj.file_id} is not scanned for malware yet: it has no tag {SCAN_TAG}. See that GuardDuty scans "
            "the bucket",
            cause="objects are not scanned for malware",
        )
    return said if scan is Scan.REFUSED else ""
