"""What errors of SFTP mean: of the network, of SSH, of the server's answers. None quotes a secret."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adplatform.failures import (
    AccessRefused,
    CredentialsRefused,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
    clipped,
    is_of_machine,
    local_failure,
)
from adplatform.platform.late import Late
from adplatform.sftp import protocol
from adplatform.sftp.protocol import ProtocolError, StatusError

if TYPE_CHECKING:
    import paramiko
else:
    paramiko = Late("paramiko")

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


@contextmanager
def sftp_failures(what: str) -> Iterator[None]:
    """Run work on a server. ``what`` names it and begins the message.

    Raises:
        CredentialsRefused: it does not take the key or password.
        AccessRefused: the user may not do that.
        NoSuchFile: there is no such file or folder.
        EnvironmentFailure: its name cannot be found, no way leads there, or this machine's disk is to blame.
        TransientFailure: it refuses or ends the connection, does not answer in time, or fails without a reason.
        PermanentFailure: no agreement on algorithms, no SFTP, or a request that it does not know.
    """
    try:
        yield
    except StatusError as e:
        raise _refusal(what, e) from e
    except ProtocolError as e:
        raise PermanentFailure(f"{what}: the server cannot be understood: {e}") from e
    except paramiko.SSHException as e:
        raise _of_ssh(what, e) from e
    except EOFError as e:
        raise _ended(what) from e
    except OSError as e:
        raise _of_system(what, e) from e


def _refusal(what: str, error: StatusError) -> PermanentFailure | TransientFailure:
    said = f" ({clipped(escaped(error.said), _SAID)})" if error.said else ""
    if error.code == protocol.NO_SUCH_FILE:
        return NoSuchFile(f"{what}: there is no such file or folder{said}")
    if error.code == protocol.PERMISSION_DENIED:
        return AccessRefused(f"{what}: the user may not do that{said}: let the server's owner permit it")
    if error.code == protocol.UNSUPPORTED:
        return PermanentFailure(f"{what}: the server does not know that request{said}")
    if error.code == protocol.BAD_MESSAGE:
        return PermanentFailure(f"{what}: the server does not understand the request{said}")
    return TransientFailure(f"{what}: the server could not do it{said or f' (code {error.code})'}; run the step again")


def _of_ssh(what: str, error: "paramiko.SSHException") -> PermanentFailure | TransientFailure:
    if isinstance(error, paramiko.IncompatiblePeer):
        return PermanentFailure(f"{what}: {escaped(str(error))}")
    if isinstance(error, paramiko.BadAuthenticationType):
        takes = ", ".join(escaped(kind) for kind in error.allowed_types)
        return CredentialsRefused(f"{what}: the server takes none of the secret's: it wants {takes}")
    # Of a connection that ends while it asks, paramiko says that authentication failed.
    if isinstance(error, paramiko.AuthenticationException) and "transport shut down" not in str(error):
        return CredentialsRefused(f"{what}: the server does not take the key or password of the secret")
    if isinstance(error, paramiko.ChannelException):
        return TransientFailure(f"{what}: the server opens no session for now ({error.text}): it may allow few at once")
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
    if error.errno is None:
        # What paramiko raises where a channel is closed.
        return _ended(what)
    if isinstance(error, ConnectionError):
        return TransientFailure(f"{what}: the connection was dropped ({error.strerror}); run the step again")
    if error.errno in _UNREACHABLE:
        return EnvironmentFailure(f"{what}: no way leads to the host ({error.strerror}): mend this machine's network")
    if is_of_machine(error):
        return local_failure(what, error)
    return TransientFailure(f"{what}: the connection failed ({error.strerror}); run the step again")
