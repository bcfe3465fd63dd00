"""Which files that were fetched from a server readers see by now, so that they may be moved or deleted there."""

from collections.abc import Mapping
from datetime import datetime

from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.flow.version import read_settlement
from adplatform.sftp.choice import Known


def shown_files(services: Services, source: Source, known: Mapping[str, Known], now: datetime) -> set[str]:
    """The paths of those whose content, as it is now, is in the version of its delivery that readers see. Each delivery
    is looked up once.

    Raises:
        PermanentFailure, TransientFailure: the ledger or a manifest cannot be read.
    """
    seen: dict[tuple[str, object], dict[str, set[str]]] = {}
    found: set[str] = set()
    for path, each in known.items():
        placed = source.place(each.key, each.modified or now) if each.key else None
        if placed is None:
            continue
        flow, day = placed[0].name, placed[1].day
        if (flow, day) not in seen:
            delivery = services.ledger.deliveries.get(flow, day)
            shown = services.ledger.publications.get(flow, day, delivery.published) if delivery.published else None
            entries = read_settlement(services.s3, services.zones, shown.manifest_key)["objects"] if shown else []
            objects: dict[str, set[str]] = {}
            for entry in entries:
                objects.setdefault(entry["key"], set()).update((entry["version"], entry["etag"].strip('"')))
            seen[flow, day] = objects
        if ({each.version, each.etag.strip('"')} - {""}) & seen[flow, day].get(each.key, set()):
            found.add(path)
    return found
