"""Tasks that YAML declares of file servers and of Azure, before an embedded AWS where directories stand for those."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.replication import Transfer
from adplatform.contracts.stores import SmbShare
from adplatform.engines.declared_locations import Needed, needed, source_location
from adplatform.engines.declared_tasks import DeclaredTask
from adplatform.failures import PermanentFailure
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.engines.test_declared_tasks import (
    ACCOUNT,
    declare,
    engine_of,
    findings,
    make,
    new_agent,
    new_secret,
)
from adplatform_tests.local.aws.appflow_world import new_bucket
from adplatform_tests.support.replication import execute

AGENT = f"arn:aws:datasync:us-east-1:{ACCOUNT}:agent/agent-{'0' * 17}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shares")


@pytest.fixture(scope="module")
def own(data: Path) -> Iterator[Aws]:
    with ensure(data) as endpoint:
        yield local_aws(endpoint.url)


def file(data: Path, host: str, path: str) -> None:
    """A file at a server that a directory stands for."""
    there = data / "shares" / host / path
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("1")


def copied(aws: Aws, store: dict[str, Any]) -> list[str]:
    """What a declared task claims after its first execution, below its prefix."""
    declared = declare(store, new_bucket(aws))
    assert make(aws, declared)
    assert findings(aws, declared) == []
    engine = engine_of(aws, declared)
    execution = execute(aws, engine.task)["TaskExecutionArn"]
    run = engine.observe([execution])[execution]
    return sorted(claim.key.removeprefix("landing/cloud/") for claim in engine.claims(run))


def test_an_export_of_an_nfs_server_is_copied(own: Aws, data: Path) -> None:
    file(data, "nfs.example.com", "exports/daily/orders/a.csv")
    store = {"kind": "nfs", "server": "nfs.example.com", "path": "/exports/daily", "agents": [new_agent(own)]}
    assert copied(own, store) == ["orders/a.csv"]


def test_a_share_of_an_smb_server_is_copied(own: Aws, data: Path) -> None:
    file(data, "smb.example.com", "share/orders/a.csv")
    secret = new_secret(own, user="reader", password="S3CR3T", domain="EXAMPLE")
    agents = [new_agent(own), new_agent(own)]
    store = {"kind": "smb", "server": "smb.example.com", "path": "/share", "secret": secret, "agents": agents}
    assert copied(own, store) == ["orders/a.csv"]
    client = own.client("datasync")
    [arn] = [each["LocationArn"] for each in client.list_locations()["Locations"] if "smb://" in each["LocationUri"]]
    location = client.describe_location_smb(LocationArn=arn)
    assert (location["User"], location["Domain"], "Password" in location) == ("reader", "EXAMPLE", False)


@pytest.mark.parametrize("agents", [0, 1])
def test_a_container_of_azure_is_copied_with_and_without_an_agent(own: Aws, data: Path, agents: int) -> None:
    account = f"acme{agents}.blob.core.windows.net"
    file(data, account, "exports/daily/orders/a.csv")
    store = {
        "kind": "azure_blob",
        "container": f"https://{account}/exports",
        "prefix": "daily/",
        "secret": new_secret(own, sas_token="sp=rl&sig=S3CR3T"),
        "agents": [new_agent(own) for _ in range(agents)],
    }
    assert copied(own, store) == ["orders/a.csv"]


def test_a_sas_token_that_is_too_long_is_not_quoted(own: Aws, data: Path) -> None:
    file(data, "long.blob.core.windows.net", "exports/a.csv")
    secret = new_secret(own, sas_token="sig=S3CR3T" * 50)
    store = {"kind": "azure_blob", "container": "https://long.blob.core.windows.net/exports", "secret": secret}
    with pytest.raises(PermanentFailure, match="location azure-blob://") as raised:
        make(own, declare(store, new_bucket(own)))
    assert "S3CR3T" not in str(raised.value)


def test_a_domain_that_is_declared_is_not_asked_of_the_secret() -> None:
    share = {"kind": "smb", "server": "files.example.com", "path": "/share", "secret": "smb", "agents": [AGENT]}
    with_domain = SmbShare.model_validate({**share, "domain": "ACME"})
    assert needed(with_domain) == Needed("smb", ("user", "password"))
    assert needed(SmbShare.model_validate(share)) == Needed("smb", ("user", "password"), ("domain",))
    made = DeclaredTask("cloud", "t", with_domain, Transfer(), "raw", "landing/cloud/", "task-reports/cloud/", "role")
    asked = source_location(made, ACCOUNT, {"user": "reader", "password": "p"}, "arn:key")
    assert (asked["Domain"], asked["User"]) == ("ACME", "reader")
    assert asked["CmkSecretConfig"] == {"KmsKeyArn": "arn:key"}
    assert "CmkSecretConfig" not in source_location(made, ACCOUNT, {}, "arn:key")
