"""Fixtures of the tests of Amazon's clients."""

import uuid

import pytest

from adplatform.ledger.table import table_definition
from adplatform.platform.aws import local_aws
from adplatform_tests.amazon.shared import Shared


@pytest.fixture(scope="module")
def shared(aws_endpoint: str) -> Shared:
    aws, table = local_aws(aws_endpoint), f"ledger-{uuid.uuid4().hex}"
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(**table_definition(table))
    return Shared(aws.client("secretsmanager"), dynamodb, table)
