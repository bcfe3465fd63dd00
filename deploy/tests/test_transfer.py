"""SFTP: servers that partners upload to, their workflows and functions, and connectors to servers of theirs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adplatform.engines.sftp.workflow_functions import HANDLERS
from deploy.estate import Estate
from deploy.template import Assembly, Resource
from deploy.tests.engines import statements

WITHOUT_THE_REST = """
import importlib.abc, sys
sys.path.insert(0, sys.argv[1])
allowed = {"adplatform", "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "certifi"}

class OnlyLambda(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in allowed | set(sys.stdlib_module_names):
            raise ImportError(f"{name} is not there in Lambda")

sys.meta_path.insert(0, OnlyLambda())
import adplatform
module, _, name = sys.argv[2].rpartition(".")
handler = getattr(importlib.import_module(module), name)
clients = sys.modules[module].clients_of("arn:aws:lambda:eu-west-1:111111111111:function:x")
print(adplatform.__file__, callable(handler), clients.topic)
"""


def resources_for(assembly: Assembly, role: str, action: str) -> set[str]:
    """What a role may do this with."""
    every = statements(assembly.named("AWS::IAM::Role", role))
    return {r for s in every if action in s["Action"] for r in s["Resource"]}


def one(assembly: Assembly, kind: str, **wanted: Any) -> Resource:
    found = [r for r in assembly.resources(kind) if wanted.items() <= r.properties.items()]
    assert len(found) == 1, [r.properties for r in assembly.resources(kind)]
    return found[0]


def test_sources_that_name_one_server_share_it_and_have_users_of_their_own(assembly: Assembly) -> None:
    [server] = assembly.resources("AWS::Transfer::Server")
    users = {each.properties["UserName"]: each.properties for each in assembly.resources("AWS::Transfer::User")}
    assert users.keys() == {"acme", "acme-drop", "globex"}
    assert {user["ServerId"] for user in users.values()} == {f"<ServerId of {server.logical}>"}
    homes = {name: user["HomeDirectoryMappings"][0]["Target"] for name, user in users.items()}
    assert homes == {
        "acme": "/acme-ads-raw/landing/acme_uploads",
        "acme-drop": "/acme-ads-raw/landing/acme_uploads/eu",
        "globex": "/acme-ads-raw/landing/globex_uploads",
    }


def test_a_user_reaches_its_own_folder_and_one_that_only_puts_reads_nothing(assembly: Assembly) -> None:
    policy = json.loads(one(assembly, "AWS::Transfer::User", UserName="acme-drop").properties["Policy"])
    actions = {action for s in policy["Statement"] for action in s["Action"]}
    assert not {"s3:GetObject", "s3:ListBucket", "s3:DeleteObject"} & actions
    assert policy["Statement"][-1]["Resource"] == "arn:aws:s3:::acme-ads-raw/landing/acme_uploads/eu/*"


def test_a_host_key_comes_from_its_secret_and_is_the_only_one(assembly: Assembly) -> None:
    [server], [key] = assembly.resources("AWS::Transfer::Server"), assembly.resources("AWS::Transfer::HostKey")
    assert server.properties["CreateWithHostKey"] is False
    assert key.properties["HostKeyBody"] == "{{resolve:secretsmanager:acme/host-key:SecretString}}"


def test_a_server_logs_into_an_encrypted_group_that_is_there_before_it(assembly: Assembly) -> None:
    [server] = assembly.resources("AWS::Transfer::Server")
    [place] = server.properties["StructuredLogDestinations"]
    group = assembly.named("AWS::Logs::LogGroup", place.split(":")[-2])
    assert "KmsKeyId" in group.properties
    assert group.logical in server.raw["DependsOn"]


def test_a_workflow_calls_functions_that_are_made_before_it(assembly: Assembly) -> None:
    functions = {each.properties["FunctionName"]: each for each in assembly.resources("AWS::Lambda::Function")}
    called = set()
    for workflow in assembly.resources("AWS::Transfer::Workflow"):
        for step in (*workflow.properties["Steps"], *workflow.properties["OnExceptionSteps"]):
            if details := step.get("CustomStepDetails"):
                function = functions[details["Target"].rpartition(":")[2]]
                called.add(function.properties["FunctionName"])
                assert function.logical in workflow.raw["DependsOn"]
                # What is left undone five seconds before its end a handler answers with FAILURE.
                assert function.properties["Timeout"] < details["TimeoutSeconds"]
    assert called == functions.keys()


@pytest.mark.parametrize(
    ("function", "handler"),
    [
        ("adplatform-upload-check", "custom_step"),
        ("adplatform-upload-partial", "partial_step"),
        ("adplatform-upload-exception", "exception_step"),
    ],
)
def test_a_function_runs_with_what_is_in_its_archive_and_in_lambda(
    assembly: Assembly, function: str, handler: str
) -> None:
    properties = assembly.named("AWS::Lambda::Function", function).properties
    assert properties["Handler"] == f"{HANDLERS}.{handler}"
    archive = assembly.folder / f"asset.{properties['Code']['S3Key'].removesuffix('.zip')}"
    environment = {**properties["Environment"]["Variables"], "AWS_REGION": "eu-west-1"}
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_REST, str(archive), properties["Handler"]],
        env={**os.environ, **environment, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    topic = "arn:aws:sns:eu-west-1:111111111111:adplatform-failure"
    assert said.stdout.split() == [str(archive / "adplatform/__init__.py"), "True", topic], said.stderr
    assert not (archive / "adplatform/local").exists()


def test_a_call_that_fails_to_the_last_is_kept(assembly: Assembly) -> None:
    queue = assembly.named("AWS::SQS::Queue", "adplatform-uploads-dead-letters")
    for function in assembly.resources("AWS::Lambda::Function"):
        assert function.properties["DeadLetterConfig"]["TargetArn"].endswith(f":{queue.properties['QueueName']}")
        role = function.properties["Role"].rpartition("/")[2]
        assert resources_for(assembly, role, "sqs:SendMessage") == {
            function.properties["DeadLetterConfig"]["TargetArn"]
        }


def test_functions_have_reserved_calls_where_the_configuration_says_so(assembly: Assembly) -> None:
    assert {f.properties["ReservedConcurrentExecutions"] for f in assembly.resources("AWS::Lambda::Function")} == {20}


def test_a_function_reads_uploads_and_writes_only_the_ledger(assembly: Assembly) -> None:
    role = "adplatform-upload-check"
    assert resources_for(assembly, role, "s3:GetObject") == {"arn:aws:s3:::acme-ads-raw/landing/*"}
    assert resources_for(assembly, role, "s3:PutObject") == set()
    assert resources_for(assembly, role, "dynamodb:PutItem") == {
        "arn:aws:dynamodb:eu-west-1:111111111111:table/adplatform-ledger"
    }
    assert resources_for(assembly, role, "secretsmanager:GetSecretValue") == set()


def test_a_connector_logs_in_by_a_secret_and_trusts_the_declared_host_keys(assembly: Assembly, estate: Estate) -> None:
    connector = one(assembly, "AWS::Transfer::Connector", Url="sftp://sftp.example.com:22").properties
    assert (
        connector["SftpConfig"]["UserSecretId"] == "arn:aws:secretsmanager:eu-west-1:111111111111:secret:carrier/sftp"
    )
    [key] = connector["SftpConfig"]["TrustedHostKeys"]
    assert key.startswith("ecdsa-sha2-nistp256 AAAA")
    assert connector["SecurityPolicyName"] == "TransferSFTPConnectorSecurityPolicy-2024-03"
    assert {"Key": "adplatform:source", "Value": "carrier"} in connector["Tags"]
    assert connector["AccessRole"] == estate.role("adplatform-transfer-carrier")


def test_roles_of_sources_are_kept_apart_by_their_names(assembly: Assembly) -> None:
    written = resources_for(assembly, "adplatform-transfer-carrier", "s3:PutObject")
    assert written == {f"arn:aws:s3:::acme-ads-raw/{zone}/carrier/*" for zone in ("transfers", "listings")}
    assert resources_for(assembly, "adplatform-transfer-carrier", "secretsmanager:GetSecretValue") == {
        "arn:aws:secretsmanager:eu-west-1:111111111111:secret:carrier/sftp-??????"
    }
    shared = resources_for(assembly, "adplatform-transfer", "s3:PutObject")
    below = "arn:aws:s3:::acme-ads-raw/landing"
    assert shared == {f"{below}/acme_uploads/*", f"{below}/acme_uploads/eu/*", f"{below}/globex_uploads/*"}
    assert resources_for(assembly, "adplatform-transfer", "secretsmanager:GetSecretValue") == set()


def test_a_workflow_puts_copies_nowhere_but_where_nothing_lands(assembly: Assembly) -> None:
    role = "adplatform-transfer-workflow"
    assert resources_for(assembly, role, "s3:PutObject") == {"arn:aws:s3:::acme-ads-raw/prepared/sftp-uploads/*"}
    assert resources_for(assembly, role, "s3:DeleteObject") == set()
    assert {arn.rpartition(":")[2] for arn in resources_for(assembly, role, "lambda:InvokeFunction")} == {
        *("adplatform-upload-check", "adplatform-upload-partial", "adplatform-upload-exception")
    }


def test_no_template_has_a_value_of_a_secret(cdk_out: Path) -> None:
    """References stand where values would."""
    for file in cdk_out.glob("*.template.json"):
        text = file.read_text()
        assert "PRIVATE KEY" not in text
        values = re.findall(r'"(?:\w*Password|HostKeyBody|SecretString)": "([^"]+)', text)
        assert [value for value in values if not value.startswith("{{resolve:secretsmanager:")] == []
