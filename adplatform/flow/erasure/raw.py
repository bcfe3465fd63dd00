"""The raw bucket without a person: senders' files, quarantined rows, and all else that the platform keeps there."""

import re
from dataclasses import replace
from datetime import date
from pathlib import PurePosixPath

from adplatform.flow.erasure.search import ERASED, Held
from adplatform.flow.erasure.state import ADVICE, DELETED, EDITED, REWRITTEN, Erasing
from adplatform.flow.exports import is_export, withdraw
from adplatform.flow.raw import plain_name
from adplatform.flow.source import FeedFlow
from adplatform.lake.versions import StoredVersion
from adplatform.lake.zones import file_key
from adplatform.ledger.objects import ObjectState, RawObject, file_id, unversioned

_QUARANTINED = re.compile(r"quarantine/(?P<feed>.+)/dt=(?P<day>\d{4}-\d{2}-\d{2})/rows-(?P<version>\d{4,})\.parquet")
_DAY = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/")


def would_be(doing: Erasing, held: Held) -> str:
    """What :func:`erase_from_raw` would do."""
    if held.stored.marker:
        return DELETED
    if held.stored.latest and (held.notes or _QUARANTINED.fullmatch(held.stored.key)):
        return REWRITTEN
    return EDITED if _owner(doing, held) is not None else DELETED


def _owner(doing: Erasing, held: Held) -> tuple[FeedFlow, RawObject] | None:
    """The delivery's object that is this version, in the landing zone or in the archive; None when it is of none."""
    ledger, stored, flow = doing.ledger, held.stored, held.flow
    if stored.key.startswith(doing.source.prefix):
        found = _known(doing, stored)
        if found is None or found[1].state is ObjectState.IGNORED:
            return None
        flows = {each.name: each for each in doing.flows}
        return (flows[found[0]], found[1]) if found[0] in flows else None
    day = _DAY.search(stored.key)
    if flow is None or day is None:
        return None
    place = flow.name, date.fromisoformat(day[1])
    if place not in doing.days:
        doing.days[place] = ledger.objects.of_day(*place)
    owner = next((o for o in doing.days[place] if o.archived_key == stored.key), None)
    return (flow, owner) if owner and stored.latest else None


def _may_come(doing: Erasing, held: Held) -> bool:
    """Whether an object that the ledger does not know yet will be part of a delivery."""
    stored = held.stored
    if held.flow is None or not stored.latest or stored.marker or not stored.key.startswith(doing.source.prefix):
        return False
    return _known(doing, stored) is None


def _known(doing: Erasing, stored: StoredVersion) -> tuple[str, RawObject] | None:
    """The feed and the ledger's row of a version in the landing zone."""
    version = stored.version if stored.version != "null" else unversioned(stored.etag, stored.size)
    return doing.ledger.objects.named_by(doing.source.name, file_id(stored.bucket, stored.key, version))


def erase_from_raw(doing: Erasing, held: Held) -> None:
    """Delete an object version that holds the person, once what is to be left of it is elsewhere."""
    stored = held.stored
    owned = None if stored.marker else _owner(doing, held)
    if owned is None and _may_come(doing, held):
        place = f"s3://{stored.bucket}/{doing.person.without(stored.key, ERASED)}"
        doing.problems[place] = f"{place} has not arrived yet: `adplatform process`, and then {ADVICE} again"
        return
    if owned is not None:
        flow, obj = owned
        doing.note(stored, EDITED, held.rows)
        if not obj.archived_key or obj.archived_key == stored.key:
            _edit(doing, flow, obj, held)
    elif stored.latest and not stored.marker and not held.named and (held.notes or _QUARANTINED.fullmatch(stored.key)):
        doing.note(stored, REWRITTEN, held.rows)
        _note_quarantined(doing, stored, held.rows)
        doing.services.store.upload(held.left, stored.bucket, stored.key)
    else:
        if is_export(stored.key):
            withdraw(doing.services, stored.key)
        doing.note(stored, DELETED, held.rows)
    doing.delete(stored)


def _edit(doing: Erasing, flow: FeedFlow, obj: RawObject, held: Held) -> None:
    """What is left of a sender's file lies in the archive, and the ledger names it there. Its key says what is in it:
    another try writes the same."""
    zones = doing.services.zones
    name = PurePosixPath(doing.person.without(plain_name(obj.key) if flow.feed.pgp else obj.key, ERASED)).name
    folder = f"{zones.archive(flow.name, obj.day, flow.archive or 'archive/')}{obj.identity}-{held.content}/"
    key = file_key(folder, name)
    doing.services.store.upload(held.left, zones.raw_bucket, key)
    doing.ledger.objects.edit(flow.name, obj, key, held.left.stat().st_size, doing.erasure.id)
    doing.days.pop((flow.name, obj.day), None)


def _note_quarantined(doing: Erasing, stored: StoredVersion, rows: int) -> None:
    """The version that these rows were quarantined of counts them still: it says where they are."""
    found = _QUARANTINED.fullmatch(stored.key)
    if found is None or not found["feed"].startswith(f"{doing.source.name}/"):
        return
    publications, day = doing.ledger.publications, date.fromisoformat(found["day"])
    row = publications.get(found["feed"], day, int(found["version"]))
    said = f"{rows} quarantined rows went with erasure {doing.erasure.id}"
    if row is not None and said not in row.note:
        publications.put(found["feed"], replace(row, note="; ".join(filter(None, (row.note, said)))))
