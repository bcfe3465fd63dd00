"""How a run of a managed engine is named on a terminal, whose id may be an ARN."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from adplatform.cli.engine_runs import checked, last_part, one_going
from adplatform.engines.engine import Finding
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.engine_run import EngineRun
from adplatform_tests.engines.fake_engine import FakeEngine

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

TASK = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution"
RUNS = [
    EngineRun("cloud", "task", f"{TASK}/exec-0aaaaaaaaaaaaaaaa"),
    EngineRun("cloud", "task", f"{TASK}/exec-0aabbbbbbbbbbbbbb"),
    EngineRun("cloud", "task", f"{TASK}/exec-0ccccccccccccccccc", final=True),
]


@pytest.mark.parametrize("begins", ["exec-0aaa", RUNS[0].run_id])
def test_a_run_is_found_by_the_beginning_of_its_id_or_of_the_end_of_its_arn(begins: str) -> None:
    assert one_going(RUNS, "cloud/task", begins) == RUNS[0]


@pytest.mark.parametrize(("begins", "number"), [("exec-0aa", 2), ("arn:", 2), ("exec-0c", 0), ("exec-1", 0)])
def test_without_exactly_one_those_that_go_on_are_listed(begins: str, number: int) -> None:
    with pytest.raises(PermanentFailure) as raised:
        one_going(RUNS, "cloud/task", begins)
    assert f"cloud/task: {number} runs" in str(raised.value)
    assert "going on: exec-0aaaaaaaaaaaaaaaa, exec-0aabbbbbbbbbbbbbb" in str(raised.value)


def test_an_id_that_is_no_arn_is_shown_whole() -> None:
    assert last_part("0a1b-uuid") == "0a1b-uuid"


class Told(FakeEngine):
    """An engine whose check cannot be made."""

    def __init__(self, error: Exception) -> None:
        super().__init__(lambda: NOW, lambda *_: None, lambda _: True, "landing/crm/")
        self.error = error

    def check(self) -> Sequence[Finding]:
        raise self.error


def test_a_check_reports_every_target_and_ends_with_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    def engine(*findings: Finding) -> FakeEngine:
        return FakeEngine(lambda: NOW, lambda *_: None, lambda _: True, "landing/crm/", findings=list(findings))

    found = checked(
        [
            ("crm/contacts", Told(PermanentFailure("there is no flow crm-contacts in us-east-1: make it"))),
            ("crm/leads", engine(Finding("the set of fields is Id", fatal=False))),
            ("crm/deals", Told(TransientFailure("flow crm-deals: AWS does not answer"))),
            ("crm/cases", engine(Finding("flow crm-cases is Suspended"), Finding("it writes elsewhere"))),
        ]
    )
    said = capsys.readouterr()
    assert not found
    assert said.out.splitlines() == ["crm/leads: the set of fields is Id"]
    assert said.err.splitlines() == [
        "crm/contacts: there is no flow crm-contacts in us-east-1: make it",
        "crm/deals: flow crm-deals: AWS does not answer",
        "crm/cases: flow crm-cases is Suspended",
        "crm/cases: it writes elsewhere",
        "3 of 4 flows, tasks and crawlers are not fit to run",
    ]
    assert checked([("crm/leads", engine())])
    assert "every flow, task and crawler is fit to run (1)" in capsys.readouterr().out
