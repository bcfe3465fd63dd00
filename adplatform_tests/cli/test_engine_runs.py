"""How a run of a managed engine is named on a terminal, whose id may be an ARN."""

import pytest

from adplatform.cli.engine_runs import last_part, one_going
from adplatform.failures import PermanentFailure
from adplatform.ledger.engine_run import EngineRun

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
