"""A throw-away GnuPG home: private keys live in it for the length of a ``with`` block, and nowhere afterwards."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.files.keyring import Key

MAX_HOME = 80
"""Characters. Agent sockets live in the home and a socket path ends at 104 (macOS) or 108 (Linux) bytes; above that
gpg imports a private key without complaint and then does not find it."""

_PATIENCE = 60  # seconds for one key operation
_AGENT_CONF = "allow-preset-passphrase\nmax-cache-ttl 34560000\ndisable-scdaemon\n"

# The end of standard input is the only signal that the owner is gone which also comes when it was killed.
_WARDEN = """
cat >/dev/null
gpgconf --homedir "$0" --kill all
gpgconf --homedir "$0" --remove-socketdir
rm -rf -- "$0"
"""


@dataclass(frozen=True)
class GpgHome:
    """``key_ids`` are the 16-digit ids of the (sub)keys in ``path`` that can decrypt, ``signers`` the fingerprints of
    the primary keys that were given as signer keys."""

    path: Path
    key_ids: frozenset[str] = frozenset()
    signers: frozenset[str] = frozenset()

    def command(self, *arguments: str, tool: str = "gpg") -> list[str]:
        """The command line of a tool that asks nobody anything, reads no options file and looks nothing up."""
        if tool != "gpg":
            return [tool, "--homedir", str(self.path), *arguments]
        # Not --quiet: it also drops the status line that says why a private key failed.
        alone = ["--batch", "--no-tty", "--no-options", "--trust-model", "always", "--disable-dirmngr"]
        return ["gpg", "--homedir", str(self.path), *alone, "--no-auto-key-retrieve", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of ours: no credentials, no locale."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.path), "LC_ALL": "C"}


@contextmanager
def gpg_home(
    private_keys: Sequence[Key], signer_keys: Sequence[Key] = (), base: Path | None = None
) -> Iterator[GpgHome]:
    """A home with the given keys, removed at the end together with its agent, also when this process is killed.

    It is made in ``base`` if that path is short enough, else in memory (``XDG_RUNTIME_DIR``, ``/dev/shm``) if there is
    such a place, else in the temporary directory.

    Raises:
        EnvironmentFailure: no place is writable.
        PermanentFailure: gpg is not installed, a secret holds no usable key, or its passphrase does not fit.
        TransientFailure: gpg or its agent does not answer.
    """
    with _warded(_short_directory(base)) as path:
        empty = GpgHome(path)
        (path / "gpg-agent.conf").write_text(_AGENT_CONF, encoding="ascii")
        signers = frozenset(fingerprint for key in signer_keys for fingerprint in _import(empty, key))
        key_ids = [_import_private(empty, key) for key in private_keys]
        yield GpgHome(path, frozenset[str]().union(*key_ids), signers)


def _short_directory(base: Path | None) -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    memory = Path("/dev/shm")  # noqa: S108
    places = [base, Path(runtime) if runtime else None, memory, Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108
    for place in places:
        if place and len(os.fsencode(place)) < MAX_HOME - 12 and place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return place.absolute()
    raise EnvironmentFailure("gpg needs a writable directory with a path below 68 characters: set TMPDIR to one")


@contextmanager
def _warded(parent: Path) -> Iterator[Path]:
    """A new directory of mode 0700 in ``parent`` that a child process removes once this one has let go of it."""
    path = Path(tempfile.mkdtemp(prefix="gpg", dir=parent))
    warden = subprocess.Popen(
        ["/bin/sh", "-c", _WARDEN, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the run, not for its clean-up
        cwd="/",
    )
    try:
        yield path
    finally:
        warden.communicate()


def _run(command: list[str], home: GpgHome, stdin: bytes, passphrase: bytes | None = None) -> list[list[str]]:
    """The fields of the lines that ``command`` writes to standard output."""
    pass_fds: list[int] = []
    asking = ["--pinentry-mode", "error"] if command[0] == "gpg" else []
    if passphrase is not None:
        reading, writing = os.pipe()
        os.write(writing, passphrase + b"\n")
        os.close(writing)
        pass_fds = [reading]
        asking = ["--pinentry-mode", "loopback", "--passphrase-fd", str(reading)]
    command = [*command[:1], *asking, *command[1:]]
    try:
        result = subprocess.run(
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=pass_fds,
            env=home.environment,
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError as e:
        raise PermanentFailure(f"{command[0]} is not installed: add the packages gpg and gpg-agent to the image") from e
    except subprocess.TimeoutExpired as e:
        raise TransientFailure(f"{command[0]} did not answer within {_PATIENCE} seconds") from e
    finally:
        for fd in pass_fds:
            os.close(fd)
    return [line.split() for line in result.stdout.decode("utf-8", "replace").splitlines()]


def _import(home: GpgHome, key: Key) -> dict[str, int]:
    """Fingerprints of what was imported, with the IMPORT_OK flags (doc/DETAILS of GnuPG: 16 means a private key)."""
    lines = _run(home.command("--status-fd", "1", "--import"), home, key.data)
    imported: dict[str, int] = {}
    for line in lines:
        if line[1:2] == ["IMPORT_OK"]:
            imported[line[3]] = imported.get(line[3], 0) | int(line[2])
    if not imported:
        raise PermanentFailure(f"secret {key.secret} holds no OpenPGP key that gpg can import")
    return imported


def _import_private(home: GpgHome, key: Key) -> frozenset[str]:
    """The 16-digit ids of the (sub)keys in ``key`` that can decrypt, after a test of the passphrase."""
    key_ids: set[str] = set()
    for fingerprint, flags in _import(home, key).items():
        if flags & 16:
            _unlock(home, key, fingerprint)
            records = _secret_records(home, fingerprint)
            key_ids.update(r[4] for r in records if r[0] in ("sec", "ssb") and "e" in r[11] and r[14] != "#")
    if not key_ids:
        raise PermanentFailure(f"secret {key.secret} holds no private encryption key: export it with its subkeys")
    return frozenset(key_ids)


def _unlock(home: GpgHome, key: Key, fingerprint: str) -> None:
    """Tests the passphrase, then leaves it with the agent of this home: gpg takes one passphrase per call, and a
    message may be for any of several keys."""
    passphrase = None if key.passphrase is None else key.passphrase.encode()
    test = home.command("--status-fd", "1", "--dry-run", "--passwd", fingerprint)
    if not any(line[1:2] == ["SUCCESS"] for line in _run(test, home, b"", passphrase)):
        raise PermanentFailure(
            f"secret {key.secret}: its key {fingerprint} "
            + (
                "is not opened by the passphrase"
                if passphrase
                else "needs a passphrase: store JSON with key and passphrase"
            )
        )
    if passphrase:
        grips = (record[9] for record in _secret_records(home, fingerprint) if record[0] == "grp")
        _tell_agent(home, (f"PRESET_PASSPHRASE {grip} -1 {passphrase.hex().upper()}" for grip in grips))


def _tell_agent(home: GpgHome, commands: Iterable[str]) -> None:
    script = "".join(f"{command}\n" for command in commands).encode()
    answers = _run(home.command(tool="gpg-connect-agent"), home, script)
    if any(answer[:1] != ["OK"] for answer in answers):
        raise TransientFailure("gpg-agent did not take a passphrase")


def _secret_records(home: GpgHome, *which: str) -> list[list[str]]:
    """Colon-separated records of the private keys (doc/DETAILS of GnuPG: field 5 is the key id, 10 the keygrip)."""
    listing = _run(home.command("--with-colons", "--with-keygrip", "--list-secret-keys", *which), home, b"")
    return [words[0].split(":") for words in listing if words]
