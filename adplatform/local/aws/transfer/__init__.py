"""AWS Transfer Family: SFTP connectors that connect and move bytes, SFTP servers that listen on loopback and write what
is uploaded to S3, and managed workflows whose steps are really taken.

Missing: AS2, connectors through VPC Lattice, the limits on waiting files, on hours and on speed; of servers other
protocols, domains and identity providers than SFTP, S3 and their own, host keys beside the first, and that a changed
workflow takes ten minutes to be the server's.
Not documented by AWS, and decided here: every failure code but ``RETRIEVE_FILE_NOT_FOUND``; links are listed as files;
a start at a connector that is not ACTIVE is refused; the results of a transfer that nobody knows are not found.
"""

from adplatform.local.aws import managed


def install() -> None:
    from adplatform.local.aws.transfer import functions  # noqa: PLC0415
    from adplatform.local.aws.transfer.calls import ConnectorResponse  # noqa: PLC0415 - moto's parts of it
    from adplatform.local.aws.transfer.faults import FAULTS  # noqa: PLC0415
    from adplatform.local.aws.transfer.sftp import silence  # noqa: PLC0415
    from adplatform.local.aws.transfer.state import ConnectorBackend  # noqa: PLC0415

    silence()
    managed.host("transfer", ConnectorBackend, ConnectorResponse, {"{0}/$": ConnectorResponse.dispatch})
    managed.CONTROL.known["transfer"] = FAULTS
    managed.CONTROL.answers["transfer"] = functions.asked


def resume() -> None:
    """Goes on where the previous child ended; the endpoint's URL is known by then. Callers do not hold the lock."""
    from moto.backends import get_backend  # noqa: PLC0415

    from adplatform.local.aws.state import LOCK  # noqa: PLC0415
    from adplatform.local.aws.transfer import executions, listening, runs  # noqa: PLC0415

    with LOCK:
        for _, _, backend in get_backend("transfer").iter_backends():
            runs.resume(backend)
            listening.resume(backend)
            executions.resume(backend)
