"""What `adplatform provision` makes of Transfer Family is what the template says, and finds nothing to change in it."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp.server import UploadedFiles
from adplatform.flow.services import Services
from deploy.estate import Estate
from deploy.template import Assembly
from deploy.tests.drift import as_deployed, differences
from deploy.tests.test_transfer import one

SERVER: Mapping[str, str] = {
    "CreateWithHostKey": "provision gives CreateServer the key; a resource of its own has it here",
    "ProtocolDetails": "told with the port and the address; what is asked for is compared",
    "StructuredLogDestinations": "provision makes no log groups; how long logs are kept is the deployment's matter",
    "WorkflowDetails": "names workflows by ids that AWS gives; their steps are compared",
}
SERVER_TOLD = (
    "Arn",
    "ServerId",
    "State",
    "HostKeyFingerprint",
    "UserCount",
    "IdentityProviderDetails",
    "IpAddressType",
)
USER: Mapping[str, str] = {
    "ServerId": "an id that AWS gives",
    "SshPublicKeys": "told with ids and dates; the keys are compared",
}
CONNECTOR: Mapping[str, str] = {"SftpConfig": "names the secret by its whole ARN, which ends in letters by chance"}
CONNECTOR_TOLD = ("Arn", "ConnectorId", "EgressType", "IpAddressType", "ServiceManagedEgressIpAddresses", "Status")


@pytest.fixture(scope="module")
def provisioned(estate: Estate, embedded: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of Transfer Family after `adplatform provision`."""
    secrets, key = embedded.secrets, tmp_path_factory.mktemp("keys") / "host"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    secrets.create_secret(Name="acme/host-key", SecretString=Path(key).read_text())
    secrets.create_secret(Name="acme/our-key", SecretString="-----BEGIN PGP-----")
    secrets.create_secret(Name="carrier/sftp", SecretString='{"Username": "acme", "Password": "x"}')
    for each in estate.of_kind("SftpFiles"):
        assert isinstance(each.pattern, EngineFiles | UploadedFiles)
        each.pattern.provision(embedded)
    yield embedded.aws.client("transfer")


def server_of(transfer: Any) -> dict[str, Any]:
    [server] = transfer.list_servers()["Servers"]
    return dict(transfer.describe_server(ServerId=server["ServerId"])["Server"])


def test_a_server_is_the_same(provisioned: Any, assembly: Assembly) -> None:
    told = as_deployed(assembly, server_of(provisioned))
    [server] = assembly.resources("AWS::Transfer::Server")
    assert differences(told, server, SERVER, SERVER_TOLD) == {}
    asked = server.properties["ProtocolDetails"]
    assert {name: told["ProtocolDetails"][name] for name in asked} == asked


@pytest.mark.parametrize("occasion", ["OnUpload", "OnPartialUpload"])
def test_its_workflows_are_the_same(provisioned: Any, assembly: Assembly, occasion: str) -> None:
    [attached] = as_deployed(assembly, server_of(provisioned))["WorkflowDetails"][occasion]
    [server] = assembly.resources("AWS::Transfer::Server")
    [named] = server.properties["WorkflowDetails"][occasion]
    assert attached["ExecutionRole"] == named["ExecutionRole"]
    wanted = next(
        each
        for each in assembly.resources("AWS::Transfer::Workflow")
        if named["WorkflowId"] == f"<WorkflowId of {each.logical}>"
    )
    told = as_deployed(assembly, provisioned.describe_workflow(WorkflowId=attached["WorkflowId"])["Workflow"])
    assert differences(told, wanted, {}, ("Arn", "WorkflowId")) == {}


@pytest.mark.parametrize("user", ["acme", "acme-drop", "globex"])
def test_its_users_are_the_same(provisioned: Any, assembly: Assembly, user: str) -> None:
    server = server_of(provisioned)["ServerId"]
    told = as_deployed(assembly, provisioned.describe_user(ServerId=server, UserName=user)["User"])
    wanted = one(assembly, "AWS::Transfer::User", UserName=user)
    assert differences(told, wanted, USER, ("Arn",)) == {}
    keys = [" ".join(key["SshPublicKeyBody"].split()[:2]) for key in told["SshPublicKeys"]]
    assert keys == wanted.properties["SshPublicKeys"]


def test_a_connector_is_the_same(provisioned: Any, assembly: Assembly) -> None:
    [connector] = provisioned.list_connectors()["Connectors"]
    described = provisioned.describe_connector(ConnectorId=connector["ConnectorId"])["Connector"]
    told = as_deployed(assembly, described)
    [wanted] = assembly.resources("AWS::Transfer::Connector")
    assert differences(told, wanted, CONNECTOR, CONNECTOR_TOLD) == {}
    config, given = told["SftpConfig"], wanted.properties["SftpConfig"]
    assert {**config, "UserSecretId": ""} == {**given, "UserSecretId": ""}
    assert config["UserSecretId"].startswith(f"{given['UserSecretId']}-")
