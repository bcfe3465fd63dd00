"""Replications of declared databases: endpoints, what they run on, their roles."""

from typing import Any

import pytest

from adplatform.engines.dms_settings.check import check
from adplatform.engines.dms_settings.documents import (
    Bucket,
    Checked,
    source_endpoint,
    target_section,
    task_section,
)
from adplatform.engines.dms_settings.mappings import read_mappings
from adplatform.engines.dms_settings.rule import Severity
from deploy.template import Assembly, Resource
from deploy.tests.engines import key, leaves, objects, statements, trusted


def endpoint(assembly: Assembly, name: str) -> dict[str, Any]:
    [found] = [e for e in assembly.resources("AWS::DMS::Endpoint") if e.properties["EndpointIdentifier"] == name]
    return found.properties


def role(assembly: Assembly, name: str) -> Resource:
    return assembly.named("AWS::IAM::Role", name)


@pytest.mark.parametrize(("source", "name"), [("webshop", "webshop-live"), ("ledgers", "ledgers-live")])
def test_files_go_to_the_sources_own_folder_encrypted_with_the_key_of_data(
    assembly: Assembly, source: str, name: str
) -> None:
    settings = endpoint(assembly, f"{name}-target")["S3Settings"]
    assert (settings["BucketName"], settings["BucketFolder"]) == ("acme-ads-raw", f"landing/{source}")
    encrypted = (settings["EncryptionMode"], settings["ServerSideEncryptionKmsKeyId"])
    assert encrypted == ("SSE_KMS", key(assembly, "data")), "the bucket refuses DMS's default, a key of S3's own"
    assert settings["ServiceAccessRoleArn"].endswith(f"role/adplatform-dms-{source}")


def test_a_database_is_reached_by_its_secret_over_verified_tls(assembly: Assembly) -> None:
    shop = endpoint(assembly, "webshop-live-source")
    assert (shop["EngineName"], shop["SslMode"], shop["DatabaseName"]) == ("postgres", "verify-full", "shop")
    assert shop["PostgreSqlSettings"]["SecretsManagerSecretId"] == "webshop/database"
    assert shop["PostgreSqlSettings"]["HeartbeatEnable"] is True
    [certificate] = assembly.resources("AWS::DMS::Certificate")
    assert certificate.properties["CertificatePem"] == "{{resolve:secretsmanager:webshop/authority:SecretString}}"
    ledgers = endpoint(assembly, "ledgers-live-source")
    assert (ledgers["EngineName"], ledgers["MySqlSettings"]["SecretsManagerSecretId"]) == ("mysql", "ledgers/database")
    told = {path.rpartition(".")[2] for name in ("webshop", "ledgers") for path, _ in leaves(_source(assembly, name))}
    assert not told & {"Username", "Password", "ServerName"}


def _source(assembly: Assembly, name: str) -> dict[str, Any]:
    return endpoint(assembly, f"{name}-live-source")


def test_a_task_runs_on_its_own_instance_in_private_subnets(assembly: Assembly) -> None:
    [instance] = assembly.resources("AWS::DMS::ReplicationInstance")
    told = instance.properties
    assert (told["ReplicationInstanceClass"], told["AllocatedStorage"], told["MultiAZ"]) == ("dms.r6i.large", 100, True)
    assert told["PubliclyAccessible"] is False
    assert told["KmsKeyId"] == key(assembly, "data")
    [group] = assembly.resources("AWS::DMS::ReplicationSubnetGroup")
    assert group.properties["ReplicationSubnetGroupIdentifier"] == told["ReplicationSubnetGroupIdentifier"]
    [task] = assembly.resources("AWS::DMS::ReplicationTask")
    assert task.raw["Properties"]["ReplicationInstanceArn"] == {"Ref": instance.logical}
    assert task.properties["MigrationType"] == "full-load-and-cdc"


def test_serverless_takes_what_it_is_given(assembly: Assembly) -> None:
    [config] = assembly.resources("AWS::DMS::ReplicationConfig")
    compute = config.properties["ComputeConfig"]
    assert (compute["MinCapacityUnits"], compute["MaxCapacityUnits"]) == (1, 8)
    assert compute["KmsKeyId"] == key(assembly, "data")


