"""What fetching over SFTP costs against OpenSSH's own ``sftp`` and against asyncssh alone, which ours is made of, all
from a real sshd on this machine: one large file, and 500 of 20 kB. ``python -m benchmarks.sftp [MIB] [TURNS]``; needs
openssh-server.

Each contender runs in a process of its own, timed from its start to its end, in turns; every byte is held against what
the server has. Ours computes a SHA-256, and looks at each file before and after; the
others do none of it. ``working`` is ours without the start of Python and its imports, but with connecting, listing and
importing asyncssh. What else the machine does changes the ratio from run to run.
"""

import asyncio
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
from typing import TYPE_CHECKING

from adplatform.sftp.connection import Credentials, Host, connected
from adplatform.sftp.fetching import Fetched, fetch, fetch_all
from adplatform.sftp.listing import RemoteFile, listed

if TYPE_CHECKING:
    from adplatform_tests.support.sftp_host import SftpHost

FILES, SIZE = 500, 20_000
BAR_RATIO, BAR_TIMES = 0.5, 2.0


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
        assert all(isinstance(done, Fetched) for done in fetch_all(host, credentials, pairs))
    print(json.dumps({"working": time.monotonic() - started, "mb": peak_mb(), "grown": peak_mb() - before}))


def peer(described: str, folder: str, target: str) -> None:
    """As :func:`ours`, by asyncssh's own ``get``, 16 files at once."""
    import asyncssh  # noqa: PLC0415 - ours imports it late, too

    server = json.loads(described)
    before, started = peak_mb(), time.monotonic()

    async def run() -> None:
        together = asyncio.Semaphore(16)
        keys = [asyncssh.import_private_key(server["private_key"])]
        how = {"username": server["user"], "client_keys": keys, "known_hosts": None, "config": None}
        async with (
            asyncssh.connect(server["host"], server["port"], **how) as link,
            link.start_sftp_client() as sftp,
        ):

            async def one(name: str) -> None:
                async with together:
                    await sftp.get(f"{folder}/{name}", f"{target}/{name}")

            names = [entry.filename for entry in await sftp.readdir(folder)]
            await asyncio.gather(*(one(name) for name in names if name not in (".", "..")))

    asyncio.run(run())
    print(json.dumps({"working": time.monotonic() - started, "mb": peak_mb(), "grown": peak_mb() - before}))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def turn_of(contender: str, server: "SftpHost", folder: Path, target: Path) -> dict[str, float]:
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
        [sys.executable, "-m", "benchmarks.sftp", contender, *arguments], check=True, capture_output=True, text=True
    )
    return {"seconds": time.monotonic() - started, **json.loads(done.stdout)}


def turn_of_openssh(server: "SftpHost", folder: Path, target: Path) -> dict[str, float]:
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
    # Not what the contenders import.
    from adplatform_tests.support.sftp_host import running_sftp_host  # noqa: PLC0415

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
            truth, ratios, working, seconds, times = digests(folder), [], [], [], []
            for _ in range(turns):
                took = {}
                for contender in ("sftp", "ours", "peer"):
                    target = Path(scratch) / contender
                    target.mkdir()
                    if contender == "sftp":
                        took[contender] = turn_of_openssh(server, folder, target)
                    else:
                        took[contender] = turn_of(contender, server, folder, target)
                    if digests(target) != truth:
                        raise SystemExit(f"{contender} brought something else")
                    shutil.rmtree(target)
                ratios.append(took["sftp"]["seconds"] / took["ours"]["seconds"])
                working.append(took["sftp"]["seconds"] / took["ours"]["working"])
                seconds.append(took["ours"]["seconds"])
                times.append(took["ours"]["seconds"] / took["peer"]["seconds"])
                print(name, took, f"{ratios[-1]:.2f} of the speed of sftp", flush=True)
            print(
                f"{name}: median {median(ratios):.2f} of the speed of sftp ({min(ratios):.2f} to {max(ratios):.2f}), "
                f"working {median(working):.2f}; {median(seconds):.2f} s, {median(times):.2f} times asyncssh's own"
            )
    print(f"bars: large at least {BAR_RATIO} of the speed of sftp, small at most {BAR_TIMES} times asyncssh's own")


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["peer"]):
        {"ours": ours, "peer": peer}[sys.argv[1]](*sys.argv[2:5])
    else:
        main(*(int(argument) for argument in [*sys.argv[1:], *("256", "5")[len(sys.argv) - 1 :]]))
