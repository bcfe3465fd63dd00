"""EMR Serverless where it needs an embedded AWS of its own: the clock, refusals, and the end of the process."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.local.endpoint import ensure
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.local.aws.appflow_world import new_bucket, unique
from adplatform_tests.support.replication import administer
from adplatform_tests.support.spark_runs import ROLE, emr_runs, make_application, order_emr_fault, wait_for_emr_run

NOTHING, SLEEPS = b"pass\n", b"import time\ntime.sleep(600)\n"


@dataclass(frozen=True)
class Application:
    """One whose runs execute a script."""

    aws: Aws
    id: str
    script: str

    @property
    def client(self) -> Any:
        return self.aws.client_once("emr-serverless")

    @property
    def state(self) -> str:
        return str(self.client.get_application(applicationId=self.id)["application"]["state"])

    def start(self, token: str = "", **more: Any) -> str:
        asked = {
            "applicationId": self.id,
            "clientToken": token or unique("token"),
            "executionRoleArn": ROLE,
            "jobDriver": {"sparkSubmit": {"entryPoint": self.script}},
        }
        return str(self.client.start_job_run(**asked, **more)["jobRunId"])

    def run(self) -> str:
        """The state in which a run ended."""
        return str(wait_for_emr_run(self.aws, self.id, self.start())["state"])


def make(aws: Aws, script: bytes = NOTHING) -> Application:
    bucket = new_bucket(aws)
    aws.client("s3").put_object(Bucket=bucket, Key="script.py", Body=script)
    return Application(aws, make_application(aws), f"s3://{bucket}/script.py")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with ensure(tmp_path_factory.mktemp("alone")) as endpoint:
        yield local_aws(endpoint.url)


def test_an_application_stops_when_it_is_idle_and_starts_for_the_next_run(own: Aws) -> None:
    made = make(own)
    assert made.state == "CREATED"
    assert made.run() == "SUCCESS"
    assert made.state == "STARTED"
    administer(own, advance=16 * 60)
    assert made.state == "STOPPED"
    assert made.run() == "SUCCESS"
    assert made.state == "STARTED"


def test_an_application_with_a_run_is_not_idle(own: Aws) -> None:
    made = make(own, SLEEPS)
    run = made.start(executionTimeoutMinutes=0)
    wait_for_emr_run(own, made.id, run, "RUNNING")
    administer(own, advance=16 * 60)
    assert made.state == "STARTED"
    made.client.cancel_job_run(applicationId=made.id, jobRunId=run)
    assert wait_for_emr_run(own, made.id, run)["state"] == "CANCELLED"


def test_a_token_is_for_one_request(own: Aws) -> None:
    made = make(own)
    first = made.start("once", name="a")
    assert made.start("once", name="a") == first
    with pytest.raises(ClientError, match=r"ConflictException.*other parameters"):
        made.start("once", name="b")
    assert [each["id"] for each in emr_runs(own, made.id)] == [first]


def test_runs_are_listed_by_the_page_the_newest_first_and_since_a_moment(own: Aws) -> None:
    made = make(own)
    runs = [made.start() for _ in range(5)]
    asked: dict[str, Any] = {"applicationId": made.id, "maxResults": 2}
    pages = [made.client.list_job_runs(**asked)]
    while token := pages[-1].get("nextToken"):
        pages.append(made.client.list_job_runs(**asked, nextToken=token))
    assert [[each["id"] for each in page["jobRuns"]] for page in pages] == [runs[:2:-1], runs[2:0:-1], runs[:1]]
    administer(own, advance=3600)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    later = made.start()
    ahead = made.client.get_job_run(applicationId=made.id, jobRunId=later)["jobRun"]["createdAt"] - now
    recent = made.client.list_job_runs(**asked, createdAtAfter=now + ahead - hour / 2)["jobRuns"]
    assert [each["id"] for each in recent] == [later]


def test_what_is_refused_starts_nothing(own: Aws) -> None:
    made = make(own)
    for fault, code in (("throttled", "ThrottlingException"), ("quota", "ServiceQuotaExceededException")):
        order_emr_fault(own, fault, made.id)
        with pytest.raises(ClientError, match=code):
            made.start()
        assert emr_runs(own, made.id) == []
    assert made.run() == "SUCCESS"


@pytest.mark.slow
def test_runs_of_before_are_there_after_a_restart_and_those_that_went_on_have_failed(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        made, held = make(aws), make(aws, SLEEPS)
        ended, going = made.start(), held.start()
        assert wait_for_emr_run(aws, made.id, ended)["state"] == "SUCCESS"
        wait_for_emr_run(aws, held.id, going, "RUNNING")
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        assert [each["state"] for each in emr_runs(aws, made.id)] == ["SUCCESS"]
        [run] = emr_runs(aws, held.id)
        assert (run["id"], run["state"]) == (going, "FAILED")
        assert run["stateDetails"] == "the embedded AWS ended during the run"
        assert Application(aws, made.id, made.script).run() == "SUCCESS"
