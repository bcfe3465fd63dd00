"""Glue jobs that YAML declares: what is made, what is changed, what is left alone, and what is found."""

from typing import Any

import pytest

from adplatform.contracts.database import DatabaseSource
from adplatform.engines.databases import database_tables
from adplatform.engines.declared_glue_jobs import SCRIPT, drift, provide, script_key
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.databases import Database
from adplatform_tests.support.glue_jobs import make_job

ROLE = "adplatform-glue"
WHEEL = "s3://artifacts/adplatform-1.0-py3-none-any.whl"
FEED = {"name": "contacts", "start_date": "2026-01-01", "columns": {"id": {"type": "bigint", "required": True}}}


def declare(shop: Database, job: str, **glue: Any) -> DatabaseSource:
    """Two tables, by a job that is made unless ``role`` and ``package`` are None."""
    made = {"job": job, "role": ROLE, "package": WHEEL, **glue}
    source = {"source": "crm", "connection": shop.secret, "tls": "off", "engine": "glue", "glue": made}
    return DatabaseSource.model_validate({**source, "feeds": [FEED, {**FEED, "name": "orders"}]})


def provided(services: Services, declared: DatabaseSource) -> dict[str, Any]:
    """The job once `adplatform provision` has run."""
    pattern = database_tables(declared, services.settings)
    provision(services, [pattern.source])
    pattern.provision(services)
    return job_of(services, declared)


def job_of(services: Services, declared: DatabaseSource) -> dict[str, Any]:
    found: dict[str, Any] = services.glue.get_job(JobName=declared.job_name)["Job"]
    return found


def findings(services: Services, declared: DatabaseSource) -> list[tuple[str, bool]]:
    targets = database_tables(declared, services.settings).targets(services)
    return [(finding.text, finding.fatal) for finding in targets[0].engine.check()]


def altered(services: Services, declared: DatabaseSource, **members: Any) -> None:
    """Somebody sets these members of the job in the console, and nothing else."""
    there = job_of(services, declared)
    left = ("Name", "CreatedOn", "LastModifiedOn", "MaxCapacity", "AllocatedCapacity")
    kept = {name: value for name, value in there.items() if name not in left and value is not None}
    services.glue.update_job(JobName=declared.job_name, JobUpdate={**kept, **members})


def make_network(services: Services) -> str:
    name = unique("network")
    connection = {"Name": name, "ConnectionType": "NETWORK", "ConnectionProperties": {}}
    services.glue.create_connection(ConnectionInput=connection)
    return name


def test_a_job_is_made_as_it_is_declared_and_has_no_findings(services: Services, shop: Database) -> None:
    network = make_network(services)
    declared = declare(shop, unique("read"), connection=network, driver="s3://artifacts/pg.jar", workers=5)
    made = provided(services, declared)
    place = services.zones.raw_uri(script_key(declared))
    assert made["Command"] == {"Name": "glueetl", "ScriptLocation": place, "PythonVersion": "3"}
    assert made["DefaultArguments"] == {
        "--additional-python-modules": WHEEL,
        "--job-bookmark-option": "job-bookmark-disable",
        "--extra-jars": "s3://artifacts/pg.jar",
        "--user-jars-first": "true",
    }
    assert (made["Role"], made["GlueVersion"], made["MaxRetries"]) == (ROLE, "5.0", 0)
    assert (made["WorkerType"], made["NumberOfWorkers"]) == ("G.1X", 5)
    assert made["ExecutionProperty"] == {"MaxConcurrentRuns": 2}
    assert made["Connections"] == {"Connections": [network]}
    body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=script_key(declared))["Body"].read()
    assert body == SCRIPT
    assert findings(services, declared) == []


def test_what_differs_is_found_and_provisioned_and_what_nobody_declares_stays(
    services: Services, shop: Database
) -> None:
    network = make_network(services)
    before = declare(shop, unique("read"))
    provided(services, before)
    altered(
        services,
        before,
        Role="arn:aws:iam::123456789012:role/admin",
        Command={"Name": "pythonshell", "ScriptLocation": services.zones.raw_uri(script_key(before))},
        GlueVersion="4.0",
        MaxRetries=2,
        ExecutionProperty={"MaxConcurrentRuns": 1},
        DefaultArguments={"--enable-metrics": "true", "--job-bookmark-option": "job-bookmark-enable"},
        NonOverridableArguments={"--plan": "s3://elsewhere/plan.json", "--team": "crm"},
        SecurityConfiguration="encrypted",
    )
    after = declare(shop, before.job_name, connection=network)
    name, how = before.job_name, "`adplatform provision` sets it"
    assert findings(services, after) == [
        (f"job {name}: its kind is pythonshell, and should be glueetl: {how}", True),
        (f"job {name}: --plan in NonOverridableArguments is s3://elsewhere/plan.json, and should be none: {how}", True),
        (f"job {name}: Connections is none, and should be {network}: {how}", True),
        (f"job {name}: MaxConcurrentRuns is 1, and should be 2, one for each table: {how}", False),
        (
            f"job {name}: MaxRetries is 2, and should be 0, because a run that Glue repeats by itself reads nothing: "
            f"{how}",
            False,
        ),
        (
            f"job {name}: --job-bookmark-option is job-bookmark-enable, and should be job-bookmark-disable: {how}",
            False,
        ),
        (f"job {name}: Role is arn:aws:iam::123456789012:role/admin, and should be {ROLE}: {how}", False),
        (f"job {name}: GlueVersion is 4.0, and should be 5.0: {how}", False),
        (f"job {name}: --additional-python-modules is none, and should be {WHEEL}: {how}", False),
    ]
    made = provided(services, after)
    assert findings(services, after) == []
    assert made["DefaultArguments"]["--enable-metrics"] == "true"
    assert made["NonOverridableArguments"] == {"--team": "crm"}
    assert made["SecurityConfiguration"] == "encrypted"


