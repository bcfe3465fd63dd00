"""`adplatform budget`: what it shows, and what it allows."""

from typer.testing import CliRunner

from adplatform.cli.app import app
from adplatform.flow.provision import provision
from adplatform.flow.services import Services


def test_it_allows_what_it_is_told_to_and_as_much_again_where_nothing_is_said(
    services: Services, aws_endpoint: str
) -> None:
    provision(services, [])
    environment = {
        "ADPLATFORM_LEDGER_TABLE": services.settings.ledger_table,
        "AWS_ENDPOINT_URL": aws_endpoint,
        "ADPLATFORM_BUDGET": '{"day": {"dpu_hours": 3}}',
    }

    def said(*command: str) -> str:
        shown = CliRunner().invoke(app, ["budget", *command], env=environment)
        assert shown.exit_code == 0, shown.output
        return " ".join(shown.stdout.split())

    assert "0 DPU-hours 3 DPU-hours" in said("show", "clubcard")
    assert "0 DPU-hours 3 DPU-hours" in said("allow", "clubcard", "--dpu-hours", "0")
    assert "0 DPU-hours 6 DPU-hours" in said("allow", "clubcard")
