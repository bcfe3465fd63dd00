"""What is special about flows of AppFlow: how they must write, and who may start them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adplatform.engines.appflow import AppFlow
from adplatform.engines.engine import Started
from adplatform.failures import PermanentFailure
from adplatform.ledger.engine_run import Intention
from adplatform.local.world.saas.server import serving
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import new_bucket, new_world, unique
from adplatform_tests.support.saas import make_flow, records, run_flow, wait_for_run

HIERARCHY = ["SCHEMA_VERSION", "EXECUTION_ID"]
Make = Callable[..., AppFlow]


@pytest.fixture
def make(aws: Aws) -> Iterator[Make]:
    bucket = new_bucket(aws)
    with serving(new_world()) as saas:

        def made(**how: Any) -> AppFlow:
            name = unique("flow")
            make_flow(aws, saas.url, name, "Campaign", ["Id", "Name"], bucket, "landing/crm", **how)
            return AppFlow(aws.client("appflow"), aws.client("s3"), name, bucket, "landing/crm/")

        yield made


def texts(flow: AppFlow) -> list[str]:
    return [finding.text for finding in flow.check() if finding.fatal]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"prefixType": "PATH", "prefixFormat": "DAY"}, "add EXECUTION_ID"),
        ({"prefixType": "PATH", "prefixFormat": "MONTH", "pathPrefixHierarchy": HIERARCHY}, "prefixFormat DAY"),
        ({"prefixType": "FILENAME", "prefixFormat": "DAY", "pathPrefixHierarchy": HIERARCHY}, "prefixType PATH"),
    ],
)
def test_a_flow_whose_files_would_not_be_found_is_not_fit(make: Make, folders: dict[str, Any], expected: str) -> None:
    [text] = texts(make(prefixConfig=folders))
    assert expected in text


def test_a_flow_that_runs_by_its_own_schedule_is_watched_and_never_started(make: Make, aws: Aws) -> None:
    flow = make(schedule={"scheduleExpression": "rate(1hours)", "dataPullMode": "Complete"})
    with pytest.raises(PermanentFailure, match=r"runs by its own scheduled trigger.*leave out `every`"):
        flow.start(Intention("crm", "campaigns", "slot/1", begun=1))
    assert aws.client("appflow").describe_flow(flowName=flow.flow)["flowStatus"] == "Draft"


def test_stopping_a_run_that_has_ended_is_no_error_and_of_an_unknown_one_it_is(make: Make, aws: Aws) -> None:
    flow = make()
    ended = run_flow(aws, flow.flow)["executionId"]
    flow.cancel(ended)
    with pytest.raises(PermanentFailure, match="does not stop run 00000000-0000-0000-0000-000000000000"):
        flow.cancel("00000000-0000-0000-0000-000000000000")


def test_a_run_that_goes_on_is_stopped(make: Make, aws: Aws) -> None:
    flow = make()
    answer = flow.start(Intention("crm", "campaigns", "slot/1", begun=1))
    assert isinstance(answer, Started)
    flow.cancel(answer.run_id)
    wait_for_run(aws, flow.flow, answer.run_id)
    assert len(records(aws, flow.flow)) == 1