def test_a_job_that_is_as_declared_is_not_touched(services: Services, shop: Database) -> None:
    declared = declare(shop, unique("read"))
    provided(services, declared)
    altered(services, declared, ExecutionProperty={"MaxConcurrentRuns": 9}, LogUri="s3://logs/")
    before = job_of(services, declared)
    assert provided(services, declared) == before


def test_a_role_by_its_arn_is_no_difference(services: Services, shop: Database) -> None:
    declared = declare(shop, unique("read"))
    provided(services, declared)
    altered(services, declared, Role=f"arn:aws:iam::123456789012:role/service/{ROLE}")
    assert findings(services, declared) == []


def test_a_job_of_somebody_else_with_the_name_is_left_alone(services: Services, shop: Database) -> None:
    declared = declare(shop, unique("read"))
    services.s3.create_bucket(Bucket=services.zones.raw_bucket)
    make_job(services.aws, declared.job_name, services.zones.raw_bucket)
    before = job_of(services, declared)
    provide(services, declared, 2)
    assert job_of(services, declared) == before
    [finding] = drift(declared, before, services.zones, 2)
    assert finding.fatal
    assert f"runs {before['Command']['ScriptLocation']}, and is to run s3://" in finding.text


def test_a_script_that_is_missing_or_not_ours_is_found_and_put_back(services: Services, shop: Database) -> None:
    declared = declare(shop, unique("read"))
    provided(services, declared)
    at = {"Bucket": services.zones.raw_bucket, "Key": script_key(declared)}
    services.s3.put_object(**at, Body=b"print()")
    [(other, fatal)] = findings(services, declared)
    assert (other.endswith("is not ours: `adplatform provision` puts ours there"), fatal) == (True, False)
    services.s3.delete_object(**at)
    [(missing, fatal)] = findings(services, declared)
    assert (missing.endswith("is missing: `adplatform provision` puts it there"), fatal) == (True, True)
    provided(services, declared)
    assert findings(services, declared) == []


@pytest.mark.parametrize(("glue", "how"), [({}, "`adplatform provision` makes it"), ({"role": None}, "make it, or")])
def test_a_job_that_is_not_there_says_what_makes_it(
    services: Services, shop: Database, glue: dict[str, Any], how: str
) -> None:
    declared = declare(shop, unique("read"), **(glue | {"package": None} if glue else {}))
    with pytest.raises(PermanentFailure, match=f"there is no job {declared.job_name}: {how}"):
        findings(services, declared)


def test_of_a_job_of_ones_own_only_what_hinders_it_is_found_and_nothing_is_changed(
    services: Services, shop: Database
) -> None:
    network = make_network(services)
    declared = declare(shop, unique("own"), role=None, package=None, connection=network)
    services.s3.create_bucket(Bucket=services.zones.raw_bucket)
    make_job(services.aws, declared.job_name, services.zones.raw_bucket, runs=1, GlueVersion="5.1")
    before = job_of(services, declared)
    provide(services, declared, 2)
    assert job_of(services, declared) == before
    assert findings(services, declared) == [
        (f"job {declared.job_name}: Connections is none, and should be {network}: set it", True),
        (f"job {declared.job_name}: MaxConcurrentRuns is 1, and should be 2, one for each table: set it", False),
    ]


def test_a_connection_that_is_not_there_is_found(services: Services, shop: Database) -> None:
    declared = declare(shop, unique("read"), connection=unique("nowhere"))
    provided(services, declared)
    [(text, fatal)] = findings(services, declared)
    assert (f"there is no connection {declared.glue.connection}" in text, fatal) == (True, True)


def test_a_role_that_glue_cannot_assume_is_said_with_what_glue_says(services: Services, shop: Database) -> None:
    declared = declare(shop, unique("read"))
    provided(services, declared)
    altered(services, declared, MaxRetries=1)

    answer = {"Error": {"Code": "InvalidInputException", "Message": "Role should be given assume role permissions"}}
    services.glue.meta.events.register("before-call.glue.UpdateJob", lambda **_: (_Refusal(), answer))
    with pytest.raises(PermanentFailure, match=f"Glue refuses the job {declared.job_name}: Role should be given"):
        provide(services, declared, 2)


class _Refusal:
    status_code = 400
