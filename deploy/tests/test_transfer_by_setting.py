"""SFTP where somebody else has made a part of it, or it is reached in another way."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp.source import sftp_files
from deploy.engines import transfer
from deploy.estate import DeployedSource, Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack
from deploy.tests.test_engines_by_setting import Collected

KEYS = cast(KeysStack, SimpleNamespace(**{n: SimpleNamespace(key_arn=n) for n in ("data", "secrets", "logs")}))
ELSEWHERE = "arn:aws:iam::222222222222:role/theirs"
THEIRS = "arn:aws:lambda:eu-west-1:222222222222:function:theirs"
LATTICE = "arn:aws:vpc-lattice:eu-west-1:111111111111:resourceconfiguration/rcfg-0123456789abcdefg"


def made_of(estate: Estate, name: str, **settings: Any) -> Collected:
    """What is made of one source alone, with other settings in ``from``."""
    [source] = [each for each in estate.sources if each.name == name]
    given = source.model.model_dump(exclude_unset=True, by_alias=True)
    given["from"] = {key: value for key, value in {**given["from"], **settings}.items() if value is not None}
    model = SftpSource.model_validate(given)
    deployed = DeployedSource(source.kind, model, sftp_files(model, estate.settings))
    collected = Collected()
    transfer.add(cast(ResourceStack, collected), replace(estate, sources=(deployed,)), KEYS)
    return collected


def test_a_server_that_is_there_gets_users_alone(estate: Estate) -> None:
    server = "s-0123456789abcdef0"
    made = made_of(estate, "globex_uploads", server=server, workflow=None)
    assert {kind for kind, _ in made.made.values()} == {"AWS::IAM::Role", "AWS::Transfer::User"}
    assert [user["ServerId"] for user in made.of("AWS::Transfer::User")] == [server]
    assert [role["RoleName"] for role in made.of("AWS::IAM::Role")] == ["adplatform-transfer"]


def test_workflows_for_a_server_that_is_there_are_made_for_its_owner(estate: Estate) -> None:
    workflow = {"check": False, "tag": {"a": "b"}, "partial_function": THEIRS, "exception_function": THEIRS}
    made = made_of(estate, "globex_uploads", server="s-0123456789abcdef0", workflow=workflow)
    assert [len(each["Steps"]) for each in made.of("AWS::Transfer::Workflow")] == [1, 1]
    assert made.of("AWS::Transfer::Server") == []


def test_roles_and_functions_of_others_are_used_and_not_made(estate: Estate) -> None:
    functions = dict.fromkeys(("function", "partial_function", "exception_function"), THEIRS)
    workflow = {**functions, "role": ELSEWHERE}
    made = made_of(estate, "globex_uploads", role=ELSEWHERE, logging_role=ELSEWHERE, workflow=workflow)
    assert made.of("AWS::IAM::Role") == []
    assert made.of("AWS::Lambda::Function") == []
    [server] = made.of("AWS::Transfer::Server")
    assert server["LoggingRole"] == ELSEWHERE
    assert {each[0]["ExecutionRole"] for each in server["WorkflowDetails"].values()} == {ELSEWHERE}
    targets = {s["CustomStepDetails"]["Target"] for w in made.of("AWS::Transfer::Workflow") for s in w["Steps"]}
    assert targets == {THEIRS}


def test_a_server_in_a_network_has_its_endpoint_there_and_makes_its_own_host_key(estate: Estate) -> None:
    place = {"vpc": "vpc-0123456789abcdef0", "subnets": ["subnet-0123456789abcdef0"]}
    made = made_of(estate, "globex_uploads", endpoint="vpc", workflow=None, host_key_secret=None, **place)
    [server] = made.of("AWS::Transfer::Server")
    assert server["EndpointType"] == "VPC"
    assert server["EndpointDetails"] == {"VpcId": place["vpc"], "SubnetIds": place["subnets"]}
    assert "CreateWithHostKey" not in server
    assert made.of("AWS::Transfer::HostKey") == []


def test_a_connector_that_is_there_needs_nothing(estate: Estate) -> None:
    assert made_of(estate, "carrier", connector="c-0123456789abcdef0").made == {}


def test_a_private_server_is_reached_by_lattice(estate: Estate) -> None:
    made = made_of(estate, "carrier", lattice={"resource": LATTICE, "port": 2022})
    [connector] = made.of("AWS::Transfer::Connector")
    assert connector["EgressType"] == "VPC_LATTICE"
    assert connector["EgressConfig"] == {"VpcLattice": {"ResourceConfigurationArn": LATTICE, "PortNumber": 2022}}
    assert "Url" not in connector


def test_without_workflows_there_are_no_functions_and_no_queue_for_them(estate: Estate) -> None:
    made = made_of(estate, "globex_uploads", workflow=None)
    assert made.of("AWS::SQS::Queue") == []
    assert "WorkflowDetails" not in made.of("AWS::Transfer::Server")[0]
