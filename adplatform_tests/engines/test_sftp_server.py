"""Partners who upload to an SFTP server of ours with OpenSSH's client, through to the clean table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.components import PartnerPush
from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp_server import UploadedFiles, server_files
from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform.platform.settings import Settings
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.support.platforms import YESTERDAY, make_platform
from adplatform_tests.support.sftp_uploads import KeyPair, Partner, make_key, needs_sftp

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)"},
    "key": "order_id",
}


@dataclass(frozen=True)
class Uploads(PartnerPush):
    """A component of this pattern."""

    declared: SftpSource

    @classmethod
    def get_model_cls(cls) -> type[SftpSource]:
        return SftpSource

    def pattern(self, settings: Settings) -> UploadedFiles:
        return server_files(self.declared, settings)


def attributes(
    key: KeyPair, feed: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **server: Any
) -> dict[str, Any]:
    users = [{"name": "acme", "keys": [key.public], **(user or {})}]
    return {
        "source": "acme",
        "from": {"kind": "server", "users": users, **server},
        "feeds": [{**ORDERS, **(feed or {})}],
    }


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    needs_sftp()
    return make_key(tmp_path)


def uploads_of(services: Services, declared: dict[str, Any]) -> UploadedFiles:
    return server_files(SftpSource.model_validate(declared), services.settings)


def partner_of(services: Services, pattern: UploadedFiles, key: KeyPair, folder: Path, user: str = "acme") -> Partner:
    address = pattern.address(services)
    assert address is not None
    return Partner(address.port, user, key, folder)


def test_an_upload_becomes_a_table(
    services: Services, instance: dg.DagsterInstance, key: KeyPair, tmp_path: Path
) -> None:
    platform = make_platform(services, attributes(key), instance, Uploads)
    pattern = uploads_of(services, attributes(key))
    provision_patterns(services, [pattern])
    day = f"orders/dt={YESTERDAY}"
    partner_of(services, pattern, key, tmp_path).sftp("mkdir orders", f"mkdir {day}")
    partner_of(services, pattern, key, tmp_path).put(
        {f"{day}/orders 1.csv": b"order_id,amount\n1,9.90\n", f"{day}/_SUCCESS": b""}
    )
    [result] = platform.process()
    assert result.success
    assert platform.query("select order_id, amount::text from {orders}") == [(1, "9.90")]
    assert platform.delivery("orders").state is DeliveryState.PUBLISHED
