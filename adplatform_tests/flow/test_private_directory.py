"""Work directories: a lock that the kernel releases says whose process is dead."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adplatform.failures import EnvironmentFailure
from adplatform.flow.private_directory import private_directory, remove_left

HOLD = """
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from adplatform.flow.private_directory import private_directory
with private_directory(Path(sys.argv[1]), "another-run") as work:
    (work / "secret.csv").write_text("ann@example.com")
    print(work, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_user() -> Iterator[None]:
    """Whoever runs the tests is somebody else for a moment; that takes root, and nobody else owns a file."""
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_directory_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with private_directory(tmp_path / "tmp", "run") as work:
        assert stat.S_IMODE(work.stat().st_mode) == 0o700
        (work / "deep").mkdir()
        (work / "deep" / "file").touch()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_that_of_a_live_process_stays_and_that_of_a_killed_one_is_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        secret = Path(holder.stdout.readline().strip()) / "secret.csv"
        with private_directory(tmp_path, "run"):
            assert secret.exists()
        holder.kill()
        holder.wait()
        assert secret.exists()
        with private_directory(tmp_path, "run"):
            assert not secret.parent.exists()


def test_what_was_left_without_a_lock_is_removed(tmp_path: Path) -> None:
    (tmp_path / "old_run").mkdir()
    (tmp_path / "old_run" / "secret.csv").touch()
    with private_directory(tmp_path, "run"):
        assert not (tmp_path / "old_run").exists()


def test_that_of_another_user_is_left_alone_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)  # what is above is closed to others
    tmp_path.chmod(0o777)
    with private_directory(Path("tmp"), "theirs"):
        for opened in ("tmp", "tmp.lock"):
            Path(opened).chmod(0o777)
        with another_user(), private_directory(Path("tmp"), "ours") as work:
            assert work.exists()
        [theirs] = Path("tmp").iterdir()
    assert f"{theirs} belongs to another user and is left alone" in caplog.text


def test_many_directories_of_one_run_stand_side_by_side(tmp_path: Path) -> None:
    with private_directory(tmp_path, "run") as one, private_directory(tmp_path, "run") as two:
        assert one.exists()
        assert two.exists()
        assert one != two


def test_a_place_that_cannot_be_used_hinders_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            EnvironmentFailure, match=f"work directory {tmp_path}/file/tmp cannot be used: .*ADPLATFORM_HOME"
        ),
        private_directory(tmp_path / "file" / "tmp", "run"),
    ):
        pass


def test_what_a_killed_run_has_left_is_removed_though_nobody_makes_a_directory(tmp_path: Path) -> None:
    remove_left(tmp_path / "never made")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "tmp")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        remove_left(tmp_path / "tmp")
        assert (left / "secret.csv").exists(), "its process lives"
        process.kill()
        process.wait()
    remove_left(tmp_path / "tmp")
    assert not left.exists()
