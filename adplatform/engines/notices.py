"""What people get to know of an engine's runs: those that brought nothing or not everything, and what keeps others from
being started."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from adplatform.contracts.source import Topics
from adplatform.engines.landing import Landing
from adplatform.failures import EnvironmentFailure, TransientFailure, clipped, unnamed
from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import WROTE, EngineRun, Intention, RunState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Trouble, Unsent

log = logging.getLogger(__name__)

PASSES_IN = timedelta(minutes=15)
"""How long a failure that may pass is nobody's concern."""
_LONGEST = 500
"""Characters of what an engine says that a message quotes."""


@dataclass(frozen=True)
class Notices:
    """The messages about the runs of one source."""

    services: Services
    source: str
    topics: Topics

    def ended(self, run: EngineRun, why: str, *, failed: bool) -> None:
        """It failed, or brought not everything."""
        if failed:
            self._notify("run_failed", run, f"{run.owner}: a run {run.state}", why)
        else:
            self._notify("run_incomplete", run, f"{run.owner}: a run brought not everything", why)

    def overdue(self, run: EngineRun, why: str) -> None:
        self._notify("run_overdue", run, f"{run.owner}: a run is overdue", why)

    def goes_on(self, run: EngineRun, why: str) -> None:
        """Somebody wanted it stopped, and the engine refuses."""
        self._notify("run_not_stopped", run, f"{run.owner}: a run goes on", why)

    def gave_up(self, intention: Intention | None, what_next: str) -> None:
        """None more is started for it; None when somebody else has ended it."""
        if intention is None:
            return
        log.error("%s %s: %s; %s", intention.owner, intention.key, unnamed(intention.error), what_next)
        facts = {"target": intention.target, "intention": intention.key, "error": intention.error}
        self._send("run_given_up", f"{intention.owner}: a run is {intention.state}", facts)

    def keeps_failing(self, intention: Intention | None, what_next: str) -> None:
        """As :meth:`gave_up`, once for the same reason until a run of the target succeeds."""
        if intention is None:
            return
        messages, what = self.services.ledger.messages, failing_of(intention.target)
        known = messages.troubles(self.source).get(what)
        if known is None or known.error != intention.error:
            messages.note_trouble(self.source, what, intention.error)
            self.gave_up(intention, what_next)

    def troubled(self, target: str, error: Exception, known: Mapping[str, Trouble]) -> None:
        """What keeps a target from being looked at or started, once; what may pass, when it does not. ``known`` has
        what an earlier look noted of it."""
        messages, now = self.services.ledger.messages, self.services.ledger.now()
        what, passing = troubles_of(target)
        if str(error) not in {known[each].error for each in (what, passing) if each in known}:
            log.error("%s/%s: %s", self.source, target, unnamed(str(error)))
        if isinstance(error, TransientFailure) and not isinstance(error, EnvironmentFailure):
            begun = known.get(passing) or messages.note_trouble(self.source, passing, str(error))
            if what in known or now - begun.since < PASSES_IN:
                return
        elif what in known and known[what].error == str(error):
            return
        messages.note_trouble(self.source, what, str(error))
        facts = {"target": target, "error": clipped(str(error), _LONGEST)}
        self._send("target_refused", f"{self.source}: {target} cannot be run", facts)

    def _notify(self, event: str, run: EngineRun, subject: str, why: str) -> None:
        error = clipped(why, _LONGEST)
        log.warning("%s %s: %s", run.owner, run.run_id, unnamed(error))
        self._send(event, subject, {"target": run.target, "run": run.run_id, "error": error})

    def _send(self, event: str, subject: str, facts: Mapping[str, str]) -> None:
        message = Unsent.of(self.topics.failure, event, subject, {"source": self.source, **facts})
        notify(self.services, self.source, message)


def troubles_of(target: str) -> tuple[str, str]:
    """Under which names the ledger has what keeps a target from running, and what may pass."""
    return f"target/{target}", f"target/{target}/passing"


def failing_of(target: str) -> str:
    """Under which name the ledger has that what is wanted of a target is given up."""
    return f"target/{target}/failing"


def in_doubt(ledger: Ledger, source: str, targets: Sequence[str]) -> bool:
    """Whether a run that was wanted of one of the targets brought nothing, or people were told that one cannot be
    run."""
    pursued = ledger.engine_runs.pursued(source)
    if any(each.target in targets and each.attempt > 1 for each in pursued):
        return True
    troubles = ledger.messages.troubles(source)
    return any(what in troubles for name in targets for what in (*troubles_of(name), failing_of(name)))


def what_is_left(landing: Landing, *, nowhere: bool) -> str:
    """What to say of a run that has not brought everything; empty where it has. ``nowhere`` is whether it moved
    something of which nothing was found."""
    run = landing.run
    said = [run.message or f"it ended as {run.said}"]
    if nowhere:
        moved = f"{run.records} records" if run.records else f"{run.bytes} bytes"
        said = [f"it moved {moved}, and none is where it should be; `adplatform engines check` says where it writes"]
    elif run.state is RunState.PARTIAL:
        said = [f"{run.failed} of its writes failed: {run.message}".rstrip(": ")]
    elif run.state in WROTE:
        said = []
    elif run.objects:
        said.append(f"the {run.objects} objects that it brought are delivered")
    return clipped("; ".join([*said, *filter(None, [landing.incomplete])]))
