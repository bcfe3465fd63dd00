"""A replication that YAML declares with its database: what each part is asked for, and its making."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adplatform.contracts.changes import ChangesSource
from adplatform.engines.changes import database_changes
from adplatform.engines.declared_replications import (
    config_request,
    declared_replication,
    instance_request,
    provide_reached,
    reached,
    source_request,
    target_request,
)
from adplatform.engines.dms_settings.check import check
from adplatform.engines.dms_settings.described import configuration_of_aws, task_of_aws
from adplatform.engines.dms_settings.rule import Severity
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.platform import names
from adplatform.platform.aws import Aws
from adplatform.platform.settings import read_settings

COLUMNS = {"id": {"type": "int", "required": True}}
ACCOUNT = "123456789012"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
POSTGRES = {"kind": "postgres", "secret": "shop/db", "database": "shop", "authority": "shop/authority"}
MYSQL = {"kind": "mariadb", "secret": "shop/db", "tls": "off"}


def declared(source: str = "shop", database: dict[str, Any] | None = None, **settings: Any) -> Any:
    feed = {
        "name": "orders",
        "table": "shop.orders",
        "start_date": "2026-01-01",
        "columns": COLUMNS,
        "key": "id",
    }
    given = {"source": source, "feeds": [feed], "from": database or POSTGRES, **settings}
    made = declared_replication(ChangesSource.model_validate(given), "lake", f"landing/{source}/")
    assert made is not None
    return made


def test_the_secret_is_named_and_read_by_dms_itself() -> None:
    made = declared(task="shop-live")
    server = reached(made.database, "arn:aws:iam::123456789012:role/r", "arn:certificate")
    asked = source_request(made, server)
    assert asked["PostgreSQLSettings"]["SecretsManagerSecretId"] == "shop/db"
    assert asked["PostgreSQLSettings"]["SecretsManagerAccessRoleArn"].endswith("role/r")
    assert asked["PostgreSQLSettings"]["HeartbeatEnable"] is True, "the recommended settings stay"
    assert (asked["SslMode"], asked["CertificateArn"], asked["DatabaseName"]) == (
        "verify-full",
        "arn:certificate",
        "shop",
    )
    assert not {"Username", "Password", "ServerName"} & asked.keys()


def test_mysql_and_mariadb_have_settings_of_their_own() -> None:
    made = declared(database=MYSQL, task="shop-live")
    asked = source_request(made, reached(made.database, "arn:role", None))
    assert (asked["EngineName"], asked["SslMode"]) == ("mariadb", "none")
    assert asked["MySQLSettings"]["SecretsManagerSecretId"] == "shop/db"
    assert "PostgreSQLSettings" not in asked and "DatabaseName" not in asked


def test_files_are_encrypted_by_the_buckets_key_and_written_every_minute() -> None:
    settings = target_request(declared(task="shop-live"), "arn:role", "arn:key")["S3Settings"]
    assert (settings["EncryptionMode"], settings["ServerSideEncryptionKmsKeyId"]) == ("sse-kms", "arn:key")
    assert (settings["BucketFolder"], settings["CdcMaxBatchInterval"]) == ("landing/shop", 60)
    assert settings["ServiceAccessRoleArn"] == "arn:role"


def test_sizes_and_subnets_are_as_declared() -> None:
    on_instance = declared(task="shop-live", instance={"size": "dms.r6i.large", "storage": 200, "standby": True})
    asked = instance_request(on_instance)
    assert (asked["ReplicationInstanceClass"], asked["AllocatedStorage"], asked["MultiAZ"]) == (
        "dms.r6i.large",
        200,
        True,
    )
    assert (asked["PubliclyAccessible"], asked["ReplicationSubnetGroupIdentifier"]) == (False, names.DMS_SUBNETS)
    without = declared(serverless="shop-live", capacity={"least": 2, "most": 16})
    assert config_request(without, "s", "t")["ComputeConfig"] == {
        "MinCapacityUnits": 2,
        "MaxCapacityUnits": 16,
        "MultiAZ": False,
        "ReplicationSubnetGroupId": names.DMS_SUBNETS,
    }


def test_every_source_has_roles_of_its_own_whatever_the_length_of_its_name() -> None:
    longest = [declared(source="s" * 62 + end, task="shop-live") for end in "ab"]
    roles = [role for each in longest for role in (each.role, each.secret_role)]
    assert len(set(roles)) == 4 and max(map(len, roles)) == 64


@pytest.mark.parametrize("serverless", [False, True], ids=["task", "serverless"])
def test_what_is_declared_is_made_once_and_passes_every_rule(aws: Aws, serverless: bool) -> None:
    kind, name = ("serverless", "made-serverless") if serverless else ("task", "made-task")
    dms, secrets = aws.client("dms"), aws.client("secretsmanager")
    authority = f"{name}/authority"
    made = declared(kind, {**POSTGRES, "authority": authority}, **{kind: name})
    with pytest.raises(PermanentFailure, match=f"secret {authority} does not exist"):
        provide_reached(dms, secrets, made, ACCOUNT)
    secrets.create_secret(Name=authority, SecretString=PEM)
    aws.client("s3").create_bucket(Bucket="lake")
    assert [provide_reached(dms, secrets, made, ACCOUNT, "arn:key") for _ in range(2)] == [True, False]
    read = configuration_of_aws if serverless else task_of_aws
    found = check(read(dms, aws.client("s3"), name))
    assert [each for each in found if each.severity is Severity.ERROR] == []
    [certificate] = dms.describe_certificates(Filters=[{"Name": "certificate-id", "Values": [f"{name}-authority"]}])[
        "Certificates"
    ]
    [endpoint] = dms.describe_endpoints(Filters=[{"Name": "endpoint-id", "Values": [f"{name}-source"]}])["Endpoints"]
    assert (endpoint["CertificateArn"], endpoint["SslMode"]) == (certificate["CertificateArn"], "verify-full")
    assert certificate["CertificatePem"] == PEM


def test_a_replication_that_is_there_already_is_not_made() -> None:
    feed = {
        "name": "orders",
        "table": "shop.orders",
        "start_date": "2026-01-01",
        "columns": COLUMNS,
        "key": "id",
    }
    given = ChangesSource.model_validate({"source": "shop", "feeds": [feed], "task": "shop-live"})
    assert declared_replication(given, "lake", "landing/shop/") is None
    assert database_changes(given, read_settings({})).replication is not None


def test_without_a_key_nothing_is_made_whose_files_the_bucket_would_refuse(services: Services) -> None:
    feed = {"name": "orders", "table": "shop.orders", "start_date": "2026-01-01", "columns": COLUMNS, "key": "id"}
    given = {"source": "shop", "feeds": [feed], "task": "keyless", "from": {**POSTGRES, "authority": "nowhere"}}
    pattern = database_changes(ChangesSource.model_validate(given), services.settings)
    deployed = replace(services, settings=replace(services.settings, env="aws"))
    with pytest.raises(PermanentFailure, match="set ADPLATFORM_KMS_KEY_ID"):
        pattern.provision(deployed)
    with pytest.raises(PermanentFailure, match="secret nowhere does not exist"):
        pattern.provision(replace(deployed, settings=replace(deployed.settings, kms_key_id="arn:key")))


def test_tables_and_settings_of_the_task_are_documents_in_json() -> None:
    asked = config_request(declared(serverless="shop-live"), "s", "t")
    rules = json.loads(asked["TableMappings"])["rules"]
    assert rules[0]["object-locator"] == {"schema-name": "shop", "table-name": "orders"}
    assert json.loads(asked["ReplicationSettings"])["ErrorBehavior"]["TableErrorPolicy"] == "STOP_TASK"
