"""What engines work on for the platform: the plan of an intention in the raw zone, and the result that its run left."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake.store import is_missing
from adplatform.lake.zones import Zones
from adplatform.ledger.engine_run import EngineRun, Intention, IntentState, RunState
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.job_plan import RESULT, WrittenFile

log = logging.getLogger(__name__)

D = TypeVar("D", bound=BaseModel)


@dataclass(frozen=True)
class Given:
    """What an engine has. ``intention`` is why it runs, ``plan`` the URI of what it is given: so many ``files`` of so
    many ``bytes``."""

    intention: Intention
    plan: str
    files: int
    bytes: int


def goes_to_engine(services: Services, flow: FeedFlow) -> bool:
    """Whether the feed's deliveries can be given to an engine, by what is declared and set."""
    return bool(services.settings.spark) and flow.feed.engine != "duckdb"


def require_engine(services: Services, flow: FeedFlow) -> bool:
    """Whether what is done for the feed can be given to an engine.

    Raises:
        EnvironmentFailure: the feed is declared with an engine that the platform does not have.
    """
    if flow.feed.engine == "spark" and not services.settings.spark:
        raise EnvironmentFailure(
            f"{flow.name} is declared with engine: spark, and ADPLATFORM_SPARK names no Spark: set it to glue or "
            "emr-serverless, or declare engine: auto",
            cause="ADPLATFORM_SPARK",
        )
    return goes_to_engine(services, flow)


def plan_key(intention: Intention) -> str:
    """Where in the raw bucket the plan for an intention is."""
    return f"{Zones.engine_work(intention.owner, intention.key)}plan.json"


def output_prefix(intention: Intention) -> str:
    """Below which key the run for the present attempt writes."""
    return f"{Zones.engine_work(intention.owner, intention.key)}{intention.attempt}/"


def put_plan(services: Services, intention: Intention, plan: BaseModel) -> str:
    """Put the plan for an intention; its URI."""
    key, zones = plan_key(intention), services.zones
    with aws_failures(key):
        body = plan.model_dump_json().encode()
        services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=body, **zones.put_arguments)
    return zones.raw_uri(key)


def stored_plan(services: Services, intention: Intention, kind: type[D]) -> D | None:
    """What the engine was given; None where that is gone, or was written by another release."""
    body = _read(services, plan_key(intention))
    try:
        return None if body is None else kind.model_validate_json(body)
    except ValidationError:
        return None


def result_of(services: Services, intention: Intention, kind: type[D]) -> D | None:
    """What the run for the present attempt left; None where it left no result.

    Raises:
        PermanentFailure: it is none.
    """
    key = f"{output_prefix(intention)}{RESULT}"
    body = _read(services, key)
    try:
        return None if body is None else kind.model_validate_json(body)
    except ValidationError as e:
        raise PermanentFailure(f"{key} is no result: is its script that of this release?") from e


def are_there(services: Services, intention: Intention, files: Iterable[WrittenFile]) -> bool:
    """Whether all of these files are there as its run wrote them."""
    raw, prefix = services.zones.raw_uri(""), output_prefix(intention)
    found = {each.key: each.size for each in services.store.listing(services.zones.raw_bucket, prefix)}
    return all(found.get(file.uri.removeprefix(raw)) == file.size for file in files)


def require_fulfilled(services: Services, intention: Intention, name: str, retry: str) -> None:
    """
    Raises:
        PermanentFailure: the engine gave up, or its run was cancelled; ``retry`` is what helps.
    """
    if intention.state is IntentState.FULFILLED:
        return
    run = run_of(services, intention)
    if run is not None and (run.unwanted or run.state is RunState.CANCELLED):
        raise PermanentFailure(f"{name}: its Spark run {run.run_id} was cancelled; {retry}")
    runs = "its Spark run" if intention.attempt == 1 else f"its {intention.attempt} Spark runs, the last of which"
    raise PermanentFailure(f"{name}: {runs} failed: {intention.error or 'the engine says nothing more'}; {retry}")


def run_of(services: Services, intention: Intention) -> EngineRun | None:
    """The run that the intention has, or had last."""
    if not intention.run_id:
        return None
    return services.ledger.engine_runs.run(intention.source, intention.target, intention.run_id)


def clear(services: Services, intention: Intention) -> None:
    """Remove what an engine was given for an intention, and what it left."""
    raw, prefix = services.zones.raw_bucket, Zones.engine_work(intention.owner, intention.key)
    services.store.delete(raw, (each.key for each in services.store.listing(raw, prefix)))


def tidy(services: Services, intention: Intention) -> None:
    """The same once readers see what came of it: they do whether or not that can be removed, and the bucket removes it
    in some days."""
    prefix = Zones.engine_work(intention.owner, intention.key)
    try:
        with aws_failures(prefix):
            clear(services, intention)
    except (PermanentFailure, TransientFailure) as e:
        log.warning("%s is left where it is: %s", prefix, e)


def _read(services: Services, key: str) -> bytes | None:
    with aws_failures(key):
        try:
            body: bytes = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read()
        except ClientError as e:
            if not is_missing(e):
                raise
            return None
    return body
