"""The access key of a data directory: who can read it, and how long it stays."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from adplatform.failures import PermanentFailure
from adplatform.local.access_key import CREDENTIALS_NAME, access_key, private_folder, read_access_key
from adplatform.local.dagster_home import prepare_dagster_home
from adplatform.platform.access_keys import key_for, remember_key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_drawn_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    data = private_folder(tmp_path / "home" / "aws")
    assert read_access_key(data) is None
    key = access_key(data)
    assert (mode(data), mode(data.parent), mode(data / CREDENTIALS_NAME)) == (0o700, 0o700, 0o600)
    assert access_key(data) == read_access_key(data) == key
    assert access_key(private_folder(tmp_path / "other")) != key
    assert key.secret not in repr(key)
    assert len(key.secret) >= 40


def test_what_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    data = private_folder(tmp_path / "aws")
    key = access_key(data)
    data.chmod(0o755)
    (data / CREDENTIALS_NAME).chmod(0o644)
    assert access_key(private_folder(data)) == key
    assert (mode(data), mode(data / CREDENTIALS_NAME)) == (0o700, 0o600)


def test_a_directory_above_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare_dagster_home(tmp_path / "home")
    assert (mode(tmp_path), mode(tmp_path / "home"), mode(tmp_path / "home" / "dagster")) == (0o755, 0o700, 0o700)


@pytest.mark.parametrize(
    "text", ["", "no section", "[default]\naws_access_key_id = a\nS3CR3T-of-a-line", "[default]\nx = 1", "é"]
)
def test_a_damaged_file_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / CREDENTIALS_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(PermanentFailure, match=rf"{tmp_path / CREDENTIALS_NAME} is damaged: remove it") as raised:
        access_key(tmp_path)
    assert "S3CR3T" not in str(raised.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_cannot_read_the_key(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    data = private_folder(tmp_path / "aws")
    access_key(data)
    data.chmod(0o755)  # the file itself is closed, too
    command = ["cat", str(data / CREDENTIALS_NAME)]
    refused = subprocess.run(command, capture_output=True, check=False, user=65534, group=65534)
    assert (refused.returncode, refused.stdout) == (1, b"")


def test_a_process_signs_with_the_key_it_has_been_given_else_with_that_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = access_key(tmp_path)
    remember_key("http://127.0.0.1:1/", key)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert key_for("http://127.0.0.1:1") == key
    assert key_for("http://127.0.0.1:2").id == "theirs"
