"""What the document about SFTP servers declares is valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_server import SftpServer, Workflow

DOCUMENT = (Path(__file__).parents[2] / "docs/sftp-server.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_source_that_it_shows_is_one() -> None:
    declared = SftpSource.model_validate(yaml.safe_load(BLOCKS[0])["attributes"])
    assert isinstance(declared.from_, SftpServer)


def test_the_workflow_that_it_shows_is_one() -> None:
    workflow: Any = yaml.safe_load(BLOCKS[1])["workflow"]
    assert Workflow.model_validate(workflow).decrypt


@pytest.mark.parametrize("name", ["function", "partial_function", "exception_function", "role"])
def test_the_names_that_it_shows_are_the_defaults(name: str) -> None:
    assert f"`{Workflow.model_fields[name].default}`" in DOCUMENT
