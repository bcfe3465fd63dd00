"""An SFTP server that misbehaves as it is told, over the files of a folder; and one that shows what it supports, and no
more."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko


@dataclass
class Faults:
    """What goes wrong; at first nothing does. The user is ``partner``."""

    password: str = ""
    keys: list[Any] = field(default_factory=list)
    both: bool = False
    """A key alone is not enough: the password is wanted, too."""
    tells_signatures: bool = True
    sessions: int = 1000
    """How many connections get a channel at a time."""
    subsystem: str = "sftp"
    most_bytes: int = 1 << 30
    """What one read gives at most."""
    denied: set[str] = field(default_factory=set)
    """Files and folders that may be seen, but not read."""
    read_only: bool = False
    hides_times: bool = False
    resolves_links: bool = True
    more_names: Sequence[str] = ()
    """Names that stand in each folder, though there is no such file."""
    on_read: Callable[[str, int], object] = lambda _path, _offset: None
    """Asked before each read, with the offset; one that returns "drop" ends the connection, and "end" the file."""
    on_rename: Callable[[str, str], object] = lambda _source, _target: None
    """Asked after each rename; one that returns "drop" ends the connection before it is answered."""
    on_list: Callable[[], object] = lambda: None
    """Asked before a folder is listed."""
    speaks: Callable[[Any], object] | None = None
    """In the place of SFTP, to a channel, which is closed then."""
    asks: bool = False
    """For the password, by questions; no other log-in is known."""
    log_ins: list[str] = field(default_factory=list)
    """What was tried, such as "password refused"."""
    connections: int = 0
    """How many got as far as a session of SFTP."""
    requests: list[str] = field(default_factory=list)


@dataclass
class FaultyHost:
    port: int
    host_key: str
    folder: Path
    faults: Faults
    host: str = "127.0.0.1"


@contextmanager
def faulty_host(folder: Path, faults: Faults) -> Iterator[FaultyHost]:
    """A server for as long as the block lasts, with a thread a connection."""
    key = paramiko.ECDSAKey.generate()
    stopped = threading.Event()
    links: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            while not stopped.is_set():
                try:
                    accepted, _ = listening.accept()
                except TimeoutError:
                    continue
                link = paramiko.Transport(accepted, server_sig_algs=faults.tells_signatures)
                link.add_server_key(key)
                if faults.speaks:
                    link.set_subsystem_handler("sftp", _Speaker, faults.speaks)
                else:
                    link.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, folder, faults, link)
                links.append(link)
                link.start_server(event=threading.Event(), server=_Door(faults, links))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield FaultyHost(listening.getsockname()[1], f"{key.get_name()} {key.get_base64()}", folder, faults)
        finally:
            stopped.set()
            thread.join()
            for link in links:
                link.close()


class _Door(paramiko.ServerInterface):
    def __init__(self, faults: Faults, links: list[Any]) -> None:
        self._faults, self._links, self._has_key = faults, links, False

    def get_allowed_auths(self, username: str) -> str:
        if self._faults.asks:
            return "keyboard-interactive"
        return "password" if self._has_key else "publickey,password"

    def check_auth_publickey(self, username: str, key: Any) -> int:
        if username != "partner" or key not in self._faults.keys:
            return self._noted("publickey", paramiko.AUTH_FAILED)
        result = paramiko.AUTH_PARTIALLY_SUCCESSFUL if self._faults.both else 0
        if self._has_key:
            # Clients may ask whether a key would do before they sign with it.
            return int(result)
        self._has_key = True
        return self._noted("publickey", result)

    def check_auth_password(self, username: str, password: str) -> int:
        known = username == "partner" and self._faults.password and password == self._faults.password
        return self._noted("password", 0 if known and self._has_key >= self._faults.both else paramiko.AUTH_FAILED)

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        known = responses == [self._faults.password]
        return self._noted("keyboard-interactive", 0 if known else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if sum(link.is_authenticated() for link in self._links) > self._faults.sessions:
            return int(paramiko.OPEN_FAILED_RESOURCE_SHORTAGE)
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_subsystem_request(self, channel: Any, name: str) -> bool:
        return name == self._faults.subsystem and bool(super().check_channel_subsystem_request(channel, name))

    def _noted(self, method: str, result: int) -> int:
        self._faults.log_ins.append(f"{method} {'refused' if result == paramiko.AUTH_FAILED else 'taken'}")
        return result


class _Speaker(paramiko.SubsystemHandler):
    def __init__(self, channel: Any, name: str, server: Any, speaks: Callable[[Any], object]) -> None:
        super().__init__(channel, name, server)
        self._speaks = speaks

    def start_subsystem(self, name: str, transport: Any, channel: Any) -> None:
        with channel:
            self._speaks(channel)


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: Any, folder: Path, faults: Faults, link: Any) -> None:
        super().__init__(server)
        self._folder, self._faults, self._link = folder, faults, link
        faults.connections += 1

    def canonicalize(self, path: str) -> str:
        found = Path("/") / path
        return str(found.resolve() if self._faults.resolves_links else found)

    def list_folder(self, path: str) -> Any:
        self._faults.on_list()
        if path in self._faults.denied:
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            entries = [self._told(entry.lstat(), entry.name) for entry in sorted(Path(path).iterdir())]
        except OSError as e:
            return paramiko.SFTPServer.convert_errno(e.errno)
        plain = os.stat_result((0o100644, 0, 0, 1, 0, 0, 3, 0, 1_700_000_000, 0))
        return [*entries, *(self._told(plain, name) for name in self._faults.more_names)]

    def stat(self, path: str) -> Any:
        return self._tried(lambda: self._told(Path(path).stat()))

    def lstat(self, path: str) -> Any:
        return self._tried(lambda: self._told(Path(path).lstat()))

    def open(self, path: str, flags: int, attr: Any) -> Any:
        if path in self._faults.denied:
            return paramiko.SFTP_PERMISSION_DENIED
        self._faults.requests.append(f"open {Path(path).name}")
        return self._tried(lambda: _Handle(path, self, self._faults, self._link))

    def remove(self, path: str) -> Any:
        if self._faults.read_only:
            return paramiko.SFTP_PERMISSION_DENIED
        self._faults.requests.append(f"remove {Path(path).name}")
        return self._tried(Path(path).unlink)

    def rename(self, oldpath: str, newpath: str) -> Any:
        if self._faults.read_only:
            return paramiko.SFTP_PERMISSION_DENIED
        self._faults.requests.append(f"rename {Path(oldpath).name}")
        if Path(newpath).exists():
            return paramiko.SFTP_FAILURE
        done = self._tried(lambda: os.rename(oldpath, newpath))  # noqa: PTH104 - returns nothing
        if self._faults.on_rename(oldpath, newpath) == "drop":
            self._link.close()
        return done

    def mkdir(self, path: str, attr: Any) -> Any:
        if self._faults.read_only:
            return paramiko.SFTP_PERMISSION_DENIED
        return self._tried(Path(path).mkdir)

    def _told(self, found: os.stat_result, name: str | None = None) -> Any:
        told = paramiko.SFTPAttributes.from_stat(found, name)
        if self._faults.hides_times:
            told.st_mtime = told.st_atime = None
            told._flags &= ~told.FLAG_AMTIME
        return told

    def _tried(self, work: Callable[[], Any]) -> Any:
        try:
            answer = work()
        except OSError as e:
            return paramiko.SFTPServer.convert_errno(e.errno)
        return paramiko.SFTP_OK if answer is None else answer


class _Handle(paramiko.SFTPHandle):
    def __init__(self, path: str, files: _Files, faults: Faults, link: Any) -> None:
        super().__init__()
        self.readfile = Path(path).open("rb")  # noqa: SIM115 - paramiko closes it
        self._path, self._files, self._faults, self._link = path, files, faults, link

    def stat(self) -> Any:
        return self._files._told(os.fstat(self.readfile.fileno()))

    def read(self, offset: int, length: int) -> Any:
        if not self._link.is_active():
            # What was asked before the connection dropped is none of the next one's reads.
            return paramiko.SFTP_FAILURE
        said = self._faults.on_read(self._path, offset)
        if said == "drop":
            self._link.close()
        if said == "end":
            return paramiko.SFTP_EOF
        data = super().read(offset, min(length, self._faults.most_bytes))
        # What paramiko returns at a file's end is no answer of SFTP.
        return data if data != b"" else paramiko.SFTP_EOF


@contextmanager
def offering(**offers: str) -> Iterator[int]:
    """The port of an SSH server that gets as far as telling which algorithms it supports: ``kex``, ``key``, ``cipher``
    and ``mac``, each by default what all have."""
    common = {
        "kex": "curve25519-sha256",
        "key": "ssh-ed25519,ecdsa-sha2-nistp256",
        "cipher": "aes128-ctr",
        "mac": "hmac-sha2-256",
    }
    kex, key, cipher, mac = ({**common, **offers}[name].encode() for name in common)
    lists = [kex, key, cipher, cipher, mac, mac, b"none", b"none", b"", b""]
    payload = b"\x14" + bytes(16) + b"".join(struct.pack(">I", len(one)) + one for one in lists) + bytes(5)
    padding = 16 - (len(payload) + 5) % 8
    packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)

    def serve(accepted: socket.socket) -> None:
        accepted.sendall(b"SSH-2.0-old\r\n" + packet)
        while accepted.recv(65536):
            pass

    with speaking(serve) as port:
        yield port


@contextmanager
def speaking(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that does that with each connection, in a thread of its own, and closes it."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def one(accepted: socket.socket) -> None:
            with accepted:
                accepted.settimeout(10)
                try:
                    serve(accepted)
                except OSError:
                    return

        def accept() -> None:
            while not stopped.is_set():
                try:
                    accepted, _ = listening.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=one, args=(accepted,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            thread.join()
