"""Private keys must be gone, and their agent dead, however the block or the process ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adplatform.failures import PermanentFailure
from adplatform.files.gpg_home import GpgHome, gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import Key
from adplatform.files.pgp import decrypt
from adplatform_tests.files.openpgp import Partner, Workshop

SECRET = "partners/acme/pgp"


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop.open() as workshop:
        yield workshop


@pytest.fixture(scope="module")
def us(workshop: Workshop) -> Partner:
    return workshop.partner("us")


@pytest.fixture
def key(us: Partner) -> Key:
    return Key(SECRET, us.private.encode())


def processes_of(home: Path) -> list[str]:
    """Command lines that name ``home``; one that has ended but was not waited for has none."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if str(home) in line]


def opens(message: bytes, home: GpgHome, work: Path) -> bytes:
    (work / "message").write_bytes(message)
    decrypt(work / "message", work / "plain", home, SignaturePolicy(frozenset(), allow_unsigned=True), "s3://raw/x")
    return (work / "plain").read_bytes()


def assert_gone(home: Path) -> None:
    assert not home.exists()
    assert processes_of(home) == []


def test_home_is_private_and_holds_only_what_it_was_given(workshop: Workshop, us: Partner, key: Key) -> None:
    partner = workshop.partner("partner")
    with gpg_home([key], [Key("partners/acme/signer", partner.public.encode())]) as home:
        assert home.signers == {partner.fingerprint}
        assert home.path.stat().st_mode & 0o777 == 0o700
        assert home.key_ids == {us.subkey[-16:]}
        assert processes_of(home.path), "the control of the checks that nothing is left"
    assert_gone(home.path)


def test_base_that_is_too_long_for_a_socket_is_not_used(
    workshop: Workshop, us: Partner, key: Key, tmp_path: Path
) -> None:
    base = tmp_path / ("long" * 20)
    base.mkdir()
    with gpg_home([key], base=base) as home:
        assert not home.path.is_relative_to(base)
        assert opens(workshop.encrypt(b"x", us), home, tmp_path) == b"x"
    assert list(base.iterdir()) == []


def test_short_base_is_used(key: Key) -> None:
    base = Path(f"/tmp/b{os.getpid()}")
    base.mkdir()
    with gpg_home([key], base=base) as home:
        assert home.path.parent == base
    base.rmdir()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_left_when_the_block_raises(
    workshop: Workshop, us: Partner, key: Key, tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), gpg_home([key]) as home:
        opens(workshop.encrypt(b"x", us), home, tmp_path)
        raise error
    assert_gone(home.path)


def test_failed_import_leaves_nothing(key: Key) -> None:
    base = Path(f"/tmp/f{os.getpid()}")
    base.mkdir()
    with pytest.raises(PermanentFailure), gpg_home([key, Key("partners/acme/broken", b"no key")], base=base):
        pytest.fail("the block must not run")
    assert list(base.iterdir()) == []
    assert processes_of(base) == []
    base.rmdir()


HOLDER = """
import sys
from pathlib import Path
from adplatform.files.gpg_home import gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import Key
from adplatform.files.pgp import decrypt
private, message, work = map(Path, sys.argv[1:])
with gpg_home([Key("s", private.read_bytes())]) as home:
    print(home.path, flush=True)
    while True:
        decrypt(message, work / "plain", home, SignaturePolicy(frozenset(), allow_unsigned=True), "s3://raw/x")
"""


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGTERM))]
)
def test_nothing_is_left_when_the_process_is_killed_while_it_decrypts(
    workshop: Workshop, us: Partner, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "private").write_text(us.private)
    (tmp_path / "message").write_bytes(workshop.encrypt(os.urandom(8 << 20), us, compress="none"))
    arguments = [str(tmp_path / "private"), str(tmp_path / "message"), str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as holder:
        assert holder.stdout is not None
        home = Path(holder.stdout.readline().strip())
        while not (tmp_path / "plain").exists():
            time.sleep(0.01)
        holder.send_signal(number)
    deadline = time.monotonic() + 30
    while (home.exists() or processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert_gone(home)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no OpenPGP key"),
        (b"hello", "no OpenPGP key"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\naGVsbG8=\n-----END PGP PRIVATE KEY BLOCK-----\n", "no OpenPGP key"),
    ],
    ids=["empty", "text", "armour of nothing"],
)
def test_secret_that_is_no_key_is_named_and_not_shown(data: bytes, message: str) -> None:
    with pytest.raises(PermanentFailure, match=message) as failure, gpg_home([Key(SECRET, data)]):
        pass
    assert SECRET in str(failure.value)
    assert "hello" not in str(failure.value)
    assert "aGVsbG8" not in repr(failure.value)


def test_truncated_key_is_refused(us: Partner) -> None:
    lines = us.private.splitlines(keepends=True)
    cut = "".join(lines[: len(lines) // 2])
    with pytest.raises(PermanentFailure, match=SECRET), gpg_home([Key(SECRET, cut.encode())]):
        pass


def test_public_key_in_the_place_of_a_private_one(us: Partner) -> None:
    with (
        pytest.raises(PermanentFailure, match=f"{SECRET} holds no private"),
        gpg_home([Key(SECRET, us.public.encode())]),
    ):
        pass


def test_key_that_cannot_decrypt(workshop: Workshop) -> None:
    workshop.gpg("--quick-generate-key", "signs only <solo@example.test>", "ed25519", "sign", "never")
    private = workshop.gpg("--export-secret-keys", "solo@example.test")
    with pytest.raises(PermanentFailure, match="no private encryption key"), gpg_home([Key(SECRET, private)]):
        pass


@pytest.mark.parametrize("passphrase", [None, "wrong guess"])
def test_passphrase_that_does_not_fit_is_found_at_once_and_not_shown(
    workshop: Workshop, passphrase: str | None
) -> None:
    locked = workshop.partner("locked", passphrase="secret")
    key = Key(SECRET, locked.private.encode(), passphrase)
    with pytest.raises(PermanentFailure, match="passphrase") as failure, gpg_home([key]):
        pass
    assert SECRET in str(failure.value)
    assert "guess" not in str(failure.value) + repr(key)


def test_passphrase_for_a_key_without_one_does_no_harm(workshop: Workshop, us: Partner, tmp_path: Path) -> None:
    with gpg_home([Key(SECRET, us.private.encode(), "needless")]) as home:
        assert opens(workshop.encrypt(b"x", us), home, tmp_path) == b"x"


def test_tools_get_no_credentials(key: Key) -> None:
    with gpg_home([key]) as home:
        agents = [p.parent for p in Path("/proc").glob("[0-9]*/cmdline") if str(home.path).encode() in p.read_bytes()]
        seen = [(p / "environ").read_bytes() for p in agents if b"gpg-agent" in (p / "cmdline").read_bytes()]
    assert seen
    assert all(b"AWS_" not in e and b"SECRET" not in e for e in seen)
