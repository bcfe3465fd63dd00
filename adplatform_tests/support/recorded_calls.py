"""Every run of tests notes what the platform's roles call of AWS, and fails where that is not in the committed list:
what is called, the roles of a deployment have to allow."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from adplatform.platform.calls import RECORD
from deploy.least_privilege.shapes import RECORDED, Call, read_lines, read_recorded, write_recorded

_UNKNOWN = pytest.StashKey[list[Call]]()
_FOLDER = pytest.StashKey[Path]()
_OPTION = "--record-calls"


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION,
        choices=("add", "anew"),
        help=f"write the calls of AWS that the tests make into deploy/least_privilege/{RECORDED.name}: "
        "`add` what is new, or `anew` what they call and nothing else",
    )


def begin(config: pytest.Config) -> None:
    """Has the processes of this run note their calls; workers of xdist are told where by the environment."""
    if hasattr(config, "workerinput"):
        return
    config.stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="calls-"))
    os.environ[RECORD] = str(config.stash[_FOLDER] / "calls")


def end(session: pytest.Session) -> None:
    """Compares what was noted with the list, or writes the list."""
    config = session.config
    if _FOLDER not in config.stash:
        return
    noted = noted_calls(config.stash[_FOLDER] / "calls")
    how = config.getoption(_OPTION)
    if how:
        write_recorded(noted if how == "anew" else noted | read_recorded())
    elif unknown := sorted(noted - read_recorded()):
        config.stash[_UNKNOWN] = unknown
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


def noted_calls(file: Path) -> set[Call]:
    if not file.exists():
        return set()
    with file.open(encoding="utf-8") as lines:
        return read_lines(lines)


def explain(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    unknown = config.stash.get(_UNKNOWN, [])
    if unknown:
        terminal.section("calls of AWS that are new", red=True)
        for each in unknown:
            terminal.line(str(each))
        terminal.line(
            f"These are not in deploy/least_privilege/{RECORDED.name}. Where the platform is to make them, run the "
            f"tests again with {_OPTION} add, and then `make deploy-check`, which says what the roles lack."
        )
