"""Partners who encrypt with the real gpg, and messages no well-behaved gpg would write.

``with Workshop.open() as workshop`` makes keys and messages in one throw-away home; keys are made once per home.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB

Algorithm = Literal["ed25519", "rsa2048"]


@dataclass(frozen=True)
class Partner:
    """An OpenPGP identity: a primary key that signs and a subkey that decrypts, without passphrase unless given.

    ``private`` and ``public`` are ASCII-armoured; ``fingerprint`` is the primary key's, ``subkey`` the encryption one.
    """

    name: str
    fingerprint: str
    subkey: str
    private: str
    public: str
    passphrase: str = ""


@dataclass
class Workshop:
    home: Path
    _partners: dict[tuple[str, Algorithm, str], Partner] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Workshop"]:
        home = Path(tempfile.mkdtemp(prefix="pgpw", dir="/tmp"))
        (home / "gpg-agent.conf").write_text("s2k-count 65536\n")  # the least work for a passphrase
        try:
            yield cls(home)
        finally:
            subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
            shutil.rmtree(home, ignore_errors=True)

    def gpg(self, *arguments: str, data: bytes | None = None, passphrase: str = "") -> bytes:
        quiet = ["--batch", "--no-tty", "--quiet", "--no-options", "--trust-model", "always"]
        secret = ["--pinentry-mode", "loopback", "--passphrase", passphrase]
        result = subprocess.run(
            ["gpg", "--homedir", str(self.home), *quiet, *secret, *arguments],
            input=data,
            capture_output=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    def partner(self, name: str, algorithm: Algorithm = "ed25519", passphrase: str = "") -> Partner:
        known = self._partners.get((name, algorithm, passphrase))
        return known or self._make(name, algorithm, passphrase)

    def _make(self, name: str, algorithm: Algorithm, passphrase: str) -> Partner:
        user_id = f"{name} {algorithm} {len(self._partners)} <{name}@example.test>"
        self.gpg("--quick-generate-key", user_id, algorithm, "cert,sign", "never", passphrase=passphrase)
        fingerprint = self._fingerprints(f"={user_id}")[0]
        self.add_subkey(fingerprint, algorithm, passphrase)
        partner = self._read(name, fingerprint, passphrase)
        self._partners[name, algorithm, passphrase] = partner
        return partner

    def add_subkey(self, fingerprint: str, algorithm: Algorithm = "ed25519", passphrase: str = "") -> None:
        encryption = "cv25519" if algorithm == "ed25519" else algorithm
        self.gpg("--quick-add-key", fingerprint, encryption, "encr", "never", passphrase=passphrase)

    def rotated(self, partner: Partner) -> Partner:
        """The same primary key with a new encryption subkey, which gpg prefers from now on; the old one stays."""
        self.add_subkey(partner.fingerprint)
        return self._read(partner.name, partner.fingerprint, partner.passphrase)

    def subkeys_only(self, partner: Partner) -> str:
        """The armoured private key as it is handed out when the primary key stays offline."""
        armoured = self.gpg("--armor", "--export-secret-subkeys", partner.fingerprint, passphrase=partner.passphrase)
        return armoured.decode()

    def revoked(self, partner: Partner) -> str:
        """The partner's armoured public key after it was revoked. The key is of no use to this workshop afterwards."""
        certificate = (self.home / "openpgp-revocs.d" / f"{partner.fingerprint}.rev").read_text()
        self.gpg("--import", data=certificate[certificate.index(":-----BEGIN") + 1 :].encode())
        return self.gpg("--armor", "--export", partner.fingerprint).decode()

    def encrypt(
        self,
        data: bytes | Path,
        *recipients: Partner,
        signers: Sequence[Partner] = (),
        armour: bool = False,
        compress: Literal["none", "zip", "zlib", "bzip2"] = "zlib",
        hidden: bool = False,
        options: Sequence[str] = (),
    ) -> bytes:
        """A message as a partner's gpg writes it; for a ``Path`` its content is not held here, only the message is."""
        arguments = ["--encrypt", "--compress-algo", compress, *options]
        arguments += [a for r in recipients for a in ("--hidden-recipient" if hidden else "--recipient", r.fingerprint)]
        if signers:
            arguments += ["--sign", *(a for s in signers for a in ("--local-user", s.fingerprint))]
        if armour:
            arguments.append("--armor")
        if isinstance(data, Path):
            return self.gpg(*arguments, "--output", "-", str(data))
        return self.gpg(*arguments, data=data)

    def seal(self, packets: bytes, recipient: Partner, *, integrity: bool = True) -> bytes:
        """``packets`` encrypted as they are: anything may be inside. Without integrity it is the packet of RFC 2440.

        The session key and its packet come from a message that gpg wrote.
        """
        message = self.encrypt(b"x", recipient)
        shown = self.gpg(
            "--show-session-key", "--status-fd", "1", "--output", os.devnull, "--yes", "--decrypt", data=message
        )
        cipher, key = shown.decode().split("SESSION_KEY ")[1].split()[0].split(":")
        assert cipher in ("7", "8", "9"), "seal knows AES only"
        head = message[: _packet_end(message)]
        aes = algorithms.AES(bytes.fromhex(key))
        prefix = os.urandom(16)
        prefix += prefix[-2:]
        if integrity:
            body = prefix + packets + b"\xd3\x14"
            body += hashlib.sha1(body).digest()
            return head + packet(18, b"\x01" + _cfb(aes, bytes(16), body))
        start = _cfb(aes, bytes(16), prefix)
        return head + packet(9, start + _cfb(aes, start[2:], packets))

    def _fingerprints(self, which: str) -> list[str]:
        records = self.gpg("--with-colons", "--list-keys", which).decode().splitlines()
        return [record.split(":")[9] for record in records if record.startswith("fpr:")]

    def _read(self, name: str, fingerprint: str, passphrase: str) -> Partner:
        return Partner(
            name=name,
            fingerprint=fingerprint,
            subkey=self._fingerprints(fingerprint)[-1],
            private=self.gpg("--armor", "--export-secret-keys", fingerprint, passphrase=passphrase).decode(),
            public=self.gpg("--armor", "--export", fingerprint).decode(),
            passphrase=passphrase,
        )


def packet(tag: int, body: bytes) -> bytes:
    """RFC 9580 section 4.2: new format, five-octet length."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def literal(data: bytes) -> bytes:
    return packet(11, b"b\x00" + bytes(4) + data)


def _packet_end(message: bytes) -> int:
    length_bytes = (1, 2, 4)[message[0] & 0x03]
    return 1 + length_bytes + int.from_bytes(message[1 : 1 + length_bytes], "big")


def _cfb(aes: algorithms.AES, iv: bytes, data: bytes) -> bytes:
    encryptor = Cipher(aes, CFB(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def flip(message: bytes, position: int) -> bytes:
    """One byte changed; a negative ``position`` counts from the end."""
    changed = bytearray(message)
    changed[position] ^= 0x55
    return bytes(changed)
