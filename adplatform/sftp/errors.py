"""What errors of SFTP mean: of the network, of SSH, of the server's answers. None quotes a secret."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adplatform.failures import (
    AccessRefused,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
    clipped,
    is_of_machine,
    local_failure,
    named,
)
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Late("asyncssh")

_SAID = 200
"""Characters of a server's words that are shown."""
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


class NoSuchFile(PermanentFailure):
    """There is nothing of that name."""


class Changed(TransientFailure):
    """The file is not, or no longer, the one that was listed: list it again."""


def escaped(name: bytes | str) -> str:
    """A name of any bytes as one line of text that can be shown: what is not printable is escaped."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def called(path: bytes | str) -> str:
    """A path in the text of a failure, marked as a name (:func:`adplatform.failures.named`)."""
    return named(escaped(path))


@contextmanager
def sftp_failures(what: str) -> Iterator[None]:
    """Run work on a server. ``what`` names it and begins the message.

    Raises:
        AccessRefused: the user may not do that.
        NoSuchFile: there is no such file or folder.
        EnvironmentFailure: its name cannot be found, no way leads there, or this machine's disk is to blame.
        TransientFailure: it refuses or ends the connection, does not answer in time, or fails without a reason.
        PermanentFailure: no agreement on algorithms, no SFTP, or a request that it does not know.
    """
    try:
        yield
    except asyncssh.SFTPError as e:
        raise _refusal(what, e) from e
    except asyncssh.Error as e:
        raise _of_ssh(what, e) from e
    except asyncssh.packet.PacketDecodeError as e:
        raise PermanentFailure(f"{what}: the server cannot be understood: {e}") from e
    except EOFError as e:
        raise _ended(what) from e
    except OSError as e:
        raise _of_system(what, e) from e


def _refusal(what: str, error: "asyncssh.SFTPError") -> PermanentFailure | TransientFailure:
    # A server's words may quote the path.
    said = f" ({named(clipped(escaped(error.reason), _SAID))})" if error.reason else ""
    if isinstance(error, asyncssh.SFTPNoSuchFile):
        return NoSuchFile(f"{what}: there is no such file or folder{said}")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return AccessRefused(f"{what}: the user may not do that{said}: let the server's owner permit it")
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return PermanentFailure(f"{what}: the server does not know that request{said}")
    if isinstance(error, asyncssh.SFTPBadMessage):
        # The server's own answer, or asyncssh's verdict on one.
        return PermanentFailure(f"{what}: the server does not understand the request, or is not understood{said}")
    if isinstance(error, asyncssh.SFTPNoConnection | asyncssh.SFTPConnectionLost):
        return _ended(what)
    return TransientFailure(f"{what}: the server could not do it{said or f' (code {error.code})'}; run the step again")


def _of_ssh(what: str, error: "asyncssh.Error") -> PermanentFailure | TransientFailure:
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return PermanentFailure(f"{what}: {clipped(escaped(error.reason), _SAID)}")
    if isinstance(error, asyncssh.ConnectionLost):
        return _ended(what)
    if isinstance(error, asyncssh.ChannelOpenError) and error.code != asyncssh.OPEN_CONNECT_FAILED:
        return TransientFailure(
            f"{what}: the server opens no session for now ({clipped(escaped(error.reason), _SAID)}): it may allow few "
            "at once"
        )
    return TransientFailure(
        f"{what}: the connection failed ({clipped(escaped(str(error)), _SAID)}); run the step again"
    )


def _ended(what: str) -> TransientFailure:
    return TransientFailure(f"{what}: the server ended the connection; run the step again")


def _of_system(what: str, error: OSError) -> PermanentFailure | TransientFailure:
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_AGAIN:
            return TransientFailure(f"{what}: the name of the host cannot be looked up for now")
        return EnvironmentFailure(f"{what}: the host cannot be found: correct its name, or this machine's name service")
    if isinstance(error, ConnectionRefusedError):
        return TransientFailure(f"{what}: the server refuses the connection: it is down, or the port is another")
    if isinstance(error, TimeoutError):
        return TransientFailure(f"{what}: the server did not answer in time; run the step again")
    if isinstance(error, ConnectionError):
        return TransientFailure(f"{what}: the connection was dropped ({error.strerror}); run the step again")
    if error.errno in _UNREACHABLE:
        return EnvironmentFailure(f"{what}: no way leads to the host ({error.strerror}): mend this machine's network")
    if is_of_machine(error):
        return local_failure(what, error)
    return TransientFailure(f"{what}: the connection failed ({error.strerror}); run the step again")
