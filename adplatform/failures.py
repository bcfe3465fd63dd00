"""The two ways work can fail: for good, or for now. Everything below the Dagster layers raises one of these."""


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
