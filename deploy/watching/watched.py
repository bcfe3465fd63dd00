"""What there is to watch of the declared sources: their tables and engines."""

from adplatform.contracts.changes import ChangesSource
from adplatform.contracts.database import DatabaseSource
from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.saas import SaasSource
from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_server import SftpServer, Workflow
from adplatform.flow.measures import tables_watched
from adplatform.flow.source import FeedFlow
from deploy.estate import DeployedSource, Estate

PATTERNS = {
    "AmazonAdsReports": "reports",
    "SellingPartnerReports": "reports",
    "SaasFlows": "saas",
    "PartnerPush": "partners",
    "DatabaseTables": "databases",
    "DatabaseChanges": "changes",
    "SftpFiles": "sftp",
    "ReplicatedFiles": "replication",
    "MarketingFact": "facts",
}
"""The pattern of each component, of which there is a dashboard."""


def tables_of(each: DeployedSource) -> list[FeedFlow]:
    """The tables whose metrics the platform writes."""
    return tables_watched(each.source)


def calls_amazon(each: DeployedSource) -> bool:
    return PATTERNS[each.kind] == "reports"


def engines_of(each: DeployedSource) -> list[str]:
    """What the engines of a source are called in metrics (``Limits.called``)."""
    crawled = ["crawler"] if any(flow.feed.crawl for flow in each.source.feeds) else []
    return [*_own(each), *crawled]


def _own(each: DeployedSource) -> list[str]:
    match each.model:
        case SaasSource():
            return ["appflow"]
        case ReplicatedSource():
            return ["datasync"]
        case ChangesSource() as model:
            return ["dms"] if model.task or model.serverless else []
        case DatabaseSource() as model:
            return ["extractor" if model.engine == "embedded" else "glue"]
        case SftpSource() as model:
            if isinstance(model.from_, SftpServer):
                return []
            return ["extractor" if model.from_.kind == "client" else "transfer"]
        case _:
            return []


def workflow_of(each: DeployedSource) -> Workflow | None:
    """The workflow of a server to which partners upload."""
    if isinstance(each.model, SftpSource) and isinstance(each.model.from_, SftpServer):
        return each.model.from_.workflow
    return None


def functions_of(estate: Estate) -> list[str]:
    """Names of the Lambda functions that workflows call, of this account."""
    found: list[str] = []
    for workflow in filter(None, map(workflow_of, estate.sources)):
        found += [workflow.partial_function, workflow.exception_function]
        found += [workflow.function] if workflow.check else []
    return [name for name in dict.fromkeys(found) if not name.startswith("arn:")]
