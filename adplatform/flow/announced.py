"""What S3 says of the objects that events announce: pages of a listing of those that lie together, and each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from adplatform.files.events import ObjectCreated
from adplatform.flow.budget import Budget
from adplatform.flow.listing import Position, Version, list_page
from adplatform.platform.at_once import MOST, at_once

WORTH_A_PAGE = 20
"""Objects that a page of a listing must describe to be worth it: it costs as much as twelve calls for one object each
(S3 pricing), and may take as long as eight of them."""


@dataclass
class Announced:
    """What was found of each event, None where the object is not there any more. ``beside`` are the other versions of
    the pages, as S3 lists them; ``refused`` are the events of which S3 says nothing, and why."""

    found: dict[ObjectCreated, Version | None] = field(default_factory=dict)
    beside: list[Version] = field(default_factory=list)
    refused: dict[ObjectCreated, ClientError] = field(default_factory=dict)


def describe(s3: Any, prefix: str, events: Sequence[ObjectCreated], budget: Budget) -> Announced:
    """What S3 says of the objects of these events, all of one bucket and below one prefix; what the budget leaves no
    time for is in none of it. S3 describes one at least.

    Raises:
        ClientError: S3 has a failure of its own.
    """
    announced = Announced()
    left = _paged(s3, prefix, events, announced)
    for start in range(0, len(left), MOST):
        if budget.spent and (announced.found or announced.refused):
            break
        asked = left[start : start + MOST]
        for event, answer in zip(asked, at_once(partial(_asked, s3), asked), strict=True):
            if isinstance(answer, ClientError):
                announced.refused[event] = answer
            else:
                announced.found[event] = answer
    return announced


def _paged(s3: Any, prefix: str, events: Sequence[ObjectCreated], announced: Announced) -> list[ObjectCreated]:
    """Describe those whose keys lie so close together that pages are worth it; the others."""
    by_key: dict[str, list[ObjectCreated]] = {}
    for event in sorted(events, key=lambda each: each.key):
        by_key.setdefault(event.key, []).append(event)
    left = list(by_key)
    while len(left) >= WORTH_A_PAGE:
        # Behind a key that is a little before the first.
        page = list_page(s3, events[0].bucket, prefix, Position(left[0][:-1]))
        if page.next is not None and page.next.version:
            break
        last = page.next.key if page.next is not None else left[-1]
        here = [key for key in left if key <= last]
        _match([event for key in here for event in by_key[key]], page.versions, announced)
        left = left[len(here) :]
        if len(here) < WORTH_A_PAGE:
            break
    return [event for key in left for event in by_key[key]]


def _match(events: Iterable[ObjectCreated], versions: Sequence[Version], announced: Announced) -> None:
    """Find the objects among all versions of their keys."""
    exact = {(each["Key"], each.get("VersionId")): each for each in versions}
    current = {each["Key"]: each for each in versions if each.get("IsLatest")}
    taken = set()
    for event in events:
        found = exact.get((event.key, event.version_id)) if is_versioned(event) else current.get(event.key)
        announced.found[event] = found
        taken.add(id(found))
    announced.beside += [each for each in versions if id(each) not in taken]


def is_versioned(event: ObjectCreated) -> bool:
    """Whether the event names a version of its object."""
    return event.version_id not in (None, "", "null")


def _asked(s3: Any, event: ObjectCreated) -> Version | ClientError | None:
    version = {"VersionId": event.version_id} if is_versioned(event) else {}
    try:
        head: Version = s3.head_object(Bucket=event.bucket, Key=event.key, **version)
    except ClientError as e:
        status = e.response["ResponseMetadata"]["HTTPStatusCode"]
        if status in (404, 405):
            return None  # archived by an earlier version of the delivery, or withdrawn by the sender
        if status >= 500:
            raise
        return e
    # Of a version the event may come after its deletion; without versions the object itself was described.
    return {**head, "Key": event.key, "Size": head["ContentLength"], "IsLatest": not version}
