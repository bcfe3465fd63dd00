"""Connectors of Transfer Family as YAML declares them: made once, changed where they differ, and compared."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.sftp_host import SftpConnector
from adplatform.engines.sftp.provided_connectors import Connector, connector_request, fingerprint
from adplatform.failures import EnvironmentFailure, PermanentFailure
from adplatform.flow.services import Services
from adplatform_tests.support.connectors import make_connector
from adplatform_tests.support.fetched import Fetched, fetched_source
from adplatform_tests.support.sftp_host import SftpHost

KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIuzGQJS4aKaED9uz9oi3N9NCaZj"
    "P4qNnkQez/JXKGIqh/sqcuWGCbnxmMKMdqeUvh5VIj5kNbrHgwOblS7yFDA="
)

POLICY = "TransferSFTPConnectorSecurityPolicy"
LATTICE = "arn:aws:vpc-lattice:us-east-1:123456789012:resourceconfiguration/rcfg-0123456789abcdefg"


@pytest.fixture
def fetched(services: Services, sftp_host: SftpHost) -> Fetched:
    return fetched_source(services, sftp_host)


def connector_of(fetched: Fetched, **changes: Any) -> Connector:
    """As the source would declare it with these changes."""
    at = fetched.declared.from_
    assert isinstance(at, SftpConnector)
    at = SftpConnector.model_validate({**at.model_dump(exclude_unset=True), **changes})
    return Connector(fetched.bare, fetched.declared.model_copy(update={"from_": at}), at)


def described(fetched: Fetched) -> dict[str, Any]:
    found: dict[str, Any] = fetched.bare.aws.client("transfer").describe_connector(ConnectorId=fetched.connector)
    return dict(found["Connector"])


def texts(connector: Connector, *, test: bool = False) -> list[str]:
    return [finding.text for finding in connector.findings(test=test)]


def test_a_connector_is_made_as_it_is_declared_and_only_once(fetched: Fetched) -> None:
    said, account = described(fetched), fetched.bare.account
    assert said["Url"] == f"sftp://{fetched.host.host}:{fetched.host.port}"
    assert said["AccessRole"] == f"arn:aws:iam::{account}:role/adplatform-transfer"
    assert said["SftpConfig"]["TrustedHostKeys"] == list(fetched.host.host_keys)
    assert said["SftpConfig"]["UserSecretId"].startswith("arn:aws:secretsmanager:")
    assert said["SftpConfig"]["MaxConcurrentConnections"] == 2
    assert not connector_of(fetched).provide()
    assert connector_of(fetched).id == fetched.connector
    assert texts(connector_of(fetched), test=True) == []


@pytest.mark.parametrize(
    ("change", "told", "fatal"),
    [
        ({"host_keys": [KEY]}, f"{fingerprint(KEY)} are declared", True),
        ({"role": "another"}, ":role/another is declared", True),
        ({"port": 1}, "sftp://127.0.0.1:1 is declared", True),
        ({"logging_role": "logs"}, ":role/logs, which is declared", False),
        ({"connections": 5}, "5 are declared", False),
        ({"security_policy": f"{POLICY}-2023-07"}, f"{POLICY}-2023-07 is declared", False),
        ({"secret": "partner/other"}, "another secret than partner/other", False),
    ],
)
def test_what_differs_is_found_and_changed(fetched: Fetched, change: dict[str, Any], told: str, fatal: bool) -> None:
    fetched.bare.secrets.create_secret(Name="partner/other", SecretString="{}") if "secret" in change else None
    changed, before = connector_of(fetched, **change), fetched.connector
    [finding] = changed.findings(test=False)
    assert told in finding.text
    assert "`adplatform provision` changes it" in finding.text
    assert finding.fatal is fatal
    assert changed.provide()
    assert texts(changed) == []
    assert changed.id == before
    assert not changed.provide()


def test_a_server_with_another_host_key_is_told_by_both_fingerprints(fetched: Fetched) -> None:
    fetched.host.restart(new_host_key=True)
    [text] = texts(connector_of(fetched), test=True)
    shown = next(key for key in fetched.host.host_keys if fingerprint(key) in text)
    assert repr(shown) in text
    assert all(fingerprint(key) in text for key in fetched.declared.from_.host_keys)
    assert texts(connector_of(fetched)) == []


def test_a_server_that_is_gone_or_refuses_the_login_is_told_in_its_words(fetched: Fetched) -> None:
    fetched.host.stop()
    [text] = texts(connector_of(fetched), test=True)
    assert "cannot connect to sftp://" in text
    assert "cannot be reached" in text
    fetched.host.start()
    secret = fetched.declared.from_.secret
    fetched.bare.secrets.put_secret_value(SecretId=secret, SecretString='{"Username": "x", "Password": "no"}')
    [text] = texts(connector_of(fetched), test=True)
    assert "refuses the credentials" in text


@pytest.mark.parametrize(("fault", "status"), [("connector_errored", "ERRORED"), ("connector_pending", "PENDING")])
def test_a_connector_that_is_not_active_is_told_with_its_reason(fetched: Fetched, fault: str, status: str) -> None:
    fetched.order(fault)
    [text] = texts(connector_of(fetched), test=True)
    assert f"is {status}: " in text


def test_a_named_connector_is_only_compared(fetched: Fetched) -> None:
    other = make_connector(fetched.bare.aws, fetched.host)
    named = connector_of(fetched, connector=other)
    assert named.id == other
    assert texts(named, test=True) == []
    assert not connector_of(fetched, connector=other, host_keys=[KEY]).provide()
    [text] = texts(connector_of(fetched, connector=other, host_keys=[KEY]))
    assert "change one of them" in text
    with pytest.raises(PermanentFailure, match=r"there is no connector c-0{17}: make it, or correct `connector`"):
        connector_of(fetched, connector="c-" + "0" * 17).findings(test=False)


def test_a_connector_that_is_missing_or_there_twice_is_told(fetched: Fetched) -> None:
    transfer, connector = fetched.bare.aws.client("transfer"), connector_of(fetched)
    there = described(fetched)
    twin = make_connector(fetched.bare.aws, fetched.host)
    arn = transfer.describe_connector(ConnectorId=twin)["Connector"]["Arn"]
    transfer.tag_resource(Arn=arn, Tags=[{"Key": key, "Value": value} for key, value in connector.tags.items()])
    with pytest.raises(PermanentFailure, match=r"the connectors c-.*, c-.* have the tags of partner_"):
        connector.provide()
    transfer.delete_connector(ConnectorId=twin)
    assert connector.id == there["ConnectorId"]
    transfer.delete_connector(ConnectorId=there["ConnectorId"])
    with pytest.raises(
        PermanentFailure, match=rf"there is no connector for {fetched.declared.source}: `adplatform provision` makes it"
    ):
        connector.findings(test=False)
    with pytest.raises(
        PermanentFailure, match=r"there is no connector for partner_.*: `adplatform provision` makes it"
    ):
        connector.findings(test=False)
    assert connector.provide()
    assert connector.findings(test=False) == []


def test_a_secret_that_is_missing_is_named_with_what_it_holds(fetched: Fetched) -> None:
    changed = connector_of(fetched, secret="partner/nobody")
    with pytest.raises(EnvironmentFailure, match=r"secret partner/nobody \(a JSON object with Username"):
        changed.provide()


def test_the_same_source_of_another_platform_has_a_connector_of_its_own(fetched: Fetched) -> None:
    elsewhere = Services(replace(fetched.bare.settings, raw_bucket="other"), fetched.bare.aws)
    at = fetched.declared.from_
    assert isinstance(at, SftpConnector)
    assert Connector(elsewhere, fetched.declared, at).found() is None


def test_a_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    ssh_keygen = shutil.which("ssh-keygen")
    if ssh_keygen is None:
        pytest.skip("needs ssh-keygen")
    (tmp_path / "key").write_text(KEY)
    said = subprocess.run([ssh_keygen, "-lf", str(tmp_path / "key")], capture_output=True, text=True, check=True)
    assert fingerprint(KEY) == said.stdout.split()[1]


def test_a_server_in_a_private_network_is_reached_by_lattice_in_the_place_of_its_address(fetched: Fetched) -> None:
    changed = connector_of(fetched, lattice={"resource": LATTICE, "port": 2022})
    asked = connector_request(changed.at, "123456789012", "arn:aws:secretsmanager:us-east-1:123456789012:secret:x")
    assert asked["EgressConfig"]["VpcLattice"] == {"ResourceConfigurationArn": LATTICE, "PortNumber": 2022}
    assert "Url" not in asked
    assert [finding.fatal for finding in changed.findings(test=False)] == [True]
    [text] = texts(changed)
    assert "goes by the internet" in text
    assert LATTICE in text
