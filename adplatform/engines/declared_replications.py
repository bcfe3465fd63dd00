"""Replications of AWS DMS that YAML declares, with all that they need: what each part is asked for, for `adplatform
provision` and a deployment alike, and their making."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.changes import ChangesSource
from adplatform.contracts.replicated_database import CAPACITY, INSTANCE, Capacity, Instance, ReplicatedDatabase
from adplatform.engines.dms_settings.recommended import (
    mysql_endpoint,
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)
from adplatform.failures import PermanentFailure
from adplatform.platform import names
from adplatform.platform.aws_errors import aws_failures

DEMONSTRATION_SECONDS = 5
"""After how long changes of the simulated shop are written: nobody waits for a minute to see one."""
KIND = "full-load-and-cdc"
_SETTINGS = {"postgres": "PostgreSQLSettings", "mysql": "MySQLSettings", "mariadb": "MySQLSettings"}
_TLS = {"verify": "verify-full", "encrypt": "require", "off": "none"}


@dataclass(frozen=True)
class DeclaredReplication:
    """``tables`` are (schema, name); the files go to ``folder`` of ``bucket``. ``database`` is None for the simulated
    shop."""

    source: str
    name: str
    serverless: bool
    tables: tuple[tuple[str, str], ...]
    bucket: str
    folder: str
    database: ReplicatedDatabase | None = None
    instance: Instance = INSTANCE
    capacity: Capacity = CAPACITY

    @property
    def role(self) -> str:
        """The name of that with which DMS writes."""
        return names.role_of(names.DMS_ROLE, self.source)

    @property
    def secret_role(self) -> str:
        """The name of that with which DMS reads the database's secret."""
        return names.role_of(names.DMS_SECRET_ROLE, self.source)

    def part(self, what: str) -> str:
        """What a part of it is called: its source, target, instance or authority."""
        return f"{self.name}-{what}"

    @property
    def tags(self) -> list[dict[str, str]]:
        return [{"Key": names.OWNER_TAG, "Value": self.source}]


def declared_replication(declared: ChangesSource, bucket: str, prefix: str) -> DeclaredReplication | None:
    """What is to be made of a source whose files go below ``prefix``; None where the replication is there already."""
    name = declared.serverless or declared.task
    if name is None or (declared.from_ is None and not declared.simulated):
        return None
    return DeclaredReplication(
        source=declared.source,
        name=name,
        serverless=declared.serverless is not None,
        tables=tuple(names_of(table.table) for table in declared.feeds),
        bucket=bucket,
        folder=prefix.rstrip("/"),
        database=declared.from_,
        instance=declared.instance,
        capacity=declared.capacity,
    )


def names_of(table: str) -> tuple[str, str]:
    """Schema and name of ``schema.table``."""
    schema, _, name = table.partition(".")
    return schema, name


def source_request(declared: DeclaredReplication, server: Mapping[str, Any]) -> dict[str, Any]:
    """What CreateEndpoint is asked for the database. ``server`` is what of it says where that is; settings of its
    engine are laid over the recommended ones."""
    kind = declared.database.kind if declared.database else "postgres"
    endpoint = postgres_endpoint() if kind == "postgres" else mysql_endpoint(kind)
    settings = _SETTINGS[kind]
    return {
        "EndpointIdentifier": declared.part("source"),
        **endpoint,
        **server,
        settings: {**endpoint[settings], **server.get(settings, {})},
        "Tags": declared.tags,
    }


def reached(database: ReplicatedDatabase, role: str, certificate: str | None) -> dict[str, Any]:
    """Where a database is, as its endpoint says it: DMS reads the secret by the ``role`` with this ARN, and takes a
    server whose certificate is of who has the ``certificate`` with that one."""
    by_secret = {"SecretsManagerAccessRoleArn": role, "SecretsManagerSecretId": database.secret}
    return {
        _SETTINGS[database.kind]: by_secret,
        "SslMode": _TLS[database.tls],
        **({"DatabaseName": database.database} if database.database else {}),
        **({"CertificateArn": certificate} if certificate else {}),
    }


def target_request(declared: DeclaredReplication, role: str | None = None, key: str | None = None) -> dict[str, Any]:
    """What CreateEndpoint is asked for the bucket, which DMS writes with the ``role`` of this ARN. Without the ARN of a
    KMS ``key`` DMS has S3 encrypt with a key of its own, whatever the bucket says."""
    target = target_endpoint(declared.bucket, declared.folder)
    settings = dict(target["S3Settings"])
    if declared.database is None:
        settings["CdcMaxBatchInterval"] = DEMONSTRATION_SECONDS
    if role is not None:
        settings["ServiceAccessRoleArn"] = role
    if key is not None:
        settings |= {"EncryptionMode": "sse-kms", "ServerSideEncryptionKmsKeyId": key}
    return {
        "EndpointIdentifier": declared.part("target"),
        **target,
        "S3Settings": settings,
        "Tags": declared.tags,
    }


def instance_request(declared: DeclaredReplication) -> dict[str, Any]:
    """What CreateReplicationInstance is asked for."""
    return {
        "ReplicationInstanceIdentifier": declared.part("instance"),
        "ReplicationInstanceClass": declared.instance.size,
        "AllocatedStorage": declared.instance.storage,
        "MultiAZ": declared.instance.standby,
        "PubliclyAccessible": False,
        "AutoMinorVersionUpgrade": True,
        **_subnets(declared, "ReplicationSubnetGroupIdentifier"),
        "Tags": declared.tags,
    }


