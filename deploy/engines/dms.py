"""DMS: endpoints, instances, tasks and configurations of declared databases, their roles, and the way to them.

Facts: DMS User Guide, "Using Amazon S3 as a target", "Using secrets to access AWS DMS endpoints", "Creating the IAM
roles to use with AWS DMS", "Cross-service confused deputy prevention".
"""

import json
from collections.abc import Iterator
from typing import Any, cast

from adplatform.contracts.changes import ChangesSource
from adplatform.contracts.replicated_database import ReplicatedDatabase
from adplatform.engines.declared_replications import (
    DeclaredReplication,
    config_request,
    declared_replication,
    instance_request,
    reached,
    source_request,
    target_request,
    task_request,
)
from adplatform.platform import names
from deploy.engines.secrets import reference
from deploy.estate import DeployedSource, Estate
from deploy.resources import ResourceStack, imported
from deploy.roles import Statement, add_role, allow, service
from deploy.stacks.keys import KeysStack
from deploy.stacks.network import SUBNETS, VPC

KIND = "DatabaseChanges"
_RENAMED = {"PostgreSQLSettings": "PostgreSqlSettings", "MySQLSettings": "MySqlSettings"}
_ENCRYPTION = {"sse-kms": "SSE_KMS"}
"""The API's model has one spelling, CloudFormation documents the other."""
_ACCOUNT_ROLES = {
    "dms-vpc-role": "AmazonDMSVPCManagementRole",
    "dms-cloudwatch-logs-role": "AmazonDMSCloudWatchLogsRole",
}
"""Roles that DMS looks for by these names, once in an account, with policies that AWS manages."""


