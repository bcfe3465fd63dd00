"""Files of a partner's SFTP server, fetched by a connector of AWS Transfer Family: what runs for such a source.

Each folder is a target whose runs list it, by schedule; folders below are listed by a target beside it, when a listing
shows them. One more target fetches what listings came to. What is between them are objects of the raw zone: the memory
of each folder, and plans (``adplatform.engines.sftp.passes``).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, partial

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import SftpConnector
from adplatform.engines.engine import Finding
from adplatform.engines.events import connector_events
from adplatform.engines.notices import in_doubt
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Target
from adplatform.engines.sftp.listings import Listings
from adplatform.engines.sftp.memories import Memories
from adplatform.engines.sftp.passes import MOST_BATCHES, TRANSFER, Passes, Place
from adplatform.engines.sftp.plans import Plans
from adplatform.engines.sftp.provided_connectors import Connector
from adplatform.engines.sftp.transfers import Transfers
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import Source, declared_source
from adplatform.ledger.engine_run import EngineRun, Intention
from adplatform.ledger.rows import digest
from adplatform.platform.settings import Settings
from adplatform.sftp.places import folders_of

_NEXT = "it is listed again at the next slot"
_FETCHED_AGAIN = "what was wanted is fetched again after later listings"
"""What becomes of what was given up."""
_LISTING = "listing-"
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST_NAME = 80
"""Characters of a target's name, so that it can be read."""


def connector_files(declared: SftpSource, settings: Settings) -> EngineFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: a template is invalid.
    """
    source = declared_source(declared, settings.raw_bucket)
    source = replace(source, takes_files=False)
    ids: dict[str, str] = {}

    def provision(services: Services) -> None:
        _connector(services, declared, ids).provide()

    return EngineFiles(
        source,
        events=connector_events(declared),
        topics=declared.topics,
        targets=lambda services: connector_targets(services, declared, source, ids),
        provision=provision,
        names_of_targets=tuple(map(target_name, folders_of(declared.fetched))),
        further_targets=(*map(below_name, folders_of(declared.fetched)), TRANSFER),
    )


def connector_targets(
    services: Services,
    declared: SftpSource,
    source: Source,
    ids: dict[str, str] | None = None,
    most: int = MOST_BATCHES,
) -> list[Target]:
    """What runs for the source, for one look at it. ``ids`` remembers the connector that its tags have led to; ``most``
    is how many transfers of it wait or go on at the same time."""
    connector = _connector(services, declared, {} if ids is None else ids)
    plans, memories, name = Plans(services, source.name), Memories(services, source.name), source.name
    runs, found = services.ledger.engine_runs, list[Target]()

    @cache
    def findings() -> Sequence[Finding]:
        """Once for all targets of a look."""
        try:
            return connector.findings(test=in_doubt(services.ledger, name, names))
        except PermanentFailure as e:
            # One tells of it, and the others wait.
            return [Finding(str(e))]

    folders = folders_of(declared.fetched)
    names = [target_name(folder) for folder in folders]
    for number, (folder, depth) in enumerate(folders.items()):
        target, below = target_name(folder), below_name(folder)
        lists = partial(Listings, services, connector, name)
        own = lists(target, partial(_always, folder), partial(_begun, services, name, target), findings, not number)
        passes = Passes(services, declared, source, connector, plans, memories, own.output, most)
        place = Place(folder, folder, depth, target, below)
        judge = partial(_judged, passes, partial(_same, place))
        found.append(Target(target, own, declared.every, declared.offset, judge=judge, once=True, what_next=_NEXT))
        if depth:
            inner = lists(below, partial(_planned, plans), partial(_begun, services, name, below), findings, False)
            passes = replace(passes, output=inner.output)
            judge = partial(_judged, passes, partial(_place_below, plans, folder, depth, below))
            found.append(Target(below, inner, judge=judge, once=True, what_next=_NEXT))
    transfers = Transfers(
        services,
        connector,
        name,
        plans,
        memories,
        lambda run_id: runs.run(name, TRANSFER, run_id),
        lambda key: runs.intention(name, TRANSFER, key),
        findings,
    )
    found.append(Target(TRANSFER, transfers, once=True, what_next=_FETCHED_AGAIN))
    return found


def target_name(folder: str) -> str:
    """What the listings of a folder are called among the targets of their source. No feed has a name with a hyphen."""
    return f"{_LISTING}{_readable(folder)}"


def is_listing(target: str) -> bool:
    """Whether a target lists a folder by schedule."""
    return target.startswith(_LISTING)


def below_name(folder: str) -> str:
    """What the listings of the folders in a folder are called."""
    return f"listings-below-{_readable(folder)}"


def _readable(folder: str) -> str:
    """The folder's name, with a digest where that does not say which folder it is."""
    parts = [part for part in folder.split("/") if part]
    plain = all(_PLAIN.fullmatch(part) and "-" not in part for part in parts)
    text = "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part) for part in parts) or "root"
    if plain and len(text) <= _LONGEST_NAME and text != "root":
        return text
    return text if folder == "/" else f"{text[:_LONGEST_NAME]}-{digest(folder)[:8]}"


def _connector(services: Services, declared: SftpSource, ids: dict[str, str]) -> Connector:
    if not isinstance(declared.from_, SftpConnector):
        raise PermanentFailure(f"{declared.source}: from.kind is {declared.from_.kind}, and a connector is asked for")
    return Connector(services, declared, declared.from_, ids)


def _judged(passes: Passes, place_of: Callable[[EngineRun], Place], run: EngineRun) -> str:
    return passes.judge(place_of(run), run)


def _same(place: Place, _: EngineRun) -> Place:
    return place


def _always(folder: str, _: Intention) -> str:
    return folder


def _planned(plans: Plans, intention: Intention) -> str:
    return plans.folder(intention.key)


def _place_below(plans: Plans, root: str, depth: int, below: str, run: EngineRun) -> Place:
    return Place(plans.folder(run.intent), root, depth, below, below)


def _begun(services: Services, source: str, target: str, run_id: str) -> datetime | None:
    row = services.ledger.engine_runs.run(source, target, run_id)
    return row.found_at if row is not None else None