def task_request(declared: DeclaredReplication, source: str, target: str, instance: str) -> dict[str, Any]:
    """What CreateReplicationTask is asked for, given the ARNs of endpoints and instance."""
    return {
        "ReplicationTaskIdentifier": declared.name,
        "MigrationType": KIND,
        "SourceEndpointArn": source,
        "TargetEndpointArn": target,
        "ReplicationInstanceArn": instance,
        "TableMappings": json.dumps(table_mappings(declared.tables)),
        "ReplicationTaskSettings": json.dumps(task_settings()),
        "Tags": declared.tags,
    }


def config_request(declared: DeclaredReplication, source: str, target: str) -> dict[str, Any]:
    """What CreateReplicationConfig is asked for, given the ARNs of the endpoints."""
    capacity = declared.capacity
    compute: dict[str, Any] = {
        "MaxCapacityUnits": capacity.most,
        "MultiAZ": capacity.standby,
        **_subnets(declared, "ReplicationSubnetGroupId"),
    }
    if capacity.least is not None:
        compute["MinCapacityUnits"] = capacity.least
    return {
        "ReplicationConfigIdentifier": declared.name,
        "ReplicationType": KIND,
        "SourceEndpointArn": source,
        "TargetEndpointArn": target,
        "ComputeConfig": compute,
        "TableMappings": json.dumps(table_mappings(declared.tables)),
        "ReplicationSettings": json.dumps(task_settings()),
        "Tags": declared.tags,
    }


def _subnets(declared: DeclaredReplication, member: str) -> dict[str, str]:
    return {member: declared.database.subnet_group} if declared.database else {}


def provide(client: Any, declared: DeclaredReplication, server: Mapping[str, Any], target: dict[str, Any]) -> bool:
    """Make it; False when there is one of its name already. ``server`` is as for ``source_request``, ``target`` what
    comes of ``target_request``.

    Raises:
        PermanentFailure: DMS refuses something.
        TransientFailure: DMS does not answer at present, or does not allow it.
    """
    with aws_failures(f"DMS {declared.name}"):
        if _exists(client, declared):
            return False
        endpoints = (_endpoint(client, source_request(declared, server)), _endpoint(client, target))
        if declared.serverless:
            client.create_replication_config(**config_request(declared, *endpoints))
        else:
            instance = _instance(client, instance_request(declared))
            client.create_replication_task(**task_request(declared, *endpoints, instance))
    return True


def provide_reached(
    client: Any, secrets: Any, declared: DeclaredReplication, account: str, key: str | None = None
) -> bool:
    """As ``provide``, of a database of yours; roles are those of ``account``.

    Raises:
        PermanentFailure: the secret with the certificates is missing, or DMS refuses something.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    database = declared.database
    if database is None:
        raise PermanentFailure(f"DMS {declared.name} is of the simulated shop")
    certificate = _certificate(client, secrets, declared, database.authority) if database.authority else None
    role, secret_role = (f"arn:aws:iam::{account}:role/{each}" for each in (declared.role, declared.secret_role))
    server = reached(database, secret_role, certificate)
    return provide(client, declared, server, target_request(declared, role, key))


def _certificate(client: Any, secrets: Any, declared: DeclaredReplication, authority: str) -> str:
    with aws_failures(f"secret {authority}"):
        try:
            text = secrets.get_secret_value(SecretId=authority).get("SecretString", "")
        except secrets.exceptions.ResourceNotFoundException as e:
            raise PermanentFailure(
                f"secret {authority} does not exist: make it, with the certificates (PEM) of who signs the server's"
            ) from e
    name = declared.part("authority")

    def made() -> dict[str, Any]:
        asked = {"CertificateIdentifier": name, "CertificatePem": text, "Tags": declared.tags}
        return dict(client.import_certificate(**asked)["Certificate"])

    with aws_failures(f"DMS certificate {name}"):
        found = _made(client, made, client.describe_certificates, "certificate-id", name, "Certificates")
    return str(found["CertificateArn"])


def _exists(client: Any, declared: DeclaredReplication) -> bool:
    kind, ask, entries = (
        ("replication-config-id", client.describe_replication_configs, "ReplicationConfigs")
        if declared.serverless
        else ("replication-task-id", client.describe_replication_tasks, "ReplicationTasks")
    )
    try:
        return bool(ask(Filters=[{"Name": kind, "Values": [declared.name]}])[entries])
    except client.exceptions.ResourceNotFoundFault:
        return False


def _endpoint(client: Any, asked: Mapping[str, Any]) -> str:
    name = asked["EndpointIdentifier"]

    def made() -> dict[str, Any]:
        return dict(client.create_endpoint(**asked)["Endpoint"])

    return str(_made(client, made, client.describe_endpoints, "endpoint-id", name, "Endpoints")["EndpointArn"])


def _instance(client: Any, asked: Mapping[str, Any]) -> str:
    name = asked["ReplicationInstanceIdentifier"]

    def made() -> dict[str, Any]:
        return dict(client.create_replication_instance(**asked)["ReplicationInstance"])

    describe = client.describe_replication_instances
    found = _made(client, made, describe, "replication-instance-id", name, "ReplicationInstances")
    return str(found["ReplicationInstanceArn"])


def _made(
    client: Any, make: Callable[[], dict[str, Any]], ask: Callable[..., Any], kind: str, name: str, entries: str
) -> dict[str, Any]:
    """What is made, or was by an earlier attempt."""
    try:
        return make()
    except client.exceptions.ResourceAlreadyExistsFault:
        return dict(ask(Filters=[{"Name": kind, "Values": [name]}])[entries][0])
