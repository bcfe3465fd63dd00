"""The event that readers see a version of a table, on the bus that a setting names.

It is put before the ledger has the version as published, so that whatever is killed in between puts it again, with the
same ``id``; what the bus does not take is kept in the same transaction, and the next look at the source puts it.
"""

from datetime import date

from adplatform.flow.outbox import put_event
from adplatform.flow.services import Services
from adplatform.lake.table import table_name
from adplatform.ledger.messages import Unsent
from adplatform.ledger.table import Write

DETAIL_TYPE = "Delivery Published"


def announce(
    services: Services, table: str, day: date, version: int, rows: int, run_id: str, scope: str = ""
) -> list[Write]:
    """Put the event of a version of a table ``source/feed``, or of one ``scope`` of it; what is to be written with that
    it is published, which is nothing where the bus has the event or no bus is named."""
    name = services.settings.event_bus
    if not name:
        return []
    source, _, feed = table.partition("/")
    shown = table_name(table, services.settings.database_prefix)
    detail = {
        "id": "/".join([*filter(None, (table, scope)), str(day), f"v{version}"]),
        "source": source,
        "feed": feed,
        "scope": scope or None,
        "database": shown.database,
        "table": shown.name,
        "date": str(day),
        "version": version,
        "rows": rows,
        "run_id": run_id,
    }
    event = Unsent.of_bus(name, DETAIL_TYPE, detail)
    return [] if put_event(services, event) else [services.ledger.messages.unsent_write(source, event)]
