"""What asyncssh asks of a client while a connection is made: is this the host, and which credentials are there?"""

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Sequence

import asyncssh

LOG = "asyncssh"
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
_OLD_CIPHERS = ("aes256-cbc", "aes192-cbc", "aes128-cbc")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_OLD_MACS = ("hmac-sha1",)
"""A keyed hash, of which the weakness of SHA-1 is none."""
_SIGNATURES = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
_METHODS = ("publickey", "password", "keyboard-interactive")
_KINDS = {"key exchange": 0, "host key": 1, "cipher": 3, "MAC": 5}
"""Kinds of algorithms, and where the list of each stands in the message that begins a key exchange (RFC 4253, 7.1); of
ciphers and MACs, those from the server to the client."""
_PSEUDO = ("ext-info-", "kex-strict-")
_PACKET = 128 * 1024
"""Bytes of data that the server may put into one packet: each costs the same time, whatever its size."""
_WINDOW = 8 << 20
_LOOKED_SECONDS = 0.1


class Client(asyncssh.SSHClient):
    """Takes a host with one of the ``pinned`` keys, and logs in with a key and a password, each once at most."""

    def __init__(
        self, pinned: Collection[bytes], key: asyncssh.SSHKey | None, password: str, logging_in: Callable[[], None]
    ) -> None:
        self.connection: asyncssh.SSHClientConnection | None = None
        self.shown: asyncssh.SSHKey | None = None
        self.offered = ""
        self.wanted: list[str] = []
        """Methods that the server asked for since, and which there was nothing left for."""
        self._pinned, self._key, self._password, self._logging_in = pinned, key, password, logging_in

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key
        return key.public_data in self._pinned

    def begin_auth(self, username: str) -> None:
        self._logging_in()

    def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        key, self._key = self._key, None
        if not self._is_offered("publickey", key is not None) or key is None:
            return None
        [pair] = asyncssh.load_keypairs([key])
        if pair.algorithm == b"ssh-rsa":
            # A server that does not tell what it takes would be given SHA-1.
            pair.sig_algorithms = (b"rsa-sha2-512", b"rsa-sha2-256")
            pair.set_sig_algorithm(b"rsa-sha2-512")
        return pair

    def password_auth_requested(self) -> str | None:
        password, self._password = self._password, ""
        return password if self._is_offered("password", bool(password)) else None

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._is_offered("keyboard-interactive", bool(self._password)) else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        """Where it asks one thing, that is the password."""
        if not prompts:
            return []
        password, self._password = self._password, ""
        return [password] if len(prompts) == 1 and password else None

    def disagreement(self) -> str:
        """The kinds of algorithms that both have none in common of, with both lists; empty where they agree, or do not
        know of each other yet."""
        lists = _offers(self.connection.get_hash_prefix()) if self.connection else []
        said = []
        for kind, place in _KINDS.items() if lists else ():
            ours, theirs = (each[place] for each in lists)
            common = [name for name in ours if name in theirs]
            if theirs and not common:
                said.append(f"no {kind} in common: the server has {', '.join(theirs)}; here are {', '.join(ours)}")
            if kind == "cipher" and common and "gcm" in common[0]:
                # It needs no MAC.
                break
        return "; ".join(said)

    def _is_offered(self, method: str, is_there: bool) -> bool:
        if is_there:
            self.offered, self.wanted = method, []
        else:
            self.wanted.append(method)
        return is_there


async def connect(
    sock: socket.socket, name: str, username: str, algorithms: Sequence[str], keepalive_seconds: float, client: Client
) -> asyncssh.SSHClientConnection | None:
    """A connection that is logged in; None where the algorithms differ, which asyncssh leaves to the server to notice
    in part. Nothing is read from this machine's configuration, keys or agents of SSH.

    Raises:
        asyncssh.Error, OSError: it fails.
        ValueError, LookupError, AssertionError: the server says what asyncssh does not expect.
    """
    log = logging.getLogger(LOG)
    if log.level == logging.NOTSET:
        # It tells names of users and files, and what it raises, too.
        log.setLevel(logging.CRITICAL)
    connecting = asyncio.ensure_future(
        asyncssh.connect(
            name,
            sock=sock,
            client_factory=lambda: client,
            config=None,
            known_hosts=([], [], []),
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            server_host_key_algs=algorithms,
            kex_algs="-*sha1",
            encryption_algs=[*_CIPHERS, *_OLD_CIPHERS],
            mac_algs=[*_MACS, *_OLD_MACS],
            compression_algs=["none"],
            signature_algs=_SIGNATURES,
            username=username,
            client_keys=None,
            agent_path=None,
            host_based_auth=False,
            gss_host=None,
            preferred_auth=_METHODS,
            login_timeout=0,
            keepalive_interval=keepalive_seconds,
            utf8_decode_errors="replace",
            window=_WINDOW,
            max_pktsize=_PACKET,
        )
    )
    try:
        while not connecting.done() and not client.disagreement():
            await asyncio.wait({connecting}, timeout=_LOOKED_SECONDS)
        return None if client.disagreement() else await connecting
    except BaseException:
        if client.connection:
            client.connection.abort()
        raise
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


def _offers(told: bytes) -> list[list[list[str]]]:
    """What the client and the server offer, as lists of their first messages of a key exchange: after both versions,
    each is a string with its length before it. Empty while one is missing."""
    strings = []
    for _ in range(4):
        length = int.from_bytes(told[:4])
        strings.append(told[4 : 4 + length])
        told = told[4 + length :]
    return [_name_lists(message) for message in strings[2:]] if strings[2] and strings[3] else []


def _name_lists(message: bytes) -> list[list[str]]:
    found, rest = [], message[17:]
    for _ in range(8):
        length = int.from_bytes(rest[:4])
        names = rest[4 : 4 + length].decode("ascii", "replace").split(",")
        found.append([name for name in names if name and not name.startswith(_PSEUDO)])
        rest = rest[4 + length :]
    return found
