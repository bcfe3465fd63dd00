"""One delivery from settled to published, in one go, for sources whose raw and clean steps share a run."""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.aws_errors import aws_failures
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow import clean, lifecycle, raw
from adplatform.flow.clean import Transformed
from adplatform.flow.close import close
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.rows import Publication


def publish_delivery(
    services: Services,
    flow: FeedFlow,
    day: date,
    run_id: str,
    temp: Path,
    audited: Callable[[Iterable[AuditFinding]], None] = lambda _: None,
) -> tuple[Publication, Transformed]:
    """Claim, check, transform, audit, publish and close a settled delivery; a failure is written to the ledger.

    ``audited`` is told what the audit found, passed or not, before anything is published.

    Raises:
        PermanentFailure: a file or the audit forbids it.
        TransientFailure: a service did not answer, or another run has the delivery.
    """
    started = services.ledger.now()
    try:
        with aws_failures(f"{flow.name} {day}"), TemporaryDirectory(dir=temp) as directory:
            work = Path(directory)
            delivery = lifecycle.claim(services, flow, day, run_id)
            outcomes = raw.land(services, flow, day, delivery.version, work)
            clean.require_no_bad_file(flow, outcomes)
            transformed = clean.transform_version(services, flow, day, delivery.version, work)
            audited(transformed.findings)
            if transformed.refusals:
                reasons = "; ".join(f"{f.name}: {f.description}" for f in transformed.refusals)
                raise PermanentFailure(f"{flow.name} {day}: the audit refused version {delivery.version}: {reasons}")
            clean.publish_version(services, flow, day, delivery.version, transformed, run_id, work)
            seconds = (services.ledger.now() - started).total_seconds()
            return close(services, flow, delivery, seconds), transformed
    except (PermanentFailure, TransientFailure) as e:
        lifecycle.fail(services, flow, day, run_id, e)
        raise
    except Exception as e:
        lifecycle.fail(services, flow, day, run_id, TransientFailure(f"unexpected {type(e).__name__}"))
        raise
