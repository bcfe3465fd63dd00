"""The ways work can fail: for good, for now, or for the place where it runs. Everything below the Dagster layers raises
one of these."""

import errno

_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENODEV, errno.ENXIO),
    }
)
"""Disk full, over quota, read-only, forbidden, broken or gone; no memory or file handles left. A file that is missing
may be a mistake of ours."""


class PermanentFailure(Exception):
    """Trying again cannot help: bad input, bad configuration, broken file. The message says what to do."""


class AccessRefused(PermanentFailure):
    """The credentials may not do it until somebody changes that; nothing is wrong with what was asked."""


class CredentialsRefused(AccessRefused):
    """The credentials are good for nothing at all."""


class TransientFailure(Exception):
    """Trying again may help: throttling, timeouts, a service that is down."""


class EnvironmentFailure(TransientFailure):
    """Nothing is wrong with the work: the place where it runs cannot do it at present. A permission, a key, credentials
    or room on the disk are missing, and somebody may have to act. It counts as no attempt."""


class ClaimLost(TransientFailure):
    """Another run has the work, which is no failure of this one: it has nothing left to do."""


def local_failure(what: str, error: OSError) -> TransientFailure:
    """What an error of this machine's files means for ``what``; an errno that no disk explains is an attempt's own."""
    text = f"{what}: local disk: {error.strerror or type(error).__name__}"
    if not is_of_machine(error):
        return TransientFailure(text)
    place = f" ({error.filename})" if error.filename else ""
    return EnvironmentFailure(f"{text}{place}. Make room, or let this process write below ADPLATFORM_HOME and TMPDIR")


def is_of_machine(error: OSError) -> bool:
    """Whether the machine, not the work, is to blame."""
    return error.errno in _MACHINE
