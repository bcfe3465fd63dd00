"""The API of tasks, endpoints and DMS Serverless: what is described, and in which states what is refused."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.engines.dms_settings.recommended import table_mappings, target_endpoint, task_settings
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, eventually
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, DmsTask, dms_task, endpoint_of


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders SELECT n, 'loaded', n FROM generate_series(1, 3) n")
    return shop


@pytest.fixture
def task(aws: Aws, orders: Database) -> Iterator[DmsTask]:
    with dms_task(aws, orders, "public.orders") as made:
        yield made


@pytest.fixture(scope="module")
def dms(aws: Aws) -> Any:
    return aws.client("dms")


def refused(call: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as found:
        call(**asked)
    return str(found.value.response["Error"]["Code"])


def test_the_states_of_a_task_decide_what_is_refused(dms: Any, task: DmsTask) -> None:
    arn = {"ReplicationTaskArn": task.arn}
    start, stop, delete = dms.start_replication_task, dms.stop_replication_task, dms.delete_replication_task
    tables = {"TablesToReload": [{"SchemaName": "public", "TableName": "orders"}]}
    state, combination = "InvalidResourceStateFault", "InvalidParameterCombinationException"
    assert refused(start, **arn, StartReplicationTaskType="resume-processing") == combination
    assert refused(start, **arn, StartReplicationTaskType="reload-target") == combination
    assert refused(stop, **arn) == refused(dms.reload_tables, **arn, **tables) == state
    assert refused(dms.describe_table_statistics, **arn) == state
    assert task.described()["Status"] == "ready"
    task.start()
    task.wait_until_caught_up()
    assert refused(start, **arn, StartReplicationTaskType="resume-processing") == state
    assert refused(delete, **arn) == refused(dms.modify_replication_task, **arn, MigrationType="cdc") == state
    unknown = {"TablesToReload": [{"SchemaName": "public", "TableName": "x"}]}
    assert refused(dms.reload_tables, **arn, **unknown) == "ResourceNotFoundFault"
    assert dms.stop_replication_task(**arn)["ReplicationTask"]["Status"] == "stopping"
    task.wait_for("stopped")
    assert refused(start, **arn, StartReplicationTaskType="start-replication") == combination
    assert dms.start_replication_task(**arn, StartReplicationTaskType="resume-processing")["ReplicationTask"][
        "Status"
    ] in ("starting", "running")


@pytest.mark.parametrize("call", ["stop_replication_task", "delete_replication_task", "describe_table_statistics"])
def test_a_task_that_is_not_there_is_not_found(dms: Any, call: str) -> None:
    assert refused(getattr(dms, call), ReplicationTaskArn="arn:aws:dms:x") == "ResourceNotFoundFault"


def test_a_task_without_its_instance_cannot_be_started(dms: Any, task: DmsTask) -> None:
    made = dms.create_replication_task(
        ReplicationTaskIdentifier=f"t{uuid.uuid4().hex[:12]}",
        SourceEndpointArn=task.source,
        TargetEndpointArn=task.target,
        ReplicationInstanceArn="arn:aws:dms:us-east-1:123456789012:rep:none",
        MigrationType="cdc",
        TableMappings="{}",
    )["ReplicationTask"]
    assert (made["Status"], made["ReplicationTaskSettings"]) == ("creating", "{}")
    start = {"ReplicationTaskArn": made["ReplicationTaskArn"], "StartReplicationTaskType": "start-replication"}
    assert refused(dms.start_replication_task, **start) == "ResourceNotFoundFault"
    dms.delete_replication_task(ReplicationTaskArn=made["ReplicationTaskArn"])


def test_tasks_are_listed_by_filters_and_in_pages(dms: Any, task: DmsTask) -> None:
    source = {"Filters": [{"Name": "endpoint-arn", "Values": [task.source]}]}
    described = task.described()
    for number in range(24):
        dms.create_replication_task(
            ReplicationTaskIdentifier=f"{described['ReplicationTaskIdentifier']}-{number}",
            SourceEndpointArn=task.source,
            TargetEndpointArn=task.target,
            ReplicationInstanceArn=described["ReplicationInstanceArn"],
            MigrationType="cdc",
            TableMappings="{}",
        )
    first = dms.describe_replication_tasks(**source, MaxRecords=20)
    second = dms.describe_replication_tasks(**source, MaxRecords=20, Marker=first["Marker"])
    found = [*first["ReplicationTasks"], *second["ReplicationTasks"]]
    assert len({each["ReplicationTaskArn"] for each in found}) == 25
    assert "Marker" not in second
    named = {"Filters": [{"Name": "replication-task-id", "Values": [described["ReplicationTaskIdentifier"]]}]}
    [only] = dms.describe_replication_tasks(**named, WithoutSettings=True)["ReplicationTasks"]
    assert only["ReplicationTaskArn"] == task.arn
    assert "ReplicationTaskSettings" not in only
    assert refused(dms.describe_replication_tasks, MaxRecords=5) == "InvalidParameterValueException"
    assert refused(dms.describe_replication_tasks, Filters=[{"Name": "colour", "Values": ["red"]}]) == (
        "InvalidParameterValueException"
    )
    for each in found:
        if each["ReplicationTaskArn"] != task.arn:
            dms.delete_replication_task(ReplicationTaskArn=each["ReplicationTaskArn"])
    eventually(lambda: len(dms.describe_replication_tasks(**source)["ReplicationTasks"]) == 1)


def test_endpoints_are_changed_and_kept_while_a_task_has_them(dms: Any, task: DmsTask) -> None:
    changed = dms.modify_endpoint(EndpointArn=task.target, S3Settings={"CdcInsertsOnly": True})["Endpoint"]
    assert (changed["S3Settings"]["CdcInsertsOnly"], changed["S3Settings"]["BucketName"]) == (True, task.bucket)
    [source] = dms.describe_endpoints(Filters=[{"Name": "endpoint-arn", "Values": [task.source]}])["Endpoints"]
    assert (source["Status"], source["EngineName"]) == ("active", "postgres")
    assert "Password" not in json.dumps(source)
    assert refused(dms.delete_endpoint, EndpointArn=task.source) == "InvalidResourceStateFault"
    same = {"EndpointIdentifier": source["EndpointIdentifier"], "EndpointType": "source", "EngineName": "postgres"}
    assert refused(dms.create_endpoint, **same) == "ResourceAlreadyExistsFault"


def test_a_secret_can_say_where_the_source_is(aws: Aws, orders: Database) -> None:
    nothing = {"ServerName": "", "Username": "", "Password": "", "DatabaseName": ""}
    settings = {"PostgreSQLSettings": {"SecretsManagerSecretId": orders.secret}}
    with dms_task(aws, orders, "public.orders", source={**nothing, **settings}) as task:
        task.start()
        task.wait_until_caught_up()
        assert len(task.loaded("public.orders")) == 3


def test_only_databases_of_this_machine_are_read(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders", source={"ServerName": "db.example.com"}) as task:
        task.start(until=["failed"])
        assert "of this machine only" in task.described()["LastFailureMessage"]


def test_a_serverless_configuration_replicates_as_a_task_does(dms: Any, aws: Aws, orders: Database) -> None:
    unique = uuid.uuid4().hex[:12]
    aws.client("s3").create_bucket(Bucket=f"dms-{unique}")
    target = target_endpoint(f"dms-{unique}", "landing")
    ends = [
        dms.create_endpoint(EndpointIdentifier=f"{role}{unique}", **asked)["Endpoint"]["EndpointArn"]
        for role, asked in (
            ("s", endpoint_of(orders.server, orders.name)),
            ("t", {**target, "S3Settings": {**target["S3Settings"], **CSV}}),
        )
    ]
    arn = dms.create_replication_config(
        ReplicationConfigIdentifier=unique,
        SourceEndpointArn=ends[0],
        TargetEndpointArn=ends[1],
        ComputeConfig={"MaxCapacityUnits": 2},
        ReplicationType="full-load-and-cdc",
        TableMappings=json.dumps(table_mappings([("public", "orders")])),
        ReplicationSettings=json.dumps(task_settings()),
    )["ReplicationConfig"]["ReplicationConfigArn"]
    filters = [{"Name": "replication-config-arn", "Values": [arn]}]

    def described() -> dict[str, Any]:
        [found] = dms.describe_replications(Filters=filters)["Replications"]
        return dict(found)

    def state(wanted: str) -> dict[str, Any]:
        return dict(eventually(lambda: (found := described())["Status"] == wanted and found))

    assert described()["Status"] == "created"
    dms.start_replication(ReplicationConfigArn=arn, StartReplicationType="start-replication")
    running = state("running")
    assert (running["StartReplicationType"], running["ProvisionData"]["ProvisionState"]) == (
        "start-replication",
        "provisioned",
    )
    eventually(lambda: described()["ReplicationStats"]["TablesLoaded"] == 1)
    statistics = dms.describe_replication_table_statistics(ReplicationConfigArn=arn)["ReplicationTableStatistics"]
    assert [each["FullLoadRows"] for each in statistics] == [3]
    tables = [{"SchemaName": "public", "TableName": "orders"}]
    dms.reload_replication_tables(ReplicationConfigArn=arn, TablesToReload=tables)
    eventually(
        lambda: dms.describe_replication_table_statistics(
            ReplicationConfigArn=arn, Filters=[{"Name": "table-state", "Values": ["Table completed"]}]
        )["ReplicationTableStatistics"]
    )
    assert refused(dms.delete_replication_config, ReplicationConfigArn=arn) == "InvalidResourceStateFault"
    dms.stop_replication(ReplicationConfigArn=arn)
    assert state("stopped")["StopReason"] == "Stop Reason NORMAL"
    [config] = dms.describe_replication_configs(Filters=filters)["ReplicationConfigs"]
    assert (config["ReplicationConfigIdentifier"], config["ComputeConfig"]["MaxCapacityUnits"]) == (unique, 2)
    assert refused(dms.stop_replication_task, ReplicationTaskArn=arn) == "ResourceNotFoundFault"
    dms.delete_replication_config(ReplicationConfigArn=arn)
    eventually(lambda: not dms.describe_replication_configs(Filters=filters)["ReplicationConfigs"])
    assert orders.query("SELECT FROM pg_replication_slots WHERE database = current_database()") == []


def test_tags_of_a_task_are_kept_and_changed(dms: Any, task: DmsTask) -> None:
    dms.add_tags_to_resource(ResourceArn=task.arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    dms.remove_tags_from_resource(ResourceArn=task.arn, TagKeys=["b"])
    tags = dms.list_tags_for_resource(ResourceArn=task.arn)["TagList"]
    assert [(each["Key"], each["Value"]) for each in tags] == [("a", "1")]


def test_a_certificate_is_imported_once_and_deleted(dms: Any) -> None:
    name = f"authority-{uuid.uuid4().hex[:8]}"
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    with pytest.raises(dms.exceptions.ClientError, match="holds no certificate"):
        dms.import_certificate(CertificateIdentifier=name, CertificatePem="S3CR3T")
    made = dms.import_certificate(CertificateIdentifier=name, CertificatePem=pem)["Certificate"]
    with pytest.raises(dms.exceptions.ResourceAlreadyExistsFault):
        dms.import_certificate(CertificateIdentifier=name, CertificatePem=pem)
    named = [{"Name": "certificate-id", "Values": [name]}]
    [found] = dms.describe_certificates(Filters=named)["Certificates"]
    assert (found["CertificateArn"], found["CertificatePem"]) == (made["CertificateArn"], pem)
    dms.delete_certificate(CertificateArn=made["CertificateArn"])
    assert dms.describe_certificates(Filters=named)["Certificates"] == []
    with pytest.raises(dms.exceptions.ResourceNotFoundFault):
        dms.delete_certificate(CertificateArn=made["CertificateArn"])
