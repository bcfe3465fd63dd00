"""The job of Glue that transforms deliveries: made by its settings, and found and mended where it differs."""

from dataclasses import replace
from typing import Any

from adplatform.engines.declared_spark import SCRIPT, SCRIPT_KEY, provide
from adplatform.engines.spark import spark_engine
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.spark_runs import ROLE, on_glue

WHEEL = "s3://artifacts/adplatform_transform-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"


def job_of(services: Services) -> dict[str, Any]:
    found: dict[str, Any] = services.glue.get_job(JobName=services.settings.spark_job)["Job"]
    return found


def findings(services: Services) -> list[tuple[str, bool]]:
    return [(each.text, each.fatal) for each in spark_engine(services, "crm", "orders").check()]


def test_the_job_is_made_by_its_settings_and_what_differs_is_found_and_mended(services: Services) -> None:
    provision(services, [])
    named = on_glue(services, unique("transform"), spark_role=ROLE, spark_workers=7)
    provide(named, WHEEL)
    made, name = job_of(named), named.settings.spark_job
    assert made["Command"]["ScriptLocation"] == named.zones.raw_uri(SCRIPT_KEY)
    assert (made["Role"], made["GlueVersion"], made["NumberOfWorkers"]) == (ROLE, "5.1", 7)
    assert made["DefaultArguments"] == {
        "--additional-python-modules": WHEEL,
        "--enable-auto-scaling": "true",
        "--job-bookmark-option": "job-bookmark-disable",
    }
    body = named.s3.get_object(Bucket=named.zones.raw_bucket, Key=SCRIPT_KEY)["Body"].read()
    assert (body, findings(named)) == (SCRIPT, [])

    left = ("Name", "CreatedOn", "LastModifiedOn", "MaxCapacity", "AllocatedCapacity")
    kept = {key: value for key, value in made.items() if key not in left and value is not None}
    altered = {"GlueVersion": "4.0", "MaxRetries": 1, "NonOverridableArguments": {"--output": "s3://elsewhere/"}}
    named.glue.update_job(JobName=name, JobUpdate={**kept, **altered, "SecurityConfiguration": "encrypted"})
    named.s3.delete_object(Bucket=named.zones.raw_bucket, Key=SCRIPT_KEY)
    how = "`adplatform provision` sets it"
    place = named.zones.raw_uri(SCRIPT_KEY)
    assert findings(named) == [
        (f"job {name}: --output in NonOverridableArguments is s3://elsewhere/, and should be none: {how}", True),
        (
            f"job {name}: MaxRetries is 1, and should be 0, because a run that Glue repeats by itself costs once more, "
            f"and nobody follows it: {how}",
            False,
        ),
        (f"job {name}: GlueVersion is 4.0, and should be 5.1: {how}", False),
        (f"job {name}: its script {place} is missing: `adplatform provision` puts it there", True),
    ]
    provide(named, WHEEL)
    assert (findings(named), job_of(named)["SecurityConfiguration"]) == ([], "encrypted")


def test_a_job_of_somebody_else_is_left_as_it_is(services: Services) -> None:
    provision(services, [])
    name = unique("transform")
    command = {"Name": "glueetl", "ScriptLocation": "s3://theirs/script.py"}
    services.glue.create_job(Name=name, Role=ROLE, Command=command, MaxRetries=1)
    named = on_glue(services, name, spark_role=ROLE)
    provide(named, WHEEL)
    assert job_of(named)["MaxRetries"] == 1
    [(text, fatal)] = [each for each in findings(named) if "is to run" in each[0]]
    assert fatal
    assert "name another in ADPLATFORM_SPARK_JOB, or delete it" in text
    own = replace(named, settings=replace(named.settings, spark_role=""))
    assert not [text for text, fatal in findings(own) if fatal]
