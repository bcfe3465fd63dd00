"""Every way a message may be wrong, made by the real gpg, must end without plaintext and with a reason."""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adplatform.contracts.limits import Limits
from adplatform.failures import TransientFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.gpg_home import GpgHome, gpg_home
from adplatform.files.gpg_status import SignaturePolicy
from adplatform.files.keyring import Key
from adplatform.files.magic import is_openpgp_head
from adplatform.files.pgp import Decryption, decrypt
from adplatform_tests.files.openpgp import Partner, Workshop, flip, literal, packet

ORIGIN = "s3://raw/partner/orders/orders.csv.pgp"
DATA = b"".join(b"%d,2026-11-23,%d.50\n" % (i, i * 7) for i in range(20_000))


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop.open() as workshop:
        yield workshop


@pytest.fixture(scope="module")
def us(workshop: Workshop) -> Partner:
    return workshop.partner("us")


@pytest.fixture(scope="module")
def partner(workshop: Workshop) -> Partner:
    return workshop.partner("partner")


@pytest.fixture(scope="module")
def stranger(workshop: Workshop) -> Partner:
    return workshop.partner("stranger")


def private_key(owner: Partner) -> Key:
    return Key(f"pgp/{owner.name}/private", owner.private.encode(), owner.passphrase or None)


def public_key(owner: Partner) -> Key:
    return Key(f"pgp/{owner.name}/public", owner.public.encode())


@pytest.fixture(scope="module")
def home(us: Partner, partner: Partner, workshop: Workshop) -> Iterator[GpgHome]:
    keys = [private_key(us), private_key(workshop.partner("us", "rsa2048"))]
    with gpg_home(keys, [public_key(partner)]) as home:
        yield home


@pytest.fixture
def signed(partner: Partner) -> SignaturePolicy:
    return SignaturePolicy(frozenset({partner.fingerprint}))


@pytest.fixture
def unsigned(signed: SignaturePolicy) -> SignaturePolicy:
    return SignaturePolicy(signed.signers, allow_unsigned=True)


def opened(message: bytes, work: Path, home: GpgHome, policy: SignaturePolicy) -> tuple[Decryption, bytes]:
    source, target = work / "message", work / "plain"
    source.write_bytes(message)
    decryption = decrypt(source, target, home, policy, ORIGIN)
    return decryption, target.read_bytes()


def refusal(message: bytes, work: Path, home: GpgHome, policy: SignaturePolicy) -> BadFile:
    """The failure, after a check that no byte of plaintext stayed, not even that of an earlier run."""
    (work / "message").write_bytes(message)
    (work / "plain").write_bytes(b"from an earlier run")
    with pytest.raises(BadFile) as failure:
        decrypt(work / "message", work / "plain", home, policy, ORIGIN)
    assert [p.name for p in work.iterdir()] == ["message"]
    assert str(failure.value).startswith(ORIGIN)
    assert "example.test" not in str(failure.value), "a user id is personal data"
    return failure.value


@pytest.mark.parametrize("compress", ["none", "zip", "zlib", "bzip2"])
@pytest.mark.parametrize("armour", [False, True])
def test_signed_message_is_opened_and_its_keys_are_reported(
    workshop: Workshop,
    us: Partner,
    partner: Partner,
    home: GpgHome,
    signed: SignaturePolicy,
    tmp_path: Path,
    compress: str,
    armour: bool,
) -> None:
    message = workshop.encrypt(DATA, us, signers=[partner], armour=armour, compress=compress)  # type: ignore[arg-type]
    decryption, plain = opened(message, tmp_path, home, signed)
    assert plain == DATA
    assert decryption == Decryption(us.subkey, partner.fingerprint, len(DATA))


def test_rsa_recipient(
    workshop: Workshop, partner: Partner, home: GpgHome, signed: SignaturePolicy, tmp_path: Path
) -> None:
    rsa = workshop.partner("us", "rsa2048")
    decryption, plain = opened(workshop.encrypt(DATA, rsa, signers=[partner]), tmp_path, home, signed)
    assert (plain, decryption.key) == (DATA, rsa.subkey)


