"""What fetching over SFTP costs against OpenSSH's own ``sftp``, both from a real sshd on this machine: one large file,
and 500 of 20 kB. ``python -m benchmarks.sftp [MIB] [TURNS]``; needs openssh-server.

Each contender runs in a process of its own, timed from its start to its end, in turns; every byte is held against what
the server has. Ours computes a SHA-256, makes what came last on the disk, and looks at each file before and after;
``sftp`` does none of it. ``working`` is ours without the start of Python and its imports, but with connecting, listing
and importing paramiko. What else the machine does changes the ratio from run to run.
"""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from adplatform.sftp.connection import Credentials, Host, connected
from adplatform.sftp.fetching import Fetched, fetch, fetch_all
from adplatform.sftp.listing import RemoteFile, listed
from adplatform_tests.support.sftp_host import SftpHost, running_sftp_host

FILES, SIZE, CONNECTIONS = 500, 20_000, 4
BAR_RATIO, BAR_SECONDS = 0.5, 3.0


def ours(described: str, folder: str, target: str) -> None:
    """Fetches all files of the folder in this process; its figures go to stdout."""
    server = json.loads(described)
    host = Host(server["host"], tuple(server["host_keys"]), server["port"])
    credentials = [Credentials(server["user"], server["private_key"])]
    before, started = peak_mb(), time.monotonic()
    with connected(host, credentials) as sftp:
        files = [entry for entry in listed(sftp, folder) if isinstance(entry, RemoteFile)]
        pairs = [(file, Path(target) / Path(file.path).name) for file in files]
        if len(pairs) == 1:
            fetch(sftp, *pairs[0])
    if len(pairs) > 1:
        assert all(isinstance(done, Fetched) for done in fetch_all(host, credentials, pairs, CONNECTIONS))
    print(json.dumps({"working": time.monotonic() - started, "mb": peak_mb(), "grown": peak_mb() - before}))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def turn_of_ours(server: SftpHost, folder: Path, target: Path) -> dict[str, float]:
    described = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "private_key": server.private_key,
        "host_keys": server.host_keys,
    }
    arguments = [json.dumps(described), str(folder), str(target)]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sftp", "ours", *arguments], check=True, capture_output=True, text=True
    )
    return {"seconds": time.monotonic() - started, **json.loads(done.stdout)}


def turn_of_openssh(server: SftpHost, folder: Path, target: Path) -> dict[str, float]:
    key = target.with_name("user_key")
    key.touch(mode=0o600)
    key.write_text(server.private_key)
    options = ["-q", "-i", str(key), "-P", str(server.port)]
    options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    started = time.monotonic()
    subprocess.run(
        ["sftp", *options, f"{server.user}@{server.host}:{folder}/*", str(target)], check=True, capture_output=True
    )
    return {"seconds": time.monotonic() - started}


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.iterdir():
        with path.open("rb") as opened:
            found[path.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def main(mib: int, turns: int) -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        running_sftp_host(Path(home)) as server,
        tempfile.TemporaryDirectory() as scratch,
    ):
        large, small = server.folder / "large", server.folder / "small"
        large.mkdir()
        small.mkdir()
        with (large / "file").open("wb") as out:
            for _ in range(mib):
                out.write(os.urandom(1 << 20))
        for number in range(FILES):
            (small / f"{number:04}").write_bytes(os.urandom(SIZE))
        for name, folder in (("large", large), ("small", small)):
            truth, ratios, working, seconds = digests(folder), [], [], []
            for _ in range(turns):
                took = {}
                for contender, run in (("sftp", turn_of_openssh), ("ours", turn_of_ours)):
                    target = Path(scratch) / contender
                    target.mkdir()
                    took[contender] = run(server, folder, target)
                    if digests(target) != truth:
                        raise SystemExit(f"{contender} brought something else")
                    shutil.rmtree(target)
                ratios.append(took["sftp"]["seconds"] / took["ours"]["seconds"])
                working.append(took["sftp"]["seconds"] / took["ours"]["working"])
                seconds.append(took["ours"]["seconds"])
                print(name, took, f"{ratios[-1]:.2f} of the speed of sftp", flush=True)
            print(
                f"{name}: median {median(ratios):.2f} of the speed of sftp ({min(ratios):.2f} to {max(ratios):.2f}), "
                f"working {median(working):.2f}; {median(seconds):.2f} s"
            )
    print(f"bars: large at least {BAR_RATIO}, small at most {BAR_SECONDS} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours(*sys.argv[2:5])
    else:
        main(*(int(argument) for argument in [*sys.argv[1:], *("256", "5")[len(sys.argv) - 1 :]]))
