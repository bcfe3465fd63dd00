"""Locations and tasks of declared stores, and the roles with which DataSync works."""

import json
from typing import Any

import pytest

from deploy.template import Assembly
from deploy.tests.engines import REFERENCE, key, leaves, objects, policy_of_key, statements, trusted

STORES = {
    "azure": "AWS::DataSync::LocationAzureBlob",
    "exports": "AWS::DataSync::LocationNFS",
    "files": "AWS::DataSync::LocationSMB",
    "gcs": "AWS::DataSync::LocationObjectStorage",
    "lake": "AWS::DataSync::LocationS3",
}
SECRETS = ("AccessKey", "SecretKey", "AzureBlobSasToken", "User", "Password")


def of_source(assembly: Assembly, kind: str, source: str, end: str | None = None) -> dict[str, Any]:
    wanted = {"adplatform:source": source, **({"adplatform:end": end} if end else {})}
    for each in assembly.resources(kind):
        tags = {tag["Key"]: tag["Value"] for tag in each.properties["Tags"]}
        if wanted.items() <= tags.items():
            return each.properties
    raise AssertionError(f"no {kind} of {source}")


@pytest.mark.parametrize(("source", "kind"), STORES.items())
def test_a_task_copies_from_its_store_below_its_source(assembly: Assembly, source: str, kind: str) -> None:
    assert of_source(assembly, kind, source, "source")
    landing = of_source(assembly, "AWS::DataSync::LocationS3", source, "destination")
    assert (landing["S3BucketArn"], landing["Subdirectory"]) == ("arn:aws:s3:::acme-ads-raw", f"landing/{source}/")
    task = of_source(assembly, "AWS::DataSync::Task", source)
    assert task["Options"]["PreserveDeletedFiles"] == "PRESERVE"
    report = task["TaskReportConfig"]["Destination"]["S3"]
    assert report["Subdirectory"] == f"task-reports/{source}"
    assert task["TaskReportConfig"]["ReportLevel"] == "SUCCESSES_AND_ERRORS"
    assert task["CloudWatchLogGroupArn"].endswith(f"log-group:/adplatform/datasync/{source}")


def test_credentials_are_references_alone_and_kept_under_the_key_of_secrets(assembly: Assembly) -> None:
    seen = []
    for source, kind in STORES.items():
        store = of_source(assembly, kind, source, "source")
        secret = [(path, value) for path, value in leaves(store) if path.rpartition(".")[2] in SECRETS]
        assert all(REFERENCE.fullmatch(value) for _, value in secret)
        assert store.get("CmkSecretConfig") == ({"KmsKeyArn": key(assembly, "secrets")} if secret else None)
        seen += secret
    assert len(seen) == 5


def test_a_schedule_and_filters_are_those_of_the_declaration(assembly: Assembly) -> None:
    task = of_source(assembly, "AWS::DataSync::Task", "gcs")
    assert task["Schedule"] == {"ScheduleExpression": "rate(6 hours)", "Status": "ENABLED"}
    assert task["Includes"] == [{"FilterType": "SIMPLE_PATTERN", "Value": "/orders|/returns*"}]
    assert "Schedule" not in of_source(assembly, "AWS::DataSync::Task", "azure")


@pytest.mark.parametrize("source", STORES)
def test_a_role_writes_its_own_prefixes_and_deletes_nothing(assembly: Assembly, source: str) -> None:
    role = assembly.named("AWS::IAM::Role", f"adplatform-datasync-{source}")
    there = {"arn:aws:s3:::other-lake/exports/*"} if source == "lake" else set()
    own = {f"arn:aws:s3:::acme-ads-raw/{prefix}/{source}/*" for prefix in ("landing", "task-reports")}
    assert objects(role) == own | there
    actions = {action for statement in statements(role) for action in statement["Action"]}
    assert not [each for each in actions if "Delete" in each or "*" in each]
    kms = [s["Resource"] for s in statements(role) if "kms:Decrypt" in s["Action"]]
    assert kms == [[key(assembly, "data")]]
    assert trusted(role)["Principal"] == {"Service": "datasync.amazonaws.com"}
    assert trusted(role)["Condition"] == {
        "StringEquals": {"aws:SourceAccount": assembly.account},
        "ArnLike": {"aws:SourceArn": f"arn:aws:datasync:eu-west-1:{assembly.account}:*"},
    }


def test_only_the_store_is_read_of_another_bucket(assembly: Assembly) -> None:
    role = assembly.named("AWS::IAM::Role", "adplatform-datasync-lake")
    there = [s for s in statements(role) if any("other-lake/" in each for each in s["Resource"])]
    assert [s["Action"] for s in there] == [["s3:GetObject", "s3:GetObjectTagging"]]


def test_datasync_logs_into_groups_of_its_own(assembly: Assembly) -> None:
    policies = {each.properties["PolicyName"]: each for each in assembly.resources("AWS::Logs::ResourcePolicy")}
    policy = policies["adplatform-datasync"]
    [allowed] = json.loads(policy.properties["PolicyDocument"])["Statement"]
    assert allowed["Resource"].endswith(":log-group:/adplatform/datasync/*")
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": assembly.account}
    groups = {g.properties["LogGroupName"]: g.properties for g in assembly.resources("AWS::Logs::LogGroup")}
    for source in STORES:
        assert groups[f"/adplatform/datasync/{source}"]["KmsKeyId"] == key(assembly, "logs")


def test_only_datasyncs_own_role_keeps_credentials_under_the_key_of_secrets(assembly: Assembly) -> None:
    condition = policy_of_key(assembly, "secrets")["DataSyncKeepsCredentials"]["Condition"]
    assert condition["ArnEquals"]["aws:PrincipalArn"].endswith("/datasync.amazonaws.com/AWSServiceRoleForDataSync")
    assert condition["StringEquals"]["kms:ViaService"] == "secretsmanager.eu-west-1.amazonaws.com"
