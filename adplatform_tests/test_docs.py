"""What the documents say of the code is there."""

import re
from pathlib import Path

import pytest

from adplatform.platform.alert import EVENTS
from adplatform.platform.metrics import METRICS

ROOT = Path(__file__).parents[1]
FOLDERS = (
    "adplatform amazon benchmarks changes cli components consumers contracts defs deploy docs drafting engines extract "
    "files flow jobs lake ledger local marketing platform privacy pull resources sftp transform"
)
PLACES = re.compile(rf"`((?:{'|'.join(FOLDERS.split())})/[\w/.]*)`")
USERS = {
    "adplatform/defs/alerts.yaml",
    "adplatform/defs/partners/acme/defs.yaml",
    "adplatform/defs/clouds/gcs/defs.yaml",
    "adplatform/defs/databases/webshop/defs.yaml",
    "adplatform/defs/databases/webshop_live/defs.yaml",
    "adplatform/defs/servers/carrier/defs.yaml",
}
"""What a reader is to write."""


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/activations.md",
        "docs/alerts.md",
        "docs/architecture.md",
        "docs/consumers.md",
        "docs/datasync-agent.md",
        "docs/scale.md",
        "docs/sftp-server.md",
        "deploy/README.md",
    ],
)
def test_every_file_and_folder_that_a_document_names_exists(document: str) -> None:
    named = set(PLACES.findall((ROOT / document).read_text(encoding="utf-8")))
    missing = {place for place in named if not (ROOT / place).exists() and not (ROOT / "adplatform" / place).exists()}
    assert missing - USERS == set()


def test_the_readme_lists_every_metric_as_it_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Watch it") : text.index("## How it maps to AWS")]
    listed = [line for line in section.splitlines() if line.startswith("| `")]
    assert listed == [f"| `{m.name}` | {m.unit} | {', '.join(m.dimensions)} | {m.meaning} |" for m in METRICS]


def test_the_events_of_messages_are_listed_with_their_severities() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE)
    assert listed == [(event, str(severity)) for event, severity in EVENTS.items()]
