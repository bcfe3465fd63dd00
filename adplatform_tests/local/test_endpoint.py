"""One embedded AWS per data directory: who starts it, who shares it, when it ends and what survives."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adplatform.local.endpoint import LOCK_NAME, adopt, ensure, is_locked, own
from adplatform.platform.aws import Aws, is_loopback, local_aws

OWNER = """
    import os, sys, time
    from pathlib import Path
    from adplatform.local.endpoint import ensure
    endpoint = ensure(Path(sys.argv[1]))
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(120)
        os._exit(0)
    print(endpoint.url, endpoint.owned, flush=True)
    sys.stdin.read()
    os._exit(0)
"""
COMMITTER = """
    import json, sys, uuid
    from botocore.exceptions import ClientError
    from adplatform.platform.aws import Aws, local_aws
    url, lake, writer = sys.argv[1:]
    aws = local_aws(url)
    s3, glue = aws.client("s3"), aws.client("glue")
    for number in range(6):
        while True:
            table = glue.get_table(DatabaseName=lake, Name="orders")["Table"]
            location = table["Parameters"]["metadata_location"]
            snapshots = json.loads(s3.get_object(Bucket=lake, Key=location)["Body"].read())
            written = f"metadata/{uuid.uuid4()}.json"
            body = json.dumps([*snapshots, f"{writer}.{number}"]).encode()
            s3.put_object(Bucket=lake, Key=written, Body=body, IfNoneMatch="*")
            new = {"Name": "orders", "Parameters": {"metadata_location": written, "previous": location}}
            try:
                glue.update_table(
                    DatabaseName=lake, TableInput=new, VersionId=table["VersionId"], SkipArchive=True
                )
                break
            except ClientError as e:
                assert e.response["Error"]["Code"] == "ConcurrentModificationException", e
"""


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to be killed at the end, with whatever they forked."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        process.wait()


def said(process: subprocess.Popen[str]) -> tuple[str, bool]:
    assert process.stdout is not None
    url, owned = process.stdout.readline().split()
    return url, owned == "True"


def eventually(check: Any, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_all_processes_that_ask_at_once_share_one_child(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    started.extend(run_python(OWNER, str(tmp_path)) for _ in range(3))
    answers = [said(process) for process in started]
    assert len({url for url, _ in answers}) == 1
    assert sorted(owned for _, owned in answers) == [False, False, True]
    reused = ensure(tmp_path)
    assert (reused.url, reused.owned) == (answers[0][0], False)
    reused.stop()
    assert is_locked(tmp_path / LOCK_NAME), "only the owner stops it"


def test_whoever_needs_a_child_of_its_own_waits_until_that_of_another_has_ended(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    owner = run_python(OWNER, str(tmp_path))
    started.append(owner)
    url, _ = said(owner)
    happened: list[str] = []

    def sleep(seconds: float) -> None:
        if happened == ["waits"]:
            happened.append("killed")
            owner.kill()
        time.sleep(seconds)

    with own(tmp_path, lambda: happened.append("waits"), sleep=sleep) as endpoint:
        assert (endpoint.owned, happened) == (True, ["waits", "killed"])
        assert endpoint.url != url
        again = own(tmp_path, lambda: happened.append("waits again"))
        assert again is endpoint
    assert "waits again" not in happened


@pytest.mark.parametrize("extra", [[], ["fork"]])
def test_child_ends_with_its_killed_owner(
    tmp_path: Path, started: list[subprocess.Popen[str]], extra: list[str]
) -> None:
    owner = run_python(OWNER, str(tmp_path), *extra)
    started.append(owner)
    url, _ = said(owner)
    adopt(tmp_path, url)
    local_aws(url).client("sqs").create_queue(QueueName="kept")
    owner.kill()
    assert eventually(lambda: not is_locked(tmp_path / LOCK_NAME))
    with ensure(tmp_path) as endpoint:
        assert local_aws(endpoint.url).client("sqs").list_queues()["QueueUrls"][0].endswith("/kept")


def test_commits_of_several_processes_are_all_kept(aws: Aws, started: list[subprocess.Popen[str]]) -> None:
    """A commit as Iceberg does it: new metadata in S3, then a conditional update of the table that points to it."""
    lake = f"lake{uuid.uuid4().hex[:12]}"
    s3, glue = aws.client("s3"), aws.client("glue")
    s3.create_bucket(Bucket=lake)
    s3.put_object(Bucket=lake, Key="metadata/0.json", Body=b"[]")
    glue.create_database(DatabaseInput={"Name": lake})
    table = {"Name": "orders", "Parameters": {"metadata_location": "metadata/0.json"}}
    glue.create_table(DatabaseName=lake, TableInput=table)
    started.extend(run_python(COMMITTER, str(aws.endpoint_url), lake, f"writer{n}") for n in range(3))
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    location = glue.get_table(DatabaseName=lake, Name="orders")["Table"]["Parameters"]["metadata_location"]
    snapshots = json.loads(s3.get_object(Bucket=lake, Key=location)["Body"].read())
    assert sorted(snapshots) == sorted(f"writer{n}.{number}" for n in range(3) for number in range(6))


def test_stale_record_and_settings_of_the_real_aws_do_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "endpoint.json").write_text('{"url": "http://127.0.0.1:1", "pid": 1}', encoding="utf-8")
    foreign = {"AWS_PROFILE": "absent", "AWS_ENDPOINT_URL": "https://example.com", "MOTO_ACCOUNT_ID": "1"}
    with ensure(tmp_path, environ={**os.environ, **foreign}) as endpoint:
        assert endpoint.owned
        assert local_aws(endpoint.url).client("sts").get_caller_identity()["Account"] == "123456789012"
        assert ensure(tmp_path) is endpoint


def test_listening_beyond_this_machine_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "adplatform.local.aws", str(tmp_path), "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "refuses to listen on '0.0.0.0'" in done.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("127.0.0.1.example.com", False),
        ("example.com", False),
        ("127.1", False),
        ("", False),
    ],
)
def test_loopback_is_only_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_finding_an_endpoint_loads_no_server_code() -> None:
    code = "import sys, adplatform.local.endpoint; print({'moto', 'boto3', 'flask', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_lock_of_this_process_is_seen_by_itself(tmp_path: Path) -> None:
    path = tmp_path / LOCK_NAME
    assert not is_locked(path)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_locked(path)
    assert not is_locked(path)