def add(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    found = [replication for each in estate.of_kind(KIND) if (replication := replication_of(each, estate)) is not None]
    made = [(each, each.database) for each in found if each.database is not None]
    if not made:
        return
    network = _network(stack, estate)
    for replication, database in made:
        _replication(stack, estate, keys, replication, database, network)


def replication_of(each: DeployedSource, estate: Estate) -> DeclaredReplication | None:
    """The replication of a source; None where it must be there, or nobody names one."""
    declared = cast(ChangesSource, each.model)
    return declared_replication(declared, estate.settings.raw_bucket, each.source.prefix)


def _replication(
    stack: ResourceStack,
    estate: Estate,
    keys: KeysStack,
    replication: DeclaredReplication,
    database: ReplicatedDatabase,
    network: tuple[str, str],
) -> None:
    source, connections = replication.source, {"KmsKeyId": keys.secrets.key_arn}
    from_dms = {"aws:SourceArn": estate.arn("dms", "*")}
    writer = add_role(
        stack,
        source,
        "Dms",
        name=replication.role,
        description=f"DMS writes changes into the landing zone of {source}.",
        trusted=[service("dms", estate, ArnLike=from_dms)],
        statements=writer_statements(estate, keys, replication),
    )
    reader = add_role(
        stack,
        source,
        "DmsSecret",
        name=replication.secret_role,
        description=f"DMS reads the secret of the database of {source}.",
        trusted=[service(f"dms.{estate.region}", estate, ArnLike=from_dms)],
        statements=secret_statements(estate, keys, database),
    )
    server = reached(database, estate.role(replication.secret_role), None)
    if database.authority:
        pem = {"CertificateIdentifier": replication.part("authority"), "CertificatePem": reference(database.authority)}
        server["CertificateArn"] = {"Ref": stack.add(source, "Authority", type="AWS::DMS::Certificate", properties=pem)}
    asked = {**endpoint_properties(source_request(replication, server)), **connections}
    source_end = stack.add(source, "Source", type="AWS::DMS::Endpoint", properties=asked, after=[reader])
    target = target_request(replication, estate.role(replication.role), keys.data.key_arn)
    asked = {**endpoint_properties(target), **connections}
    target_end = stack.add(source, "Target", type="AWS::DMS::Endpoint", properties=asked, after=[writer])
    ends = {"SourceEndpointArn": {"Ref": source_end}, "TargetEndpointArn": {"Ref": target_end}}
    subnets, group = network
    reachable = {"KmsKeyId": keys.data.key_arn, "VpcSecurityGroupIds": [{"Fn::GetAtt": [group, "GroupId"]}]}
    if replication.serverless:
        config = config_request(replication, "", "")
        documents = {name: json.loads(config[name]) for name in ("TableMappings", "ReplicationSettings")}
        config |= {**ends, **documents, "ComputeConfig": {**config["ComputeConfig"], **reachable}}
        stack.add(source, "Replication", type="AWS::DMS::ReplicationConfig", properties=config, after=[subnets])
        return
    machine = {**instance_request(replication), **reachable}
    instance = stack.add(source, "Instance", type="AWS::DMS::ReplicationInstance", properties=machine, after=[subnets])
    task = {**task_request(replication, "", "", ""), **ends, "ReplicationInstanceArn": {"Ref": instance}}
    stack.add(source, "Replication", type="AWS::DMS::ReplicationTask", properties=task)


def endpoint_properties(request: dict[str, Any]) -> dict[str, Any]:
    """An endpoint as CreateEndpoint is asked for it, as AWS::DMS::Endpoint."""
    told = {_RENAMED.get(name, name): value for name, value in request.items()}
    if "S3Settings" in told:
        encryption = told["S3Settings"].get("EncryptionMode", "")
        told["S3Settings"] = {**told["S3Settings"], "EncryptionMode": _ENCRYPTION.get(encryption, encryption)}
    return told


def writer_statements(estate: Estate, keys: KeysStack, replication: DeclaredReplication) -> list[Statement]:
    """What DMS needs of a bucket that it writes. It deletes what it wrote to try the connection; of objects that it
    deletes or writes over the bucket keeps the versions."""
    own = "DMS names its files itself, below the source's own prefix."
    files = estate.raw(f"{replication.folder}/*")
    encrypts = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    return [
        allow(["s3:ListBucket"], estate.raw()),
        allow(["s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging"], files, why=own),
        allow(encrypts, keys.data.key_arn),
    ]


def secret_statements(estate: Estate, keys: KeysStack, database: ReplicatedDatabase) -> list[Statement]:
    allowed = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    why = "Secrets Manager appends six characters to the name of a secret, and one that is made anew has others."
    return [
        allow(allowed, estate.secret(database.secret), why=why),
        allow(["kms:Decrypt", "kms:DescribeKey"], keys.secrets.key_arn),
    ]


def _network(stack: ResourceStack, estate: Estate) -> tuple[str, str]:
    """The way to databases: the logical ids of a group of the private subnets, and of a security group that lets nobody
    in; with the roles by which DMS makes network interfaces and logs."""
    roles = [*_account_roles(stack, estate)] if estate.config.dms.account_roles else []
    group = {
        "GroupDescription": "What reads databases: their addresses and ports are in their secrets.",
        "VpcId": imported(VPC),
        "SecurityGroupEgress": [
            {
                "IpProtocol": "tcp",
                "FromPort": 0,
                "ToPort": 65535,
                "CidrIp": "0.0.0.0/0",
                "Description": "To databases, and to AWS.",
            }
        ],
    }
    made = stack.add("DmsGroup", type="AWS::EC2::SecurityGroup", properties=group)
    of_subnets = {
        "ReplicationSubnetGroupIdentifier": names.DMS_SUBNETS,
        "ReplicationSubnetGroupDescription": "The private subnets, from which DMS reaches databases.",
        "SubnetIds": {"Fn::Split": [",", imported(SUBNETS)]},
    }
    subnets = stack.add("DmsSubnets", type="AWS::DMS::ReplicationSubnetGroup", properties=of_subnets, after=roles)
    return subnets, made


def _account_roles(stack: ResourceStack, estate: Estate) -> Iterator[str]:
    for name, policy in _ACCOUNT_ROLES.items():
        arn = f"arn:aws:iam::aws:policy/service-role/{policy}"
        wanted = {
            "RoleName": name,
            "Description": "DMS looks for it by this name.",
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [service("dms", estate)]},
            "ManagedPolicyArns": [arn],
        }
        asked = "DMS asks for exactly this policy of AWS (DMS User Guide, the IAM roles to use with AWS DMS)."
        yield stack.add(name, type="AWS::IAM::Role", properties=wanted, answers={f"IAM4[Policy::{arn}]": asked})
