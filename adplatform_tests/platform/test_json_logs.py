"""Lines of the log in production: JSON, each with what it is about, and without what an error may quote."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.log_manager import DagsterLogHandler

from adplatform.platform.at_once import at_once
from adplatform.platform.json_logs import LOGGER, JsonLines, about, log_as_json

log = logging.getLogger("adplatform.flow.something")


@pytest.fixture
def as_json() -> Iterator[None]:
    """Our loggers as they are in AWS."""
    logger = logging.getLogger(LOGGER)
    before = (list(logger.handlers), logger.level, logger.propagate)
    log_as_json(DagsterLogHandler)
    log_as_json(DagsterLogHandler)
    yield
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_says_what_it_is_about(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    with about(source="acme", run_id="r1"):
        with about(feed="acme/orders", day="2026-03-14", version=2):
            log.info("read %s rows", 3)
        log.warning("within")
    log.error("outside")
    first, second, third = lines(capsys.readouterr().out)
    assert first.pop("time")
    assert first == {
        "level": "INFO",
        "logger": "adplatform.flow.something",
        "message": "read 3 rows",
        "source": "acme",
        "run_id": "r1",
        "feed": "acme/orders",
        "day": "2026-03-14",
        "version": "2",
    }
    assert (second["run_id"], "feed" in second) == ("r1", False)
    assert "source" not in third


def test_threads_that_share_the_work_say_the_same(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    with about(run_id="r1"):
        at_once(lambda n: log.info("%s", n), range(3))
    assert sorted((line["message"], line["run_id"]) for line in lines(capsys.readouterr().out)) == [
        ("0", "r1"),
        ("1", "r1"),
        ("2", "r1"),
    ]


def test_the_text_of_an_error_is_left_out(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    quoted = "ann" + "@example.com"
    try:
        raise ValueError(f"{quoted} is no number")
    except ValueError:
        log.exception("cannot read")
    [line] = lines(capsys.readouterr().out)
    assert (line["message"], line["error"]) == ("cannot read", "ValueError")
    assert "test_json_logs.py" in line["traceback"]
    assert quoted not in json.dumps(line)


def test_a_line_is_about_nothing_else() -> None:
    with pytest.raises(ValueError, match="not email"), about(email="ann@example.com"):
        pass


def test_a_run_writes_each_line_once_and_with_its_run(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        context.log.info("of the step")
        with about(source="acme", day="2026-03-14"):
            log.info("of ours")

    @dg.job
    def whole() -> None:
        work()

    deployed = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "dagster.yaml").read_text(encoding="utf-8"))
    with dg.instance_for_test(overrides={"python_logs": deployed["python_logs"]}) as instance:
        run = whole.execute_in_process(instance=instance)
    said = lines(capsys.readouterr().out)
    assert {line["run_id"] for line in said} == {run.run_id}
    [step] = [line for line in said if line["message"] == "of the step"]
    [ours] = [line for line in said if line["message"] == "of ours"]
    assert (step["step_key"], ours["source"], ours["day"]) == ("work", "acme", "2026-03-14")


def test_a_record_of_dagster_has_its_run_and_not_its_prefix() -> None:
    record = logging.makeLogRecord({"msg": "job - r1 - step - done", "name": "dagster"})
    record.dagster_meta = {"run_id": "r1", "step_key": "step", "orig_message": "done"}
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["run_id"], line["step_key"]) == ("done", "r1", "step")
