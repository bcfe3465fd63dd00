"""A server that is forked for a test is what one is that is started by itself."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from adplatform.local.endpoint import LOCK_NAME, ensure, is_locked
from adplatform.platform.aws import local_aws
from adplatform_tests.support.waiting import eventually
from adplatform_tests.support.zygote import Forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")

OWNER = """
    import sys
    from pathlib import Path
    from adplatform.local.endpoint import ensure
    from adplatform_tests.support.zygote import forked_children
    with forked_children():
        endpoint = ensure(Path(sys.argv[1]))
        print(endpoint.process.pid, flush=True)
        sys.stdin.read()
"""


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_it_is_a_child_of_whoever_asked_with_what_is_meant_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    monkeypatch.setenv("TOLD", "for it")
    with ensure(tmp_path) as endpoint:
        process = endpoint.process
        assert isinstance(process, Forked)
        assert _parent(process.pid) == os.getpid()
        assert os.getsid(process.pid) == process.pid
        assert Path(f"/proc/{process.pid}/fd/1").resolve() == tmp_path.resolve() / "endpoint.log"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
    assert process.returncode == 0


def test_its_end_is_told_by_its_status(tmp_path: Path) -> None:
    process = ensure(tmp_path).process
    assert isinstance(process, Forked)
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    assert process.poll() == -signal.SIGKILL


def test_two_draw_other_names(tmp_path: Path) -> None:
    with ensure(tmp_path / "one") as one, ensure(tmp_path / "other") as other:
        ids = {
            local_aws(each.url).client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
            for each in (one, other)
        }
    assert len(ids) == 2


def test_it_ends_with_its_owner_who_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert int(owner.stdout.readline())
        assert is_locked(tmp_path / LOCK_NAME)
        owner.kill()
    assert eventually(lambda: not is_locked(tmp_path / LOCK_NAME))
