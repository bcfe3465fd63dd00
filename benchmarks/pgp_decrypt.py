"""Verified decryption beside the plain ``gpg --decrypt`` of a shell script: throughput, peak memory, ratio.

    python -m benchmarks.pgp_decrypt [MiB of plaintext, default 256]

The shell's call writes the plaintext where it should go and looks at nothing but the exit code; ours pipes it through
this process, judges the status lines and moves it into place. Best of three, with a warm cache.
"""

import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from adplatform.files.gpg_home import GpgHome, gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import Key
from adplatform.files.pgp import decrypt
from adplatform_tests.files.openpgp import Workshop

ROUNDS = 3
MESSAGES = {
    "zlib": ["--compress-algo", "zlib"],
    "not compressed": ["--compress-algo", "none"],
    "zlib, signed, armoured": ["--compress-algo", "zlib", "--sign", "--armor"],
}

# Memory is measured in a process of its own, because it never falls; ru_maxrss would begin with the parent's.
MEASURED = """
import pickle, resource, sys
from pathlib import Path
from adplatform.files.pgp import decrypt
decrypt(*pickle.load(sys.stdin.buffer))
own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(own.split()[1], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_rows(path: Path, size: int) -> None:
    random.seed(1)
    with path.open("w", encoding="ascii") as file:
        file.write("id,day,email,amount\n")
        while file.tell() < size:
            file.writelines(
                f"{random.getrandbits(32)},2026-11-{random.randint(1, 30):02d},u{random.getrandbits(24)}@example.test,"
                f"{random.randint(1, 99999) / 100}\n"
                for _ in range(10_000)
            )


def best_of(rounds: int, run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def plain_gpg(source: Path, target: Path, home: GpgHome) -> None:
    command = ["gpg", "--homedir", str(home.path), "--batch", "--yes", "--trust-model", "always", "-o", str(target)]
    subprocess.run([*command, "--decrypt", str(source)], check=True, capture_output=True)


def memory(source: Path, target: Path, home: GpgHome, policy: SignaturePolicy) -> tuple[float, float]:
    work = pickle.dumps((source, target, home, policy, "s3://raw/benchmark"))
    run = subprocess.run([sys.executable, "-c", MEASURED], input=work, stdout=subprocess.PIPE, check=True)
    ours, gpgs = (int(kilobytes) / 1024 for kilobytes in run.stdout.split())
    return ours, gpgs


def main() -> None:
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with tempfile.TemporaryDirectory() as directory, Workshop.open() as workshop:
        work = Path(directory)
        rows, source, target = work / "rows.csv", work / "rows.pgp", work / "out.csv"
        write_rows(rows, mebibytes << 20)
        us, partner = workshop.partner("us"), workshop.partner("partner")
        policy = SignaturePolicy(frozenset({partner.fingerprint}), allow_unsigned=True)
        print(f"{mebibytes} MiB of CSV, {os.cpu_count()} cores, best of {ROUNDS}")
        print(
            f"{'message':24}{'MiB':>6}{'gpg s':>8}{'ours s':>8}{'MiB/s':>7}{'ratio':>7}{'ours MiB':>10}{'gpg MiB':>9}"
        )
        keys = [Key("us", us.private.encode())], [Key("partner", partner.public.encode())]
        with gpg_home(*keys) as home:
            for name, options in MESSAGES.items():
                source.unlink(missing_ok=True)
                recipient = ["--encrypt", "-r", us.fingerprint, "-u", partner.fingerprint, "-o", str(source)]
                workshop.gpg(*recipient, *options, str(rows))
                shell = best_of(ROUNDS, lambda: plain_gpg(source, target, home))
                ours = best_of(ROUNDS, lambda: decrypt(source, target, home, policy, "s3://raw/benchmark"))
                python, gpg = memory(source, target, home, policy)
                sizes = f"{name:24}{source.stat().st_size >> 20:6}"
                speeds = f"{shell:8.2f}{ours:8.2f}{mebibytes / ours:7.0f}{ours / shell:7.2f}"
                print(f"{sizes}{speeds}{python:10.0f}{gpg:9.0f}")


if __name__ == "__main__":
    main()
