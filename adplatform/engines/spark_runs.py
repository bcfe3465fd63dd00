"""Runs of Spark: what each is given.

An intention is one try of one delivery, or of one merge. Its plan is in the raw zone before it is started, and what a
run brings is below a prefix of that try, where its result is written last. So two runs of one try, where an answer was
lost, do each other no harm. Whether one that succeeded left a result is looked at once, when it is judged
(``adplatform.engines.spark_work``). Runs go on beside each other, of one feed as of several.
"""

from datetime import timedelta

from adplatform.engines.declared_spark import REGION, TARGET
from adplatform.flow.engine_work import output_prefix, plan_key
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention
from adplatform.transform.job_plan import OUTPUT, PLAN

LONGEST_RUN = timedelta(hours=8)
"""After it a run is ended by its service."""


def arguments(services: Services, intention: Intention, mark: str) -> dict[str, str]:
    """What a run is given; ``mark`` says whose it is."""
    zones = services.zones
    return {
        PLAN: zones.raw_uri(plan_key(intention)),
        OUTPUT: zones.raw_uri(output_prefix(intention)),
        REGION: services.aws.region,
        TARGET: mark,
    }
