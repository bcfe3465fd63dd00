"""What engines are given where a declaration or a setting says that somebody else has made a part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.saas import SaasSource
from deploy.config import Dms, Spark
from deploy.engines import appflow, datasync, dms, key_users, spark
from deploy.estate import DeployedSource, Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack

KEYS = cast(KeysStack, SimpleNamespace(**{n: SimpleNamespace(key_arn=n) for n in ("data", "secrets", "logs")}))


@dataclass
class Collected:
    """Takes resources as a stack does, and makes no template of them."""

    made: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)

    def add(self, *path: str, type: str, properties: Mapping[str, Any], **_: Any) -> str:
        self.made["/".join(path)] = (type, properties)
        return "/".join(path)

    def log_group(self, name: str, key: str) -> str:
        return self.add(name, type="AWS::Logs::LogGroup", properties={"KmsKeyId": key})

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [properties for found, properties in self.made.values() if found == kind]


def changed(estate: Estate, name: str, **settings: Any) -> Estate:
    """An estate of one source alone, with other settings."""
    [source] = [each for each in estate.sources if each.name == name]
    return replace(estate, sources=(replace(source, model=source.model.model_copy(update=settings)),))


def added(engine: Any, estate: Estate) -> Collected:
    collected = Collected()
    engine.add(cast(ResourceStack, collected), estate, KEYS)
    return collected


def test_a_role_that_is_named_is_used_and_not_made(estate: Estate) -> None:
    made = added(datasync, changed(estate, "gcs", role="reader-of-ours"))
    assert made.of("AWS::IAM::Role") == []
    used = {each["S3Config"]["BucketAccessRoleArn"] for each in made.of("AWS::DataSync::LocationS3")}
    assert used == {"arn:aws:iam::111111111111:role/reader-of-ours"}


def test_a_task_that_is_there_needs_nothing(estate: Estate) -> None:
    there = changed(estate, "gcs", from_=None, task="copied-by-hand")
    assert added(datasync, there).made == {}
    assert list(key_users.of_secrets(there)) == []


def test_a_connection_that_is_there_is_used_and_not_made(estate: Estate) -> None:
    there = changed(estate, "crm", connect=None)
    made = added(appflow, there)
    assert {kind for kind, _ in made.made.values()} == {"AWS::AppFlow::Flow"}
    assert list(key_users.of_secrets(there)) == []


def test_two_sources_share_one_connection_and_the_policy_of_its_secret(estate: Estate) -> None:
    [crm] = [each for each in estate.sources if each.name == "crm"]
    second = crm.model.model_copy(update={"source": "crm_eu"})
    other = DeployedSource(crm.kind, cast(SaasSource, second), replace(crm.pattern, source=_named(crm, "crm_eu")))
    made = added(appflow, replace(estate, sources=(crm, other)))
    assert len(made.of("AWS::AppFlow::ConnectorProfile")) == 1
    assert len(made.of("AWS::SecretsManager::ResourcePolicy")) == 1
    assert len(made.of("AWS::AppFlow::Flow")) == 4


def _named(each: DeployedSource, name: str) -> Any:
    return replace(each.source, name=name, prefix=f"landing/{name}/")


def test_a_replication_that_is_there_needs_no_network(estate: Estate) -> None:
    assert added(dms, changed(estate, "webshop", from_=None)).made == {}


@pytest.mark.parametrize(("made_here", "roles"), [(True, 4), (False, 2)])
def test_roles_of_the_account_are_made_once_in_it(estate: Estate, made_here: bool, roles: int) -> None:
    config = estate.config.model_copy(update={"dms": Dms(account_roles=made_here)})
    made = added(dms, replace(changed(estate, "webshop"), config=config))
    assert len(made.of("AWS::IAM::Role")) == roles


def test_where_appflow_and_datasync_bring_nothing_nobody_is_let_in(estate: Estate) -> None:
    alone = changed(estate, "webshop")
    assert appflow.bucket_statements(alone) == []
    assert [*key_users.of_data(alone), *key_users.of_secrets(alone)] == []


def test_a_store_that_anybody_may_read_needs_no_key(estate: Estate) -> None:
    [gcs] = [each for each in estate.sources if each.name == "azure"]
    store = cast(ReplicatedSource, gcs.model).from_
    assert store is not None
    open_ = changed(estate, "azure", from_=store.model_copy(update={"secret": None}))
    assert list(key_users.of_secrets(open_)) == []
    [location] = added(datasync, open_).of("AWS::DataSync::LocationAzureBlob")
    assert location["AzureBlobAuthenticationType"] == "NONE"
    assert not {"CmkSecretConfig", "AzureBlobSasConfiguration"} & location.keys()


def test_spark_is_a_job_of_glue_where_settings_say_so(estate: Estate) -> None:
    chosen = replace(estate, settings=replace(estate.settings, spark="glue"))
    collected = Collected()
    spark.add(cast(ResourceStack, collected), chosen, KEYS, Spark(), "security")
    [job] = collected.of("AWS::Glue::Job")
    assert (job["Name"], job["GlueVersion"], job["SecurityConfiguration"]) == (
        "adplatform-transform",
        "5.1",
        "adplatform",
    )
    assert job["Role"] == "arn:aws:iam::111111111111:role/adplatform-spark"
    assert job["Command"]["ScriptLocation"] == "s3://acme-ads-raw/jobs/transform/transform.py"
    package = job["DefaultArguments"]["--additional-python-modules"]
    assert package.startswith("s3://acme-ads-raw/jobs/transform/adplatform_transform-")
    assert collected.of("AWS::EMRServerless::Application") == []