def test_empty_plaintext_is_a_file(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    assert opened(workshop.encrypt(b"", us), tmp_path, home, unsigned)[1] == b""


def test_one_of_several_recipients(
    workshop: Workshop,
    us: Partner,
    stranger: Partner,
    partner: Partner,
    home: GpgHome,
    signed: SignaturePolicy,
    tmp_path: Path,
) -> None:
    message = workshop.encrypt(DATA, stranger, us, partner, signers=[partner])
    assert opened(message, tmp_path, home, signed)[1] == DATA


def test_hidden_recipients(
    workshop: Workshop,
    us: Partner,
    stranger: Partner,
    partner: Partner,
    home: GpgHome,
    signed: SignaturePolicy,
    tmp_path: Path,
) -> None:
    message = workshop.encrypt(DATA, stranger, us, signers=[partner], hidden=True)
    assert opened(message, tmp_path, home, signed)[1] == DATA


def test_messages_for_the_old_and_the_new_subkey_open_after_rotation(
    workshop: Workshop, partner: Partner, signed: SignaturePolicy, tmp_path: Path
) -> None:
    before = workshop.partner("rotating")
    old = workshop.encrypt(DATA, before, signers=[partner])
    after = workshop.rotated(before)
    # Of two subkeys made in one second gpg prefers either, so the new one is named.
    new = workshop.gpg("--encrypt", "--sign", "-u", partner.fingerprint, "-r", f"{after.subkey}!", data=DATA)
    with gpg_home([private_key(after)], [public_key(partner)]) as home:
        assert opened(old, tmp_path, home, signed)[0].key == before.subkey
        assert opened(new, tmp_path, home, signed)[0].key == after.subkey


def test_two_private_keys_with_two_passphrases(
    workshop: Workshop, partner: Partner, signed: SignaturePolicy, tmp_path: Path
) -> None:
    first = workshop.partner("first", passphrase="pässw ord%1")
    second = workshop.partner("second", "rsa2048", passphrase="other")
    with gpg_home([private_key(first), private_key(second)], [public_key(partner)]) as home:
        for owner in (second, first):
            message = workshop.encrypt(DATA, owner, signers=[partner])
            assert opened(message, tmp_path, home, signed) == (
                Decryption(owner.subkey, partner.fingerprint, len(DATA)),
                DATA,
            )


def test_key_without_its_primary_part(
    workshop: Workshop, us: Partner, partner: Partner, signed: SignaturePolicy, tmp_path: Path
) -> None:
    offline = Key("pgp/us/subkeys", workshop.subkeys_only(us).encode())
    with gpg_home([offline], [public_key(partner)]) as home:
        assert opened(workshop.encrypt(DATA, us, signers=[partner]), tmp_path, home, signed)[1] == DATA


@pytest.mark.parametrize(
    "dress",
    [
        lambda armoured: b"\xef\xbb\xbf" + armoured,
        lambda armoured: armoured.replace(b"\n", b"\r\n"),
        lambda armoured: b" \r\n\n" + armoured,
        lambda armoured: b"\xef\xbb\xbf" + armoured.replace(b"\n", b"\r\n"),
        lambda armoured: armoured + b"\nSent by the reporting team\n",
    ],
    ids=["byte order mark", "CRLF", "white space", "mark and CRLF", "text after it"],
)
def test_armour_as_windows_and_mail_leave_it(
    workshop: Workshop,
    us: Partner,
    partner: Partner,
    home: GpgHome,
    signed: SignaturePolicy,
    tmp_path: Path,
    dress: Callable[[bytes], bytes],
) -> None:
    message = dress(workshop.encrypt(DATA, us, signers=[partner], armour=True))
    assert opened(message, tmp_path, home, signed)[1] == DATA
    assert is_openpgp_head(message)
    assert not is_openpgp_head((tmp_path / "plain").read_bytes())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda m: m[: len(m) // 2],
    "one byte short": lambda m: m[:-1],
    "header only": lambda m: m[:30],
    "empty": lambda m: b"",
    "flipped in the middle": lambda m: flip(m, len(m) // 2),
    "flipped tail": lambda m: flip(m, -40),
    "flipped MDC": lambda m: flip(m, -5),
    "flipped session key": lambda m: flip(m, 40),
    "garbage after it": lambda m: m + b"garbage",
    "zeros after it": lambda m: m + bytes(100),
    "sent twice": lambda m: m + m,
    "another literal after it": lambda m: m + literal(b"evil"),
}


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa2048"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_message_is_refused_and_leaves_nothing_behind(
    workshop: Workshop,
    partner: Partner,
    home: GpgHome,
    signed: SignaturePolicy,
    unsigned: SignaturePolicy,
    tmp_path: Path,
    damage: str,
    algorithm: str,
) -> None:
    recipient = workshop.partner("us", algorithm)  # type: ignore[arg-type]
    signed_message = workshop.encrypt(DATA, recipient, signers=[partner])
    unsigned_message = workshop.encrypt(DATA, recipient, compress="none")
    # gpg may meet the signature over the damaged content first, and stops there; where a second message follows, it
    # depends on the first one's bytes whether gpg still takes it for one.
    expected = {Reason.DAMAGED, Reason.BAD_SIGNATURE} | ({Reason.SEVERAL_MESSAGES} if damage == "sent twice" else set())
    assert refusal(DAMAGE[damage](signed_message), tmp_path, home, signed).reason in expected
    assert refusal(DAMAGE[damage](unsigned_message), tmp_path, home, unsigned).reason in (
        Reason.DAMAGED,
        Reason.SEVERAL_MESSAGES,
    )


@pytest.mark.parametrize("position", [*range(16), *range(16, 120, 9)])
def test_flip_anywhere_in_the_header_is_refused(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path, position: int
) -> None:
    message = flip(workshop.encrypt(b"a,b\n1,2\n", us), position)
    # What a flipped length brings to light may even look like another packet: that depends on the session key.
    refused = (Reason.DAMAGED, Reason.WRONG_KEY, Reason.SEVERAL_MESSAGES)
    assert refusal(message, tmp_path, home, unsigned).reason in refused


def test_message_for_another_key_names_the_key_ids(
    workshop: Workshop, us: Partner, stranger: Partner, home: GpgHome, signed: SignaturePolicy, tmp_path: Path
) -> None:
    failure = refusal(workshop.encrypt(DATA, stranger), tmp_path, home, signed)
    assert failure.reason is Reason.WRONG_KEY
    assert stranger.subkey[-16:] in failure.message
    assert us.subkey[-16:] in failure.message


def test_message_for_a_hidden_other_key(
    workshop: Workshop, stranger: Partner, home: GpgHome, signed: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.encrypt(DATA, stranger, hidden=True)
    assert refusal(message, tmp_path, home, signed).reason is Reason.WRONG_KEY


def test_message_for_a_passphrase(workshop: Workshop, home: GpgHome, signed: SignaturePolicy, tmp_path: Path) -> None:
    message = workshop.gpg("--symmetric", data=DATA, passphrase="x")
    assert refusal(message, tmp_path, home, signed).reason is Reason.WRONG_KEY


@pytest.mark.parametrize("content", [DATA, b"\x1f\x8b\x08" + bytes(100), b'{"a": 1}\n', "größe,Ä\n".encode("latin-1")])
def test_plain_file_named_pgp_is_refused(
    home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path, content: bytes
) -> None:
    assert refusal(content, tmp_path, home, unsigned).reason is Reason.NOT_ENCRYPTED


@pytest.mark.parametrize("how", [["--store"], ["--sign"], ["--clear-sign"], ["--sign", "--armor"]], ids=" ".join)
def test_message_that_hides_nothing_is_refused(
    workshop: Workshop, partner: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path, how: list[str]
) -> None:
    message = workshop.gpg(*how, "--local-user", partner.fingerprint, data=DATA)
    assert refusal(message, tmp_path, home, unsigned).reason is Reason.NOT_ENCRYPTED


def test_message_without_integrity_protection_is_refused(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.seal(literal(DATA), us, integrity=False)
    assert refusal(message, tmp_path, home, unsigned).reason is Reason.NOT_INTEGRITY_PROTECTED


def test_sealed_literal_is_the_control_of_the_odd_contents(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    assert opened(workshop.seal(literal(DATA), us), tmp_path, home, unsigned)[1] == DATA


def test_two_plaintexts_in_one_message_are_refused(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.seal(literal(DATA) + literal(b"evil"), us)
    assert refusal(message, tmp_path, home, unsigned).reason is Reason.SEVERAL_MESSAGES


@pytest.mark.parametrize("tail", [b"", b"\x00junk", b"\xcb\xff\x00"], ids=["nothing", "junk", "half a packet"])
def test_content_that_was_broken_before_encryption_is_refused(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path, tail: bytes
) -> None:
    short = literal(DATA)[:-2]
    for packets in (short, short + tail, tail):
        assert refusal(workshop.seal(packets, us), tmp_path, home, unsigned).reason is Reason.DAMAGED


def test_message_inside_a_message_is_refused(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.seal(workshop.encrypt(DATA, us), us)
    assert refusal(message, tmp_path, home, unsigned).reason is Reason.SEVERAL_MESSAGES


def test_damage_that_looks_like_another_message_is_damage(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.seal(flip(workshop.encrypt(DATA, us), -5), us)
    assert refusal(flip(message, -5), tmp_path, home, unsigned).reason is Reason.DAMAGED


def test_content_or_signature_before_the_encrypted_part_is_refused(
    workshop: Workshop, us: Partner, partner: Partner, home: GpgHome, signed: SignaturePolicy, tmp_path: Path
) -> None:
    alone = workshop.gpg("--sign", "-u", partner.fingerprint, "--compress-algo", "none", data=b"harmless")
    for before in (literal(b"evil"), alone):
        message = before + workshop.encrypt(DATA, us)
        assert refusal(message, tmp_path, home, signed).reason is Reason.SEVERAL_MESSAGES


def test_unsigned_message_needs_permission(
    workshop: Workshop,
    us: Partner,
    home: GpgHome,
    signed: SignaturePolicy,
    unsigned: SignaturePolicy,
    tmp_path: Path,
) -> None:
    message = workshop.encrypt(DATA, us)
    assert refusal(message, tmp_path, home, signed).reason is Reason.UNSIGNED
    assert opened(message, tmp_path, home, unsigned) == (Decryption(us.subkey, None, len(DATA)), DATA)


@pytest.mark.parametrize("allow_unsigned", [False, True])
def test_signer_whose_key_nobody_has_is_refused_even_when_unsigned_is_allowed(
    workshop: Workshop,
    us: Partner,
    partner: Partner,
    stranger: Partner,
    home: GpgHome,
    tmp_path: Path,
    allow_unsigned: bool,
) -> None:
    policy = SignaturePolicy(frozenset({partner.fingerprint}), allow_unsigned)
    failure = refusal(workshop.encrypt(DATA, us, signers=[stranger]), tmp_path, home, policy)
    assert failure.reason is Reason.UNKNOWN_SIGNER
    assert stranger.fingerprint[-16:] in failure.message


@pytest.mark.parametrize("allow_unsigned", [False, True])
def test_good_signature_of_a_key_that_is_not_pinned_is_refused(
    workshop: Workshop, us: Partner, partner: Partner, stranger: Partner, tmp_path: Path, allow_unsigned: bool
) -> None:
    with gpg_home([private_key(us)], [public_key(partner), public_key(stranger)]) as home:
        policy = SignaturePolicy(frozenset({partner.fingerprint}), allow_unsigned)
        failure = refusal(workshop.encrypt(DATA, us, signers=[stranger]), tmp_path, home, policy)
        assert failure.reason is Reason.UNKNOWN_SIGNER
        assert stranger.fingerprint in failure.message


def test_two_good_signatures_need_one_pinned_key_and_one_unknown_spoils_them(
    workshop: Workshop, us: Partner, partner: Partner, stranger: Partner, signed: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.encrypt(DATA, us, signers=[stranger, partner])
    with gpg_home([private_key(us)], [public_key(partner), public_key(stranger)]) as both:
        assert opened(message, tmp_path, both, signed)[0].signer == partner.fingerprint
    (tmp_path / "plain").unlink()
    with gpg_home([private_key(us)], [public_key(partner)]) as one:
        assert refusal(message, tmp_path, one, signed).reason is Reason.UNKNOWN_SIGNER


def test_signing_subkey_may_be_pinned_itself_or_by_its_primary_key(
    workshop: Workshop, us: Partner, tmp_path: Path
) -> None:
    owner = workshop.partner("subkey signer")
    workshop.gpg("--quick-add-key", owner.fingerprint, "ed25519", "sign", "never")
    listing = workshop.gpg("--with-colons", "--list-keys", owner.fingerprint).decode().splitlines()
    subkey = [line.split(":")[9] for line in listing if line.startswith("fpr")][-1]
    public = Key("pgp/subkey", workshop.gpg("--export", owner.fingerprint))
    message = workshop.gpg("-e", "-s", "-u", f"{subkey}!", "-r", us.fingerprint, data=DATA)
    with gpg_home([private_key(us)], [public]) as home:
        for pin in (subkey, owner.fingerprint):
            decryption, _ = opened(message, tmp_path, home, SignaturePolicy(frozenset({pin})))
            assert decryption.signer == owner.fingerprint


def test_revoked_signer_is_refused(workshop: Workshop, us: Partner, tmp_path: Path) -> None:
    owner = workshop.partner("revoked")
    message = workshop.encrypt(DATA, us, signers=[owner])
    revoked = Key("pgp/revoked", workshop.revoked(owner).encode())
    with gpg_home([private_key(us)], [revoked]) as home:
        policy = SignaturePolicy(frozenset({owner.fingerprint}), allow_unsigned=True)
        assert refusal(message, tmp_path, home, policy).reason is Reason.REVOKED_SIGNER


def test_expired_signer_and_expired_signature_are_refused(workshop: Workshop, us: Partner, tmp_path: Path) -> None:
    past = ["--faked-system-time", "20200101T000000"]
    workshop.gpg(*past, "--quick-generate-key", "old <old@example.test>", "ed25519", "cert,sign", "1y")
    listing = workshop.gpg("--with-colons", "--list-keys", "old@example.test").decode().splitlines()
    fingerprint = next(line.split(":")[9] for line in listing if line.startswith("fpr"))
    public = Key("pgp/old", workshop.gpg("--export", fingerprint))
    signing = ["-e", "-s", "-u", fingerprint, "-r", us.fingerprint]
    by_expired_key = workshop.gpg(*past, "--ignore-time-conflict", "--ignore-valid-from", *signing, data=DATA)
    with gpg_home([private_key(us)], [public]) as home:
        policy = SignaturePolicy(frozenset({fingerprint}), allow_unsigned=True)
        assert refusal(by_expired_key, tmp_path, home, policy).reason is Reason.EXPIRED_SIGNATURE


def test_signature_over_other_content_is_refused(
    workshop: Workshop, us: Partner, partner: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    signed_message = workshop.gpg("--sign", "-u", partner.fingerprint, "--compress-algo", "none", data=b"amount,10\n")
    forged = signed_message.replace(b"amount,10", b"amount,99")
    assert forged != signed_message
    assert refusal(workshop.seal(forged, us), tmp_path, home, unsigned).reason is Reason.BAD_SIGNATURE


def test_unknown_packet_beside_the_content_changes_nothing(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    message = workshop.seal(packet(10, b"PGP") + literal(DATA), us)
    assert opened(message, tmp_path, home, unsigned)[1] == DATA


def test_plaintext_above_the_limit_is_refused(
    workshop: Workshop, us: Partner, home: GpgHome, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(workshop.encrypt(bytes(10 << 20), us))
    with pytest.raises(BadFile) as failure:
        decrypt(tmp_path / "message", tmp_path / "plain", home, unsigned, ORIGIN, limits=Limits(unpacked=1 << 20))
    assert failure.value.reason is Reason.TOO_LARGE
    assert [p.name for p in tmp_path.iterdir()] == ["message"]


def test_gpg_that_hangs_is_stopped(
    workshop: Workshop,
    us: Partner,
    home: GpgHome,
    unsigned: SignaturePolicy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, tools = tmp_path / "message", tmp_path / "tools"
    source.write_bytes(workshop.encrypt(DATA, us))
    tools.mkdir()
    (tools / "gpg").write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    (tools / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(TransientFailure, match="was stopped"):
        decrypt(source, tmp_path / "plain", home, unsigned, ORIGIN, idle_limit=timedelta(milliseconds=200))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["message", "tools"]


def test_dead_agent_that_forgot_the_passphrase_is_no_fault_of_the_file(
    workshop: Workshop, unsigned: SignaturePolicy, tmp_path: Path
) -> None:
    owner = workshop.partner("locked", passphrase="secret")
    (tmp_path / "message").write_bytes(workshop.encrypt(DATA, owner))
    with gpg_home([private_key(owner)]) as home:
        subprocess.run(["gpgconf", "--homedir", str(home.path), "--kill", "gpg-agent"], check=True)
        with pytest.raises(TransientFailure, match="agent"):
            decrypt(tmp_path / "message", tmp_path / "plain", home, unsigned, ORIGIN)


def test_decrypts_in_parallel_in_one_home(
    workshop: Workshop, us: Partner, partner: Partner, home: GpgHome, signed: SignaturePolicy, tmp_path: Path
) -> None:
    contents = [DATA * (i + 1) for i in range(4)]
    for i, content in enumerate(contents):
        (tmp_path / f"{i}.pgp").write_bytes(workshop.encrypt(content, us, signers=[partner]))

    def one(i: int) -> None:
        decrypt(tmp_path / f"{i}.pgp", tmp_path / f"{i}.csv", home, signed, ORIGIN)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(contents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / f"{i}.csv").read_bytes() for i in range(len(contents))] == contents


MEASURED = """
import pickle, resource, sys
from pathlib import Path
from adplatform.files.gpg_home import gpg_home
from adplatform.files.pgp import decrypt
keys, policy, source, target = pickle.load(sys.stdin.buffer)
with gpg_home(*keys) as home:
    decrypt(source, target, home, policy, "s3://raw/large")
# Not ru_maxrss for this process: it would begin with that of the process that started it.
own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(own.split()[1], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_file(
    workshop: Workshop, us: Partner, partner: Partner, signed: SignaturePolicy, tmp_path: Path
) -> None:
    size = 144 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    source, target = tmp_path / "large.pgp", tmp_path / "plain"
    recipient, signer = us.fingerprint, partner.fingerprint
    workshop.gpg(
        *("-e", "-s", "-u", signer, "-r", recipient, "--compress-algo", "none", "-o", str(source)),
        str(tmp_path / "large"),
    )
    work = pickle.dumps((([private_key(us)], [public_key(partner)]), signed, source, target))
    run = subprocess.run([sys.executable, "-c", MEASURED], input=work, stdout=subprocess.PIPE, check=True)
    ours, childrens = (int(kilobytes) << 10 for kilobytes in run.stdout.split())
    assert target.stat().st_size == size
    assert ours < 128 << 20
    assert childrens < 128 << 20
