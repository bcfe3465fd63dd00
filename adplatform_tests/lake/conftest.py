from collections.abc import Iterator
from pathlib import Path

import pytest

from adplatform.lake.lake import Lake
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import make_lake
from adplatform_tests.support.platforms import drop_table


@pytest.fixture
def lake(aws: Aws) -> Iterator[Lake]:
    made = make_lake(aws)
    yield made
    drop_table(aws, made.ledger.table)


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path
