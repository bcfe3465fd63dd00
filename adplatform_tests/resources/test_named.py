"""The named resources: what they show, what a step gets of them, and what anybody may put in their place."""

from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.defs.resources import platform
from adplatform.platform.settings import Settings, read_settings
from adplatform.resources.connection import open_services
from adplatform.resources.named import LedgerResource, NotificationsResource, resources_of, services_of

LOCAL = Settings(env="local", home=Path("/somewhere"), ledger_table="my-ledger", failure_topic="my-failures")


def test_resources_show_names_and_addresses() -> None:
    resources = resources_of(LOCAL)
    assert resources["s3"].raw_bucket == "adplatform-raw"
    assert resources["ledger"].table == "my-ledger"
    assert resources["notifications"].failure_topic == "my-failures"
    assert {resources[name].embedded_aws for name in resources if name != "machine"} == {"/somewhere/aws"}
    in_aws = resources_of(Settings(env="aws", home=Path("/work"), region="eu-west-1"))
    assert {in_aws[name].region_name for name in in_aws if name != "machine"} == {"eu-west-1"}
    assert {in_aws[name].embedded_aws for name in in_aws if name != "machine"} == {None}


def test_s3_and_secrets_are_resources_of_dagster_aws() -> None:
    resources = resources_of(LOCAL)
    assert isinstance(resources["s3"], S3Resource)
    assert isinstance(resources["secrets"], SecretsManagerResource)


def test_no_field_of_a_resource_holds_a_secret() -> None:
    for resource in resources_of(LOCAL).values():
        shown = {name: value for name, value in dict(resource).items() if value is not None}
        assert not shown.keys() & {"aws_secret_access_key", "aws_session_token", "aws_access_key_id"}


def test_a_step_talks_to_the_resources_that_it_asks_for_and_to_nothing_else(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    resources = resources_of(LOCAL)
    services = services_of(resources["ledger"], resources["notifications"])
    assert services.settings.ledger_table == "my-ledger"
    assert services.ledger.client.meta.endpoint_url == aws_endpoint
    assert services.topic_arn("my-failures").endswith(f":{services.account}:my-failures")
    with pytest.raises(LookupError, match="no resource that this step asks for has a client of s3"):
        _ = services.s3


def test_topics_have_the_same_address_for_commands_and_for_steps(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    settings = read_settings()
    resources = resources_of(settings)
    by_command = open_services(settings).topic_arn("t")
    assert services_of(resources["ledger"], resources["notifications"]).topic_arn("t") == by_command


class Ours(LedgerResource):
    """Somebody's own: the ledger of another account's table."""

    def settings(self) -> dict[str, str]:
        return {"ledger_table": f"shared-{self.table}"}


def test_anybodys_own_resources_take_the_place_of_ours() -> None:
    mine = S3Resource(endpoint_url="http://127.0.0.1:1", region_name="us-east-1")
    services = services_of(mine, Ours(table="ledger", region_name="us-east-1"))
    assert services.s3.meta.endpoint_url == "http://127.0.0.1:1"
    assert services.zones.raw_bucket == read_settings().raw_bucket
    assert services.settings.ledger_table == "shared-ledger"


def test_the_code_location_binds_them_all() -> None:
    bound = platform()
    assert isinstance(bound, dg.Definitions)
    resources = bound.resources or {}
    assert resources.keys() == resources_of(LOCAL).keys()
    assert isinstance(resources["notifications"], NotificationsResource)
