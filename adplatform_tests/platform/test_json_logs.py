"""Lines of the log in production: JSON, each with what it is about, and without what an error may quote."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.log_manager import DagsterLogHandler

from adplatform.platform.at_once import at_once
from adplatform.platform.json_logs import LOGGER, JsonLines, about, about_this_process, log_as_json
from adplatform_tests.support.measured import values_of

log = logging.getLogger("adplatform.flow.something")


@pytest.fixture
def as_json() -> Iterator[None]:
    """Our loggers as they are in AWS."""
    logger, root, hook = logging.getLogger(LOGGER), logging.getLogger(), threading.excepthook
    before = (list(logger.handlers), logger.level, logger.propagate)
    handlers = list(root.handlers)
    log_as_json(DagsterLogHandler)
    log_as_json(DagsterLogHandler)
    yield
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)
    root.handlers[:], threading.excepthook = handlers, hook


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


def test_threads_of_somebody_else_say_what_the_process_works_on(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def in_a_thread(message: str) -> None:
        thread = threading.Thread(target=log.info, args=(message,))
        thread.start()
        thread.join()

    with about_this_process(run_id="r1", source="acme"), about(feed="acme/orders"):
        in_a_thread("of a library")
    in_a_thread("of nobody")
    first, second = lines(capsys.readouterr().out)
    assert (first["run_id"], first["source"], "feed" in first) == ("r1", "acme", False)
    assert "run_id" not in second


QUOTED = "ann.poisoned" + "@example.com"


@pytest.mark.parametrize(
    ("template", "args", "said"),
    [
        ("Retrying %s after %r", (f"/raw/landing/{QUOTED}.csv", ValueError(QUOTED)), "Retrying %s after %r"),
        (f"Failed to export to https://x/{QUOTED} twice", (), "Failed to export to *** twice"),
        (f"cannot read '{QUOTED} of Ann' of 4155550123", (), "cannot read *** of ***"),
        ("Connection pool is full", (), "Connection pool is full"),
    ],
)
def test_what_libraries_warn_of_is_about_the_run_and_without_values(
    as_json: None, capsys: pytest.CaptureFixture[str], template: str, args: tuple[Any, ...], said: str
) -> None:
    library = logging.getLogger("urllib3.connectionpool")
    with about(run_id="r1", version=2):
        library.info(template, *args)
        library.warning(template, *args)
    [line] = lines(capsys.readouterr().out)
    assert (line["logger"], line["run_id"], line["version"], line["message"]) == (library.name, "r1", "2", said)
    assert QUOTED not in json.dumps(line)


def test_what_ends_a_thread_is_said_without_its_text(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError(QUOTED)

    thread = threading.Thread(target=fail, name="reader")
    with about_this_process(run_id="r1"):
        thread.start()
        thread.join()
    output = capsys.readouterr()
    [line] = lines(output.out)
    assert (line["message"], line["error"], line["run_id"]) == ("the thread reader failed", "ValueError", "r1")
    assert QUOTED not in output.out + output.err


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


RUN = """
import logging
import dagster as dg
from adplatform.platform.json_logs import about
from adplatform.platform.metrics import ROWS_IN, Metrics

@dg.op
def work(context):
    context.log.info("of the step")
    with about(source="acme", day="2026-03-14"):
        logging.getLogger("adplatform.flow.something").info("of ours")
    Metrics(True).put({ROWS_IN: 3}, {"source": "acme", "feed": "orders"})

@dg.job(executor_def=dg.in_process_executor)
def whole():
    work()
"""


def test_what_a_run_writes_reaches_its_task_though_dagster_captures_it(tmp_path: Path) -> None:
    """A run as ECS starts one, with the logs of the deployed instance: each line once, and metrics as they are."""
    project = Path(__file__).parents[2]
    deployed = yaml.safe_load((project / "deploy" / "dagster.yaml").read_text(encoding="utf-8"))
    instance = {"python_logs": deployed["python_logs"], "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    command = [sys.executable, "-m", "dagster", "job", "execute", "-f", str(tmp_path / "run.py"), "-j", "whole"]
    # In the project's own folder Dagster reads its .env, which is for laptops.
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(project)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    [value] = values_of(done.stdout)
    assert (value.name, value.value) == ("rows_in", 3)
    said = [line for line in lines(done.stdout) if "message" in line]
    [step] = [line for line in said if line["message"] == "of the step"]
    [ours] = [line for line in said if line["message"] == "of ours"]
    assert (step["step_key"], ours["source"], ours["day"]) == ("work", "acme", "2026-03-14")
    assert len({line["run_id"] for line in said}) == 1
    [captured] = tmp_path.glob("storage/*/compute_logs/*.out")
    assert values_of(captured.read_text(encoding="utf-8")) == [value]


def test_a_record_of_dagster_has_its_run_and_not_its_prefix() -> None:
    record = logging.makeLogRecord({"msg": "job - r1 - step - done", "name": "dagster"})
    record.dagster_meta = {"run_id": "r1", "step_key": "step", "orig_message": "done"}
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["run_id"], line["step_key"]) == ("done", "r1", "step")
