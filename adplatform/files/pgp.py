"""Decryption of one OpenPGP message by gpg, judged by its status lines.

gpg writes nearly all of the plaintext before it finds a message damaged, and its exit code is 2 for a broken message as
well as for an unknown signer or a second, hidden recipient. So the plaintext stays in a private directory until the
status lines say that it was encrypted as one message, to one of our keys, unharmed, and signed by whom we pinned. It
comes through a pipe, because gpg 2.2 reports DECRYPTION_OKAY also when it could not write all of its output.
"""

import codecs
import os
import selectors
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from adplatform.contracts.limits import Limits
from adplatform.failures import PermanentFailure, TransientFailure, local_failure
from adplatform.files.budget import DEFAULT, Budget
from adplatform.files.gpg_home import GpgHome
from adplatform.files.gpg_status import SignaturePolicy, StatusLine, decrypting_key, parse_status, signer

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Decryption:
    """``key`` is the fingerprint of the (sub)key that opened the message, ``signer`` that of the signer's primary key
    or None for an unsigned message, ``size`` the plaintext's bytes."""

    key: str
    signer: str | None
    size: int


def decrypt(
    source: Path,
    target: Path,
    home: GpgHome,
    policy: SignaturePolicy,
    origin: str,
    *,
    limits: Limits = DEFAULT,
    idle_limit: timedelta = timedelta(minutes=5),
) -> Decryption:
    """Writes the plaintext of ``source`` to ``target``, whole and verified, or leaves no ``target``.

    ``limits`` bound the plaintext, ``idle_limit`` the time without any output; gpg is killed beyond either, so that
    nobody waits for the signature of what is made to fill disks.

    Raises:
        BadFile: the message is damaged, not for us, not (well) signed, above ``limits``, or no encrypted message at
            all.
        PermanentFailure: gpg is not installed.
        TransientFailure: gpg or its agent hangs or fails.
        EnvironmentFailure: the disk is full, or cannot be written.
    """
    target.unlink(missing_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".pgp-", dir=target.parent) as private:
            plaintext = Path(private) / "plaintext"
            budget = Budget(origin, source.stat().st_size, limits)
            exit_code, size, status = _run_gpg(source, plaintext, home, budget, idle_limit)
            key = decrypting_key(status, home.key_ids, exit_code, size, origin)
            signed_by = signer(status, policy, origin)
            plaintext.replace(target)
    except OSError as e:
        raise local_failure(origin, e, target.parent) from e
    return Decryption(key, signed_by, size)


def _run_gpg(
    source: Path, plaintext: Path, home: GpgHome, budget: Budget, idle_limit: timedelta
) -> tuple[int, int, list[StatusLine]]:
    with (
        source.open("rb", buffering=0) as ciphertext,
        plaintext.open("xb", buffering=0) as output,
        tempfile.TemporaryFile(dir=plaintext.parent, buffering=0) as status,
    ):
        _skip_byte_order_mark(ciphertext)
        command = home.command("--pinentry-mode", "error", "--status-fd", str(status.fileno()), "--decrypt")
        with _killed_on_failure(command, home, ciphertext, status) as gpg:
            size = _copy(gpg, output, budget, plaintext.parent, idle_limit)
            exit_code = _wait(gpg, budget.origin, idle_limit)
        if exit_code < 0:
            raise TransientFailure(f"{budget.origin}: gpg was killed by signal {-exit_code}")
        status.seek(0)
        return exit_code, size, parse_status(status.read())


def _skip_byte_order_mark(ciphertext: IO[bytes]) -> None:
    """Windows tools put one before ASCII armour, and gpg then sees no armour."""
    if ciphertext.read(3) != codecs.BOM_UTF8:
        ciphertext.seek(0)


@contextmanager
def _killed_on_failure(
    command: Sequence[str], home: GpgHome, ciphertext: IO[bytes], status: IO[bytes]
) -> Iterator["subprocess.Popen[bytes]"]:
    try:
        process = subprocess.Popen(
            command,
            stdin=ciphertext,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # names user ids, and says nothing that the status lines do not
            pass_fds=[status.fileno()],
            env=home.environment,
        )
    except FileNotFoundError as e:
        raise PermanentFailure("gpg is not installed: add the packages gpg and gpg-agent to the image") from e
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _copy(gpg: "subprocess.Popen[bytes]", output: IO[bytes], budget: Budget, disk: Path, idle_limit: timedelta) -> int:
    assert gpg.stdout is not None  # noqa: S101
    with selectors.DefaultSelector() as selector:
        selector.register(gpg.stdout, selectors.EVENT_READ)
        while selector.select(idle_limit.total_seconds()):
            chunk = os.read(gpg.stdout.fileno(), _CHUNK)
            if not chunk:
                return budget.unpacked
            budget.take(len(chunk), disk)
            output.write(chunk)
    raise TransientFailure(f"{budget.origin}: gpg wrote nothing for {idle_limit} and was stopped")


def _wait(gpg: "subprocess.Popen[bytes]", origin: str, idle_limit: timedelta) -> int:
    try:
        return gpg.wait(idle_limit.total_seconds())
    except subprocess.TimeoutExpired as e:
        raise TransientFailure(f"{origin}: gpg did not end within {idle_limit} and was stopped") from e
