"""One delivery from settled to published, in one go, for sources whose raw and clean steps share a run."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure
from adplatform.flow import clean, lifecycle, raw
from adplatform.flow.close import close
from adplatform.flow.services import Services
from adplatform.flow.shown import shown
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.publications import Publication
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn


def publish_delivery(
    services: Services,
    flow: FeedFlow,
    day: date,
    run_id: str,
    temp: Path,
    audited: Callable[[Iterable[AuditFinding]], None] = lambda _: None,
) -> tuple[Publication, tuple[OutputColumn, ...]]:
    """Claim, check, transform, audit, publish and close a settled delivery; a failure is written to the ledger. One
    that readers see already is only closed. The publication, and the columns of its table.

    ``audited`` is told what the audit found, passed or not, before anything is published.

    Raises:
        PermanentFailure: a file or the audit forbids it.
        ClaimLost: another run has the delivery.
        TransientFailure: a service did not answer.
    """
    started = services.ledger.now()

    def seconds() -> float:
        return (services.ledger.now() - started).total_seconds()

    delivery: Delivery | None = None
    try:
        with aws_failures(f"{flow.name} {day}"), ExitStack() as stack:
            delivery = lifecycle.claim(services, flow, day, run_id)
            if shown(services.ledger, flow, delivery):
                return close(services, flow, delivery, seconds()), output_columns(flow.feed.contract)
            work = Path(stack.enter_context(TemporaryDirectory(dir=temp)))
            outcomes = raw.land(services, flow, day, delivery.version, work)
            clean.require_no_bad_file(flow, outcomes)
            transformed = clean.transform_version(services, flow, day, delivery.version, work)
            audited(transformed.findings)
            if transformed.refusals:
                reasons = "; ".join(f"{f.name}: {f.description}" for f in transformed.refusals)
                raise PermanentFailure(f"{flow.name} {day}: the audit refused version {delivery.version}: {reasons}")
            clean.publish_version(services, flow, day, delivery.version, transformed, run_id, work)
            return close(services, flow, delivery, seconds()), transformed.staged.columns
    except (PermanentFailure, TransientFailure) as e:
        if delivery is not None and not lifecycle.fail(services, flow, day, run_id, e):
            raise ClaimLost(str(e)) from e
        raise
    except Exception as e:
        lifecycle.fail(services, flow, day, run_id, TransientFailure(f"unexpected {type(e).__name__}"))
        raise
    except BaseException:  # interruptions are no Exceptions, whoever raises them
        lifecycle.release(services, flow, day, run_id)
        raise
