"""The pattern of files on SFTP servers, whoever carries them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import SftpConnector
from adplatform.contracts.sftp_server import SftpServer
from adplatform.engines.extractor import Extractor
from adplatform.engines.notices import in_doubt
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Target
from adplatform.engines.sftp.server import UploadedFiles, server_files
from adplatform.engines.sftp.targets import FILES
from adplatform.flow.services import Services
from adplatform.flow.source import declared_source
from adplatform.platform.settings import Settings
from adplatform.sftp.places import rules_of


def sftp_files(declared: SftpSource, settings: Settings) -> EngineFiles | UploadedFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: a feed's ``remote`` or ``landing`` is no template, or as what makes the pattern of that kind.
    """
    if isinstance(declared.from_, SftpServer):
        return server_files(declared, settings)
    rules_of(declared)
    if isinstance(declared.from_, SftpConnector):
        from adplatform.engines.sftp.connector import connector_files  # noqa: PLC0415 - one source in many has one

        return connector_files(declared, settings)
    return client_files(declared, settings)


def client_files(declared: SftpSource, settings: Settings) -> EngineFiles:
    """Files that our own workers fetch."""
    source = replace(declared_source(declared, settings.raw_bucket), takes_files=False)

    def targets(services: Services) -> Sequence[Target]:
        from adplatform.engines.sftp.client import Server, findings  # noqa: PLC0415 - brings SSH

        def doubtful() -> bool:
            """One look beside each pass would be one more log-in; a pass says itself why it fails."""
            ledger = services.ledger
            return ledger.extracts.last(source.name, FILES) is None or in_doubt(ledger, source.name, (FILES,))

        look = partial(findings, services, Server(declared, source))
        engine = Extractor(services, source.name, FILES, look, counts_rows=False)
        return [Target(FILES, engine, declared.every, declared.offset, doubtful=doubtful)]

    simulated = declared.host.secret if declared.simulated else None
    return EngineFiles(
        source, topics=declared.topics, targets=targets, names_of_targets=(FILES,), simulated_host=simulated
    )
