"""What people are told of a delivery that an engine transforms."""

from adplatform.flow.services import Services
from adplatform.flow.transforms import TARGET
from adplatform.ledger.delivery import Delivery


def transforming(services: Services, name: str, delivery: Delivery) -> str:
    """Which engine has the delivery ``name`` since when, its run, where that is shown, and what to do."""
    source, feed = name.split("/")[:2]
    target, runs = f"{TARGET}{feed}", services.ledger.engine_runs
    intention = runs.intention(source, target, delivery.transform)
    given = intention.intended_at if intention else None
    since = f" since {given:%Y-%m-%d %H:%M} UTC" if given else ""
    has_it = f"{services.settings.spark or 'an engine'} transforms it{since}"
    if intention is None or not intention.run_id:
        return (
            f"{has_it}; its run is not started yet, which a look of {source} does: `adplatform runs {source}/{target}`"
        )
    run = runs.run(source, target, intention.run_id)
    stands = f" ({run.said.lower() or run.state})" if run else ""
    shown = f", {run.link}" if run and run.link else ""
    return (
        f"{has_it}, run {intention.run_id}{stands}{shown}; `adplatform runs {source}/{target}` follows it, "
        f"`adplatform engines cancel {source}/{target} {intention.run_id}` stops it"
    )
