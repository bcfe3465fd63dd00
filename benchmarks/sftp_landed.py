"""What a pass of our own SFTP client costs, from the listing to objects in the landing zone: 500 files of 20 kB, from a
real sshd into the embedded AWS in a process of its own. ``python -m benchmarks.sftp_landed [TURNS]``; needs
openssh-server.

Beside it, in turns, what one would write by hand: OpenSSH's ``sftp`` fetches all files, then eight threads of boto3 put
them; nothing of it is noted, compared or hashed. Ours is timed from the claim of the pass to its manifest; every object
is held against what the server has. Times are of the clock; CPU is that of this process.
"""

import json
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp.client import TARGET, Server, fetch_files
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import declared_source
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform_tests.support.sftp_host import SftpHost, running_sftp_host
from benchmarks.sftp import FILES, SIZE, turn_of_openssh

BAR_SECONDS = 3.0


def server_of(services: Services, host: SftpHost) -> Server:
    told: dict[str, Any] = {"kind": "client", "host": host.host, "port": host.port, "host_keys": list(host.host_keys)}
    feed = {
        "name": "files",
        "remote": f"{host.folder}/small/{{file}}",
        "start_date": "2020-01-01",
        "ready": {"stable_for": "0s"},
        "columns": {"id": "string"},
    }
    declared = SftpSource.model_validate({"source": "bench", "from": {**told, "secret": "bench"}, "feeds": [feed]})
    source = declared_source(declared, services.zones.raw_bucket)
    return Server(declared, replace(source, takes_files=False))


def turn_of_ours(services: Services, host: SftpHost, folder: Path) -> tuple[float, float]:
    extracts, id = services.ledger.extracts, uuid.uuid4().hex
    wanted = extracts.want("bench", TARGET, id)
    assert wanted is not None
    began, used = time.monotonic(), time.process_time()
    claimed = extracts.claim(wanted, "run")
    assert claimed is not None
    done = fetch_files(services, server_of(services, host), claimed, None, folder)
    took = time.monotonic() - began, time.process_time() - used
    assert (done.files, done.bytes) == (FILES, FILES * SIZE)
    body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=done.manifest_key)["Body"].read()
    for each in json.loads(body)["files"][::50]:
        got = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=each["key"], VersionId=each["version"])
        assert got["Body"].read() == (host.folder / "small" / Path(each["key"]).name).read_bytes()
    return took


def turn_by_hand(services: Services, host: SftpHost, folder: Path) -> tuple[float, float]:
    began, used = time.monotonic(), time.process_time()
    turn_of_openssh(host, host.folder / "small", folder)
    bucket = services.zones.raw_bucket

    def put(file: Path) -> None:
        services.s3.put_object(Bucket=bucket, Key=f"by-hand/{file.name}", Body=file.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, [file for file in folder.iterdir() if file.is_file()]))
    return time.monotonic() - began, time.process_time() - used


def main(turns: int = 5) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "host").mkdir()
        with ensure(home / "aws") as aws, running_sftp_host(home / "host") as host:
            unique = uuid.uuid4().hex[:8]
            settings = Settings(env="local", home=home, raw_bucket=f"raw-{unique}", clean_bucket=f"clean-{unique}")
            services = Services(settings, local_aws(aws.url))
            provision(services, [])
            login = json.dumps({"Username": host.user, "PrivateKey": host.private_key})
            services.secrets.create_secret(Name="bench", SecretString=login)
            (host.folder / "small").mkdir()
            for number in range(FILES):
                (host.folder / "small" / f"{number:04}.csv").write_bytes(uuid.uuid4().bytes * (SIZE // 16))
            contenders: dict[str, Callable[[Services, SftpHost, Path], tuple[float, float]]] = {
                "ours": turn_of_ours,
                "by hand": turn_by_hand,
            }
            took: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
            for _ in range(turns):
                for name, turn in contenders.items():
                    folder = home / "target"
                    folder.mkdir()
                    took[name].append(turn(services, host, folder))
                    shutil.rmtree(folder)
    wall = {name: median(each[0] for each in turns) for name, turns in took.items()}
    for name, each in took.items():
        print(name, "s:", [round(t, 2) for t, _ in each], "CPU-s:", [round(c, 2) for _, c in each])
    print(f"median {wall['ours']:.2f} s (bar {BAR_SECONDS}), {wall['ours'] / wall['by hand']:.2f} times by hand")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
