import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adplatform.platform.calls import RECORD, described
from adplatform.platform.settings import Settings
from deploy.least_privilege.needs import Names, Need, needs
from deploy.least_privilege.shapes import Call, calls_of, read_lines, read_recorded, write_recorded

pytest_plugins = ["pytester"]
RAW, CLEAN, LEDGER = "arn:aws:s3:::adplatform-raw", "arn:aws:s3:::adplatform-clean", "table/adplatform-ledger"


class Keys(defaultdict[str, str]):
    def __missing__(self, concern: str) -> str:
        return f"key of {concern}"


NAMES = Names(
    "111111111111",
    "eu-west-1",
    Settings("aws", Path()),
    "acme",
    "landing/acme/",
    "acme/sftp",
    Keys(),
    dict.fromkeys(
        ("glue Role", "emr-serverless executionRoleArn", "entityresolution roleArn", "sagemaker RoleArn"), "a role"
    ),
)


def noted(role: str, service: str, operation: str, **given: Any) -> dict[str, Any]:
    return {"role": role, **described(service, operation, given)}


def call(service: str, operation: str, **given: Any) -> Call:
    (made,) = calls_of(noted("operator", service, operation, **given))
    return made


def actions(made: Call) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for need in needs(made, NAMES):
        found.setdefault(need.action, set()).add(need.resource)
    return found


def test_what_one_run_of_tests_calls_its_buckets_and_sources_is_no_part_of_a_shape() -> None:
    one = noted("operator", "s3", "GetObject", Bucket="raw-0a1b2c3d", Key="landing/acme/dt=2026-11-27/a.csv")
    other = noted("operator", "s3", "GetObject", Bucket="adplatform-raw", Key="landing/northwind/orders/b.csv")
    lines = [json.dumps(each) + "\n" for each in (one, other)]
    assert read_lines(lines) == {Call("operator", "s3", "GetObject", "raw:landing/{source}/*")}


def test_a_line_that_a_killed_process_did_not_end_is_left_out() -> None:
    line = json.dumps(noted("operator", "sqs", "ReceiveMessage", QueueUrl="http://q"))
    assert read_lines([line + "\n", line[:-9]]) == {Call("operator", "sqs", "ReceiveMessage", "QueueUrl")}


def test_the_list_reads_as_it_was_written_in_an_order_of_its_own(tmp_path: Path) -> None:
    some = sorted(read_recorded())
    write_recorded(reversed(some), tmp_path / "one")
    write_recorded(some, tmp_path / "two")
    assert read_recorded(tmp_path / "one") == set(some)
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()


def test_of_every_recorded_call_it_is_known_what_it_needs() -> None:
    recorded = read_recorded()
    assert len(recorded) > 100
    for each in recorded:
        for need in needs(each, NAMES):
            assert need.action.count(":") == 1


@pytest.mark.parametrize("service", ["s3", "dynamodb", "glue", "sqs", "sns", "secretsmanager", "transfer", "lambda"])
def test_an_operation_that_nobody_has_thought_about_is_an_error(service: str) -> None:
    with pytest.raises(LookupError, match=r"PutEverything .*deploy/least_privilege/needs\.py"):
        list(needs(Call("operator", service, "PutEverything", "raw"), NAMES))


def test_what_an_archived_original_needs_is_on_both_places_and_on_its_tags() -> None:
    source = {"Bucket": "raw", "Key": "landing/acme/a.csv", "VersionId": "7"}
    made = call("s3", "CopyObject", Bucket="raw", Key="archive/acme/orders/a.csv", CopySource=source)
    assert actions(made) == {
        "s3:GetObjectVersion": {f"{RAW}/landing/acme/any/object"},
        "s3:GetObjectVersionTagging": {f"{RAW}/landing/acme/any/object"},
        "s3:ListBucket": {RAW},
        "s3:PutObject": {f"{RAW}/archive/acme/any/object"},
        "s3:PutObjectTagging": {f"{RAW}/archive/acme/any/object"},
        "kms:Decrypt": {"key of data"},
        "kms:GenerateDataKey": {"key of data"},
    }


def test_what_only_our_own_code_has_written_is_copied_without_tags() -> None:
    source = {"Bucket": "clean", "Key": "table-versions/acme/orders/a.parquet"}
    made = call("s3", "CopyObject", Bucket="clean", Key="acme/orders/a.parquet", CopySource=source)
    assert actions(made)["s3:PutObject"] == {f"{CLEAN}/acme/any/object"}
    assert not any("Tagging" in action for action in actions(made))


