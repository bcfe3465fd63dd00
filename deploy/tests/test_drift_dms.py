"""What `adplatform provision` makes of DMS on the embedded AWS is what the template says."""

from collections.abc import Mapping
from typing import Any

import pytest

from adplatform.engines.changes import ChangedFiles
from adplatform.flow.services import Services
from deploy.engines.dms import endpoint_properties
from deploy.estate import Estate
from deploy.template import Assembly
from deploy.tests.drift import as_deployed, differences
from deploy.tests.test_transfer import one

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_OWN_KEY = "provision knows no key of the account's own but that of the zones, which the embedded AWS has not"
_ID = "an ARN that AWS gives; what it is of is compared"
_NO_TAGS = "told by a call of their own"
ENDPOINT: Mapping[str, str] = {
    "KmsKeyId": _OWN_KEY,
    "CertificateArn": _ID,
    "S3Settings": "differs in the key alone, which is compared below",
    "Tags": _NO_TAGS,
}
ENDPOINT_TOLD = ("EndpointArn", "EngineDisplayName", "Status", "ServiceAccessRoleArn")
INSTANCE: Mapping[str, str] = {
    "KmsKeyId": _OWN_KEY,
    "VpcSecurityGroupIds": "provision makes no network; without a group DMS takes that of the VPC",
    "ReplicationSubnetGroupIdentifier": "told with its subnets; the name is compared below",
    "Tags": _NO_TAGS,
}
INSTANCE_TOLD = (
    *("ReplicationInstanceArn", "ReplicationInstanceStatus", "InstanceCreateTime", "ReplicationSubnetGroup"),
    *("AvailabilityZone", "VpcSecurityGroups", "PendingModifiedValues", "EngineVersion", "DnsNameServers"),
    *("PreferredMaintenanceWindow", "FreeUntil", "NetworkType", "KerberosAuthenticationSettings"),
    *("ReplicationInstancePrivateIpAddress", "ReplicationInstancePublicIpAddress", "SecondaryAvailabilityZone"),
    *("ReplicationInstancePrivateIpAddresses", "ReplicationInstancePublicIpAddresses"),
    *("ReplicationInstanceIpv6Addresses",),
)
REPLICATION: Mapping[str, str] = {
    "SourceEndpointArn": _ID,
    "TargetEndpointArn": _ID,
    "ReplicationInstanceArn": _ID,
    "Tags": _NO_TAGS,
}


@pytest.fixture(scope="module")
def dms(estate: Estate, embedded: Services) -> Any:
    """A client of DMS after `adplatform provision`."""
    embedded.secrets.create_secret(Name="webshop/authority", SecretString=PEM)
    for each in estate.of_kind("DatabaseChanges"):
        assert isinstance(each.pattern, ChangedFiles)
        each.pattern.provision(embedded)
    return embedded.aws.client("dms")


def endpoints(dms: Any) -> dict[str, Any]:
    return {each["EndpointIdentifier"]: each for each in dms.describe_endpoints()["Endpoints"]}


@pytest.mark.parametrize("name", ["webshop-live-source", "webshop-live-target", "ledgers-live-source"])
def test_an_endpoint_is_the_same(dms: Any, assembly: Assembly, name: str) -> None:
    told = as_deployed(assembly, endpoint_properties(endpoints(dms)[name]))
    wanted = one(assembly, "AWS::DMS::Endpoint", EndpointIdentifier=name)
    found = differences({**told, "EndpointType": told["EndpointType"].lower()}, wanted, ENDPOINT, ENDPOINT_TOLD)
    assert found == {}
    tags = dms.list_tags_for_resource(ResourceArn=endpoints(dms)[name]["EndpointArn"])["TagList"]
    assert {t["Key"]: t["Value"] for t in tags}.items() <= {
        t["Key"]: t["Value"] for t in wanted.properties["Tags"]
    }.items()


def test_files_are_the_same_but_for_the_key(dms: Any, assembly: Assembly) -> None:
    told = as_deployed(assembly, endpoints(dms)["webshop-live-target"]["S3Settings"])
    wanted = one(assembly, "AWS::DMS::Endpoint", EndpointIdentifier="webshop-live-target").properties["S3Settings"]
    assert {n: (told.get(n), wanted.get(n)) for n in told.keys() | wanted.keys() if told.get(n) != wanted.get(n)} == {
        "EncryptionMode": (None, "SSE_KMS"),
        "ServerSideEncryptionKmsKeyId": (None, wanted["ServerSideEncryptionKmsKeyId"]),
    }


def test_the_authority_is_the_same(dms: Any, assembly: Assembly) -> None:
    [told] = dms.describe_certificates()["Certificates"]
    [wanted] = assembly.resources("AWS::DMS::Certificate")
    assert told["CertificateIdentifier"] == wanted.properties["CertificateIdentifier"]
    assert endpoints(dms)["webshop-live-source"]["CertificateArn"] == told["CertificateArn"]
    assert told["CertificatePem"] == PEM, "what the template refers to by the name of the secret"


def test_an_instance_is_the_same(dms: Any, assembly: Assembly) -> None:
    [instance] = dms.describe_replication_instances()["ReplicationInstances"]
    told = as_deployed(assembly, instance)
    [wanted] = assembly.resources("AWS::DMS::ReplicationInstance")
    assert differences(told, wanted, INSTANCE, INSTANCE_TOLD) == {}
    group = told["ReplicationSubnetGroup"]["ReplicationSubnetGroupIdentifier"]
    assert group == wanted.properties["ReplicationSubnetGroupIdentifier"]


def test_a_task_is_the_same(dms: Any, assembly: Assembly) -> None:
    [task] = dms.describe_replication_tasks()["ReplicationTasks"]
    [wanted] = assembly.resources("AWS::DMS::ReplicationTask")
    told_only = ("ReplicationTaskArn", "Status", "ReplicationTaskCreationDate", "ReplicationTaskStats")
    assert differences(as_deployed(assembly, task), wanted, REPLICATION, told_only) == {}
    ends = {name: each["EndpointArn"] for name, each in endpoints(dms).items()}
    assert (task["SourceEndpointArn"], task["TargetEndpointArn"]) == (
        ends["webshop-live-source"],
        ends["webshop-live-target"],
    )


def test_a_configuration_is_the_same(dms: Any, assembly: Assembly) -> None:
    [config] = dms.describe_replication_configs()["ReplicationConfigs"]
    told = as_deployed(assembly, config)
    [wanted] = assembly.resources("AWS::DMS::ReplicationConfig")
    purpose = {**REPLICATION, "ComputeConfig": "differs in key and security group alone, which are the deployment's"}
    told_only = ("ReplicationConfigArn", "ReplicationConfigCreateTime", "ReplicationConfigUpdateTime")
    assert differences(told, wanted, purpose, told_only) == {}
    compute = wanted.properties["ComputeConfig"]
    assert {k: v for k, v in compute.items() if k not in ("KmsKeyId", "VpcSecurityGroupIds")} == told["ComputeConfig"]
