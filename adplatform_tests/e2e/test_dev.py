"""`adplatform dev` ends with one signal, all its processes with it, also where SIGINT was ignored from the start."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adplatform_tests.support.hurt_platform import STARTS_WITHIN, STOP_WITHIN, Trial

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc"),
]
IGNORING = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
MAKEFILE = "dev:\n\t{python} -W ignore -m adplatform.cli dev --port {port}\n"


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    made = Trial(tmp_path, seed=0)
    yield made
    made.end_all()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_one_signal_ends_dev_and_every_process_of_it(trial: Trial, number: signal.Signals) -> None:
    trial.start_dev(IGNORING)
    assert trial.dev is not None
    assert {"dev", "dagster", "webserver", "daemon", "code server", "aws"} <= set(trial.living().values())
    trial.dev.send_signal(number)
    trial.await_(lambda: not trial.living(), STOP_WITHIN, "processes go on")
    assert trial.dev.wait() == (-number if number == signal.SIGKILL else 0)


def test_a_terminated_make_takes_dev_along(trial: Trial) -> None:
    text = MAKEFILE.format(python=sys.executable, port=trial.port)
    (trial.project / "Makefile").write_text(text, encoding="utf-8")
    make = trial.run(["nohup", *IGNORING, "make", "dev"], "make")
    trial.await_(trial.ui_answers, STARTS_WITHIN, "the UI does not answer")
    make.terminate()
    trial.await_(lambda: not trial.living(), STOP_WITHIN, "processes go on")
    make.wait()