def test_nobody_comes_in_to_what_reads_databases(assembly: Assembly) -> None:
    [instance] = assembly.resources("AWS::DMS::ReplicationInstance")
    [used] = instance.raw["Properties"]["VpcSecurityGroupIds"]
    group = assembly.stacks[instance.stack]["Resources"][used["Fn::GetAtt"][0]]
    assert group["Type"] == "AWS::EC2::SecurityGroup"
    assert "SecurityGroupIngress" not in group["Properties"]


@pytest.mark.parametrize("source", ["webshop", "ledgers"])
def test_writing_and_reading_the_secret_are_roles_of_their_own(assembly: Assembly, source: str) -> None:
    writer, reader = role(assembly, f"adplatform-dms-{source}"), role(assembly, f"adplatform-dms-secret-{source}")
    assert objects(writer) == {f"arn:aws:s3:::acme-ads-raw/landing/{source}/*"}
    assert not [s for s in statements(writer) if any(a.startswith("secretsmanager:") for a in s["Action"])]
    secrets = [s["Resource"] for s in statements(reader) if "secretsmanager:GetSecretValue" in s["Action"]]
    assert secrets == [[f"arn:aws:secretsmanager:eu-west-1:{assembly.account}:secret:{source}/database-??????"]]
    assert not objects(reader)
    assert trusted(writer)["Principal"] == {"Service": "dms.amazonaws.com"}
    assert trusted(reader)["Principal"] == {"Service": "dms.eu-west-1.amazonaws.com"}
    for each in (writer, reader):
        assert trusted(each)["Condition"]["StringEquals"] == {"aws:SourceAccount": assembly.account}


def test_the_roles_that_dms_looks_for_are_there_before_its_subnets(assembly: Assembly) -> None:
    [group] = assembly.resources("AWS::DMS::ReplicationSubnetGroup")
    made = assembly.stacks[group.stack]["Resources"]
    names = {made[each]["Properties"]["RoleName"] for each in group.raw["DependsOn"]}
    assert names == {"dms-vpc-role", "dms-cloudwatch-logs-role"}


def test_what_a_replication_says_wakes_its_source(assembly: Assembly) -> None:
    rules = {r.properties["Name"]: r.properties["EventPattern"] for r in assembly.resources("AWS::Events::Rule")}
    assert rules["adplatform-arrivals-webshop-runs"]["source"] == ["aws.dms"]
    assert rules["adplatform-arrivals-webshop"]["source"] == ["aws.s3"], "and its files come by another queue"


@pytest.mark.parametrize("name", ["webshop-live", "ledgers-live"])
def test_settings_pass_every_rule_about_what_is_lost(assembly: Assembly, name: str) -> None:
    target, source = endpoint(assembly, f"{name}-target"), endpoint(assembly, f"{name}-source")
    replications = [
        *assembly.resources("AWS::DMS::ReplicationTask"),
        *assembly.resources("AWS::DMS::ReplicationConfig"),
    ]
    [found] = [r.properties for r in replications if name in r.properties.values()]
    checked = Checked(
        target_section("target", target),
        task_section("task", found.get("ReplicationTaskSettings") or found["ReplicationSettings"]),
        read_mappings("mappings", found["TableMappings"]),
        endpoint=source_endpoint("source", source),
        bucket=_bucket(assembly, target["S3Settings"]["BucketFolder"]),
        others=[],
    )
    assert [each for each in check(checked) if each.severity is Severity.ERROR] == []


def _bucket(assembly: Assembly, folder: str) -> Bucket:
    """The bucket keeps versions, because DMS gives the files of every load the same names; a rule must remove them."""
    told = assembly.named("AWS::S3::Bucket", "acme-ads-raw").properties
    rules = told["LifecycleConfiguration"]["Rules"]
    cleaning = [r for r in rules if "NoncurrentVersionExpiration" in r and r["Status"] == "Enabled"]
    cleaned = [
        r for r in cleaning if f"{folder}/".startswith(r.get("Prefix", "")) and r.get("ExpiredObjectDeleteMarker")
    ]
    return Bucket("acme-ads-raw", told["VersioningConfiguration"]["Status"] == "Enabled", bool(cleaned))
