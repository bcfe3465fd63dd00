"""Data contracts on a terminal."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from adplatform.cli import contract
from adplatform.cli.app import app
from adplatform.flow.services import Services
from adplatform.patterns import faultless_defs

Run = Callable[..., Result]
ACME = {
    "source": "acme",
    "owners": ["team:crm"],
    "feeds": [
        {"name": "orders", "start_date": "2026-01-01", "columns": {"order_id": {"required": True}}, "key": "order_id"},
        {"name": "visits", "start_date": "2026-01-01", "columns": {"page": "string"}},
    ],
}


@pytest.fixture
def run(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    defs = tmp_path / "defs" / "acme" / "defs.yaml"
    defs.parent.mkdir(parents=True)
    defs.write_text(yaml.safe_dump({"type": "adplatform.components.PartnerPush", "attributes": ACME}))
    monkeypatch.setattr(contract, "faultless_defs", partial(faultless_defs, tmp_path / "defs"))
    monkeypatch.setattr(contract, "connect", lambda: services)
    return lambda *arguments: CliRunner().invoke(app, ["contract", *map(str, arguments)])


def test_feeds_are_exported_and_declared_again_but_never_over_a_file_that_is_there(run: Run, tmp_path: Path) -> None:
    to, file = tmp_path / "contracts", tmp_path / "new" / "defs.yaml"
    first = run("export", "acme", "--format", "odcs", "--to", to)
    assert (first.exit_code, first.output.count(": written\n")) == (0, 2)
    alone = run("export", "acme/orders", "--to", to)
    assert alone.output == f"{to / 'orders.odcs.yaml'}: as it was\n"
    assert run("export", "acme/orders").output == (to / "orders.odcs.yaml").read_text().partition("\n")[2]
    done = run("import", to / "orders.odcs.yaml", "--to", file)
    assert done.exit_code == 0, done.output
    [declared] = faultless_defs(file.parent)
    assert declared.model.feeds == declared_orders(tmp_path)
    before = file.read_bytes()
    again = run("import", to / "orders.odcs.yaml", "--to", file)
    assert again.exit_code == 1
    assert "is there: nothing was written" in again.output
    assert file.read_bytes() == before


def declared_orders(directory: Path) -> list[object]:
    [declared] = faultless_defs(directory / "defs")
    return [feed for feed in declared.model.feeds if feed.name == "orders"]


def test_a_declaration_that_would_be_wrong_is_printed_and_not_written(run: Run, tmp_path: Path) -> None:
    file, to = tmp_path / "contract.yaml", tmp_path / "made.yaml"
    file.write_text(run("export", "acme/orders").output.replace("'2026-01-01'", "soon"))
    assert run("export", "acme/others").exit_code == 1
    printed = run("import", file)
    assert printed.exit_code == 0
    assert "# REVIEW: feeds.0.start_date: " in printed.output
    refused = run("import", file, "--to", to)
    assert refused.exit_code == 1
    assert "nothing was written" in refused.output
    assert not to.exists()
