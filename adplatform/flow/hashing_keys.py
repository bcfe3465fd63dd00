"""Which hashing keys a delivery is made with, and whether its table and the rest of the lake have the same."""

from dataclasses import dataclass

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.failures import EnvironmentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.keys import LakeKey, RotationState, TableKeys, TableRotation
from adplatform.ledger.ledger import Ledger
from adplatform.privacy.key_versions import fetch_earlier_key
from adplatform.privacy.keys import HashKey, fetch_key

ONE_KEY = "one_hashing_key"
ADVICE = "`adplatform keys rotate`"
"""What every refusal for the sake of the key names, here and in the lake."""


class KeysDiffer(EnvironmentFailure):
    """The table is under another key than the delivery would be; what was sent is good, and waits."""


@dataclass(frozen=True)
class HashingKeys:
    """``previous`` is the key of the digests that are kept beside the current ones, where they are wanted."""

    current: HashKey
    previous: HashKey | None = None

    @property
    def previous_id(self) -> str:
        return self.previous.id if self.previous else ""


def meets_deliveries(flow: FeedFlow) -> bool:
    """Whether rows of different deliveries share the table's partitions."""
    return flow.feed.contract.partition_by not in (None, DELIVERY_DATE)


def hashing_keys(services: Services, flow: FeedFlow, known: TableKeys | None = None) -> HashingKeys | None:
    """The keys that a delivery of the feed is to be made with; None when its contract needs none. ``known`` is what the
    run has read of the key of its table; :func:`require_current` is for what changes later.

    Raises:
        KeysDiffer: the rows of the delivery would meet rows that were hashed with another key.
        PermanentFailure, TransientFailure: as :func:`adplatform.privacy.keys.fetch_key`.
    """
    if not flow.feed.contract.needs_key:
        return None
    known = known or services.ledger.keys.of_table(flow.table)
    rotation = known.rotation
    if rotation is not None and rotation.state is RotationState.KEPT:
        return HashingKeys(kept_key(services, rotation))
    key = fetch_key(services.secrets, services.settings.hash_key_secret)
    if meets_deliveries(flow):
        others = _other_keys(services.ledger, flow, key.id)
        if others or (rotation is not None and rotation.state is RotationState.RUNNING):
            raise KeysDiffer(_waits(flow, key.id, " and ".join(others), rotation))
    return HashingKeys(key, _previous(services, key, known.lake))


def _other_keys(ledger: Ledger, flow: FeedFlow, key_id: str) -> list[str]:
    """The keys of what readers see of the feed, without ``key_id``; "unknown" for what may be under another."""
    found, lake = {p.key_id for p in ledger.placements.of_feed(flow.name)}, ledger.keys.lake_key()
    unknown = "" in found and lake is not None and not lake.is_of_unrecorded(key_id)
    return [*sorted(found - {"", key_id}), *(["unknown"] if unknown else [])]


def kept_key(services: Services, rotation: TableRotation) -> HashKey:
    """The key of a table that cannot be made again under another.

    Raises:
        PermanentFailure, TransientFailure: as :func:`adplatform.privacy.keys.fetch_key`.
    """
    name = services.settings.hash_key_secret
    current = fetch_key(services.secrets, name)
    return current if current.id == rotation.from_id else fetch_earlier_key(services.secrets, name, rotation.from_id)


def rotation_keys(services: Services) -> HashingKeys:
    """The keys of a rotation's own work, whatever key the tables are under.

    Raises:
        PermanentFailure, TransientFailure: as :func:`adplatform.privacy.keys.fetch_key`.
    """
    key = fetch_key(services.secrets, services.settings.hash_key_secret)
    return HashingKeys(key, _previous(services, key, services.ledger.keys.lake_key()))


def require_current(services: Services, flow: FeedFlow, key_id: str) -> None:
    """Refuse to show what was hashed with a key that was replaced while it was made.

    Raises:
        EnvironmentFailure: it was; the delivery is made again.
    """
    lake = services.ledger.keys.lake_key() if key_id else None
    if lake is None or key_id == lake.key_id:
        return
    rotation = services.ledger.keys.rotation(flow.table)
    if rotation is not None and rotation.state is RotationState.KEPT and rotation.from_id == key_id:
        return
    current = fetch_key(services.secrets, services.settings.hash_key_secret).id
    if current != key_id:
        raise EnvironmentFailure(
            f"{flow.name}: hashing key {key_id} was replaced by {current} meanwhile; the delivery is made again",
            cause=f"hashing key {key_id}",
        )


def one_key_finding(
    ledger: Ledger, flow: FeedFlow, keys: HashingKeys | None, known: TableKeys | None = None
) -> AuditFinding:
    """Whether the delivery's digests can be joined with those of all other dates and tables; ``known`` is as in
    :func:`hashing_keys`."""
    if keys is None:
        return AuditFinding(ONE_KEY, True, False, "no column is hashed with the key of the lake")
    key_id = keys.current.id
    known = known or ledger.keys.of_table(flow.table)
    lake, rotation = known.lake or ledger.keys.begin(key_id), known.rotation
    if key_id != lake.key_id:
        text = (
            f"hashed with key {key_id}, while the key of the lake is {lake.key_id} since {lake.since:%Y-%m-%d}: joins "
            "between them, and counts of persons, are wrong. `adplatform keys` shows which tables are concerned, "
            f"{ADVICE} brings all to one key"
        )
    elif rotation is not None and rotation.left:
        text = (
            f"{rotation.left} deliveries of {flow.table} stay under an earlier key because their originals are gone: "
            "joins with them are wrong; `adplatform keys` counts them"
        )
    else:
        return AuditFinding(ONE_KEY, True, False, f"hashed with key {key_id}, as the rest of the lake")
    return AuditFinding(ONE_KEY, False, False, text)


def _previous(services: Services, key: HashKey, lake: LakeKey | None) -> HashKey | None:
    if lake is None or lake.key_id != key.id or not lake.dual(services.ledger.now()):
        return None
    return fetch_earlier_key(services.secrets, services.settings.hash_key_secret, lake.previous_id)


def _waits(flow: FeedFlow, key_id: str, others: str, rotation: TableRotation | None) -> str:
    if rotation is not None and rotation.state is RotationState.RUNNING:
        return (
            f"{flow.name} waits: its table is on its way to hashing key {rotation.key_id}, {rotation.staged} of "
            f"{rotation.deliveries} deliveries are made. {ADVICE} goes on with it"
        )
    return (
        f"{flow.name} waits: its table is under hashing key {others} and the current key is {key_id}; one person would "
        f"be two rows. {ADVICE} brings the table to the current key, and this delivery with it"
    )
