"""`adplatform provision` where a deployment has made the platform: it puts what that cannot, and changes nothing."""

import json
import uuid
from dataclasses import replace

import pytest

from adplatform.contracts.database import DatabaseSource
from adplatform.contracts.sftp import SftpSource
from adplatform.engines.databases import database_tables
from adplatform.engines.sftp.provided_servers import find_server
from adplatform.engines.sftp.server import server_files
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.platform import names
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.engines.sftp.test_provided_servers import KEY
from adplatform_tests.support.calls import CountedAws

FEED = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": {"type": "bigint", "required": True}}}
READS = ("Get", "Describe", "List", "Head")


@pytest.fixture
def patterns(services: Services) -> list[Pattern]:
    key = f"pgp-{uuid.uuid4().hex[:8]}"
    services.secrets.create_secret(Name=key, SecretString="-----BEGIN PGP-----")
    settings = services.settings
    server = {
        "kind": "server",
        "server": f"deployed-{uuid.uuid4().hex[:8]}",
        "users": [{"name": "acme", "keys": [KEY]}],
        "workflow": {"check": False, "decrypt": {"secret": key}},
    }
    shop = {
        "source": "shop",
        "connection": "shop/reader",
        "engine": "glue",
        "glue": {"role": "adplatform-glue", "package": "s3://acme/adplatform.whl"},
        "feeds": [{**FEED, "key": "id"}],
    }
    uploads = {"source": "uploads", "from": server, "feeds": [FEED]}
    return [
        server_files(SftpSource.model_validate(uploads), settings),
        database_tables(DatabaseSource.model_validate(shop), settings),
    ]


def deployed(services: Services) -> tuple[Services, CountedAws]:
    """The same platform in AWS, with the tag of a deployment."""
    bucket, tag = services.settings.raw_bucket, {"Key": names.PLATFORM_TAG, "Value": names.PLATFORM}
    services.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})
    counted = CountedAws(services.aws.region, services.aws.endpoint_url)
    return Services(replace(services.settings, env="aws"), counted), counted


def test_scripts_and_keys_are_put_and_nothing_else_is_touched(services: Services, patterns: list[Pattern]) -> None:
    provision_patterns(services, patterns)
    own, bucket = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/own"}, services.settings.raw_bucket
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": own}]}
    services.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    services.s3.delete_object(Bucket=bucket, Key="jobs/shop/read_table.py")
    server = find_server(services.aws.client("transfer"), patterns[0].declared(services))  # type: ignore[attr-defined]
    kept = f"aws/transfer/{server}/acme"
    services.secrets.delete_secret(SecretId=kept, ForceDeleteWithoutRecovery=True)
    there, counted = deployed(services)
    assert provision_patterns(there, patterns) == []
    assert {name for name in counted.names if not name.startswith(READS)} == {"PutObject", "CreateSecret"}
    assert services.s3.get_object(Bucket=bucket, Key="jobs/shop/read_table.py")["Body"].read()
    assert json.loads(services.secrets.get_secret_value(SecretId=kept)["SecretString"])["PGPPrivateKey"]
    found = services.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert found[0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == "alias/own"


def test_a_server_that_was_not_deployed_is_named(services: Services, patterns: list[Pattern]) -> None:
    services.s3.create_bucket(Bucket=services.settings.raw_bucket)
    there, _ = deployed(services)
    with pytest.raises(PermanentFailure, match=r"there is no SFTP server deployed-\w+: deploy what source uploads"):
        provision_patterns(there, patterns)
