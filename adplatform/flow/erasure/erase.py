"""Erasing a person from all that a source has stored, and publishing what is left.

What is left to do is found by looking, never by a list, so an erasure that was killed goes on where it was. In this
order, so that at any moment the ledger names a place where each object is, and readers see each table whole:

1. Every object version of the raw bucket that holds the person is done with. What is left of a sender's file goes to
   the archive, decrypted, and the ledger names that place before the version is deleted. Quarantined rows and lists of
   names are written anew under their keys; all else that holds the person is deleted.
2. Names of objects in the ledger lose the person.
3. Deliveries of which readers see a version that was made of more than is left are made again, in the normal flow.
4. Once readers have had time to turn to them, files of the clean bucket that hold the person and that nobody is led to
   any more are deleted.

This is repeated until a look finds nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from adplatform.flow.again import Work
from adplatform.flow.erasure.clean import erase_from_clean
from adplatform.flow.erasure.names import erase_names
from adplatform.flow.erasure.publishing import publish_what_is_left
from adplatform.flow.erasure.raw import erase_from_raw, would_be
from adplatform.flow.erasure.receipt import Receipt, kept_receipt, receipt_of
from adplatform.flow.erasure.search import ERASED, Search
from adplatform.flow.erasure.state import ADVICE, DELETED, RENAMED, Erasing, Wish
from adplatform.flow.key_rotation import LEASE as KEY_LEASE
from adplatform.flow.key_rotation import usage
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.erasures import Erasure, ErasureState
from adplatform.platform.aws_errors import aws_failures
from adplatform.privacy.key_versions import every_key
from adplatform.privacy.keys import HashKey, fetch_key
from adplatform.privacy.person import person_of

RUN_PREFIX = "erase-"
_LEASE_TTL = timedelta(minutes=1)
_PASSES = 6


def erase(
    services: Services,
    source: Source,
    flows: Sequence[FeedFlow],
    wish: Wish,
    work: Work,
    *,
    erasure_id: str,
    follow: Callable[[], Iterable[str]] = tuple,
) -> Receipt:
    """Erase a person from a source, whose deliveries are those of ``flows``. May be killed at any moment and called
    again with the same identifiers, with another ``erasure_id``, which is random. ``follow`` makes the tables anew that
    are made of those of feeds, and returns what kept it from that.

    Raises:
        PermanentFailure: the identifiers are none, or AWS does not allow something.
        TransientFailure: another erasure of the source, or a rotation of the hashing key, is at work, or AWS does not
            answer.
    """
    ledger, ttl = services.ledger, _LEASE_TTL
    with (
        aws_failures(f"the erasure from {source.name}"),
        ledger.lease(f"erasure/{source.name}", work.run_id, ttl=ttl, wait=ttl * 1.5, sleep=work.sleep) as lease,
        ledger.lease(KEY_LEASE, work.run_id, ttl=ttl, wait=ttl * 1.5, sleep=work.sleep) as keys,
        lease.kept(),
        keys.kept(),
    ):
        secrets, name = services.secrets, services.settings.hash_key_secret
        known = every_key(secrets, name)
        countries = {c.pii.country for f in flows for c in f.feed.contract.columns if c.pii and c.pii.country}
        person = person_of(wish.identifiers, known, countries)
        tables = (*{flow.table: flow for flow in flows}.values(), *source.derived)
        shown = {each.key_id for each in usage(ledger, flows)} - {""}
        lost = tuple(sorted(shown - {key.id for key in known}))
        folder = work.temp / "search"
        folder.mkdir(exist_ok=True)
        erasure = _begun(services, source, wish, known, erasure_id)
        with Search(services, source, flows, person, folder) as search:
            doing = Erasing(services, source, flows, tables, person, erasure, search, work, wish, lease)
            if wish.dry_run:
                return _looked(doing, lost)
            for _ in range(_PASSES):
                before = len(doing.done)
                _pass(doing, follow)
                if doing.problems or len(doing.done) == before:
                    break
            else:
                doing.problems["passes"] = f"the person comes again and again; {ADVICE} when nothing is delivered"
            return kept_receipt(doing, lost)


def _begun(services: Services, source: Source, wish: Wish, keys: Sequence[HashKey], erasure_id: str) -> Erasure:
    """The erasure of this person that was begun and is not done, under whichever key that was, or a new one."""
    ledger, current = services.ledger, fetch_key(services.secrets, services.settings.hash_key_secret)
    given = sorted(f"{each.kind}\x00{each.value.strip()}\x00{each.country}" for each in wish.identifiers)

    def mark(key: HashKey, erasure: str) -> str:
        return key.hmac("\x00".join(("erasure", erasure, *given)))

    for earlier in ledger.erasures.of_source(source.name):
        if earlier.state is ErasureState.RUNNING and earlier.mark in {mark(key, earlier.id) for key in keys}:
            return earlier
    new = Erasure(erasure_id, ledger.now(), mark=mark(current, erasure_id))
    if not wish.dry_run:
        ledger.erasures.put(source.name, new)
    return new


def _looked(doing: Erasing, lost: tuple[str, ...]) -> Receipt:
    """What would be done, by what is there now."""
    for held in doing.search.raw():
        doing.note(held.stored, would_be(doing, held), held.rows)
    for held in doing.search.clean():
        doing.note(held.stored, DELETED, held.rows)
    return replace(receipt_of(doing, lost), dry_run=True)


def _pass(doing: Erasing, follow: Callable[[], Iterable[str]]) -> None:
    _record_what_has_come(doing)
    for held in doing.search.raw():
        doing.lease.check()
        erase_from_raw(doing, held)
    doing.lease.check()
    for place, texts in erase_names(doing.ledger.access, doing.source.name, doing.person, ERASED):
        doing.note_place(place, "", RENAMED, texts)
    publish_what_is_left(doing)
    if doing.problems:
        return
    for problem in follow():
        doing.problems[problem] = problem
    if not doing.problems:
        erase_from_clean(doing)


def _record_what_has_come(doing: Erasing) -> None:
    """So that nothing that a sender has just written is taken for what belongs to nobody."""
    listed = set[int]()
    for flow in doing.flows:
        arrivals = doing.work.settler(flow).arrivals
        if not flow.by_runs and id(arrivals) not in listed:
            listed.add(id(arrivals))
            arrivals.reconcile()