@pytest.mark.parametrize(("key", "concern"), [("quarantine/acme/a", "quarantine"), ("landing/acme/a", "data")])
def test_quarantined_rows_are_under_a_key_of_their_own(key: str, concern: str) -> None:
    assert actions(call("s3", "GetObject", Bucket="raw", Key=key))["kms:Decrypt"] == {f"key of {concern}"}
    assert actions(call("s3", "PutObject", Bucket="raw", Key=key))["kms:GenerateDataKey"] == {f"key of {concern}"}


def test_parts_of_a_large_object_are_decrypted_to_be_put_together() -> None:
    for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        found = actions(call("s3", operation, Bucket="raw", Key="landing/acme/a", UploadId="1"))
        assert found.keys() == {"s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"}


def test_a_write_that_replaces_what_it_has_read_reads() -> None:
    assert "s3:GetObject" in actions(call("s3", "PutObject", Bucket="raw", Key="fetched/acme/a", IfMatch='"1"'))
    assert "s3:GetObject" not in actions(call("s3", "PutObject", Bucket="raw", Key="fetched/acme/a", IfNoneMatch="*"))


def test_versions_are_deleted_by_a_right_of_their_own() -> None:
    removed = {"Objects": [{"Key": "landing/acme/a", "VersionId": "1"}, {"Key": "prepared/acme/a"}]}
    made = calls_of(noted("operator", "s3", "DeleteObjects", Bucket="raw", Delete=removed))
    assert {action: next(iter(on)) for each in made for action, on in actions(each).items()} == {
        "s3:DeleteObjectVersion": f"{RAW}/landing/acme/any/object",
        "s3:DeleteObject": f"{RAW}/prepared/acme/any/object",
    }


def test_a_query_of_an_index_is_on_the_index_and_a_transaction_on_what_is_in_it() -> None:
    index = actions(call("dynamodb", "Query", TableName="ledger", IndexName="active"))
    assert index["dynamodb:Query"] == {f"arn:aws:dynamodb:eu-west-1:111111111111:{LEDGER}/index/active"}
    items = [{"ConditionCheck": {"TableName": "ledger"}}, {"Update": {"TableName": "ledger"}}]
    made = calls_of(noted("operator", "dynamodb", "TransactWriteItems", TransactItems=items))
    assert {action for each in made for action in actions(each)} == {
        "dynamodb:ConditionCheckItem",
        "dynamodb:UpdateItem",
        "kms:Decrypt",
    }


def test_a_table_of_the_catalogue_is_reached_by_its_catalog_and_database() -> None:
    found = actions(call("glue", "UpdateTable", DatabaseName="clean_acme", TableInput={"Name": "orders"}))
    glue = "arn:aws:glue:eu-west-1:111111111111:"
    assert found["glue:UpdateTable"] == {f"{glue}catalog", f"{glue}database/clean_acme", f"{glue}table/clean_acme/any"}
    crawled = actions(call("glue", "GetTables", DatabaseName="crawled_clean"))
    assert f"{glue}database/crawled_clean" in crawled["glue:GetTables"]


def test_whoever_passes_a_role_on_has_to_be_allowed_to() -> None:
    made = Call("operator", "glue", "GetJob", "JobName +passes Role")
    passed = Need("iam:PassRole", "a role", (("iam:PassedToService", "glue.amazonaws.com"),))
    assert passed in set(needs(made, NAMES))


@pytest.mark.parametrize(("role", "fails"), [("somebody_new", True), ("", False)])
def test_a_run_of_tests_with_a_call_that_is_not_in_the_list_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, role: str, fails: bool
) -> None:
    monkeypatch.setenv(RECORD, os.environ[RECORD])  # a run within sets it, too
    pytester.makeconftest("""
        from adplatform_tests.support import recorded_calls

        pytest_addoption, pytest_configure = recorded_calls.add_option, recorded_calls.begin
        pytest_sessionfinish = recorded_calls.end

        def pytest_terminal_summary(terminalreporter, config):
            recorded_calls.explain(terminalreporter, config)
    """)
    line = json.dumps(noted(role, "sqs", "ReceiveMessage", QueueUrl="http://q")) if role else ""
    pytester.makepyfile(f"""
        import os
        from pathlib import Path

        def test_calls():
            Path(os.environ["{RECORD}"]).write_text({line + chr(10) if line else ""!r})
    """)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert done.ret == (pytest.ExitCode.TESTS_FAILED if fails else pytest.ExitCode.OK)
    if fails:
        done.stdout.fnmatch_lines(["somebody_new: sqs ReceiveMessage QueueUrl", "*--record-calls add*"])
