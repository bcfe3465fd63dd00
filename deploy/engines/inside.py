"""What `adplatform provision` puts into what a deployment has made, and who may."""

from adplatform.engines.declared_glue_jobs import script_key
from adplatform.engines.declared_spark import SCRIPT_KEY
from adplatform.engines.sftp.server import UploadedFiles
from adplatform.engines.spark_environment import ENVIRONMENT_KEY
from adplatform.engines.spark_package import PACKAGE_KEY
from deploy.engines.glue import job_sources
from deploy.estate import Estate
from deploy.roles import Statement, allow
from deploy.stacks.keys import KeysStack


def statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """Scripts of jobs, and keys with which workflows decrypt; the raw bucket says that it was deployed."""
    scripts = [estate.raw(script_key(declared)) for declared in job_sources(estate)]
    if estate.settings.spark:
        imported = PACKAGE_KEY if estate.settings.spark == "glue" else ENVIRONMENT_KEY
        scripts += [estate.raw(SCRIPT_KEY), estate.raw(imported)]
    servers = [each.pattern.server for each in estate.sources if isinstance(each.pattern, UploadedFiles)]
    taken = sorted({s.workflow.decrypt.secret for s in servers if s.workflow and s.workflow.decrypt})
    found = [allow(["s3:GetBucketTagging"], estate.raw())]
    if scripts:
        found += [
            allow(["s3:PutObject"], *scripts),
            allow(["kms:GenerateDataKey"], keys.data.key_arn),
        ]
    if taken:
        listed = "The server is found by its tags."
        by_server = "The id of the server, which is known once it is there, is part of the name."
        kept = estate.arn("secretsmanager", "secret:aws/transfer/*")
        found += [
            allow(["transfer:ListServers"], "*", why=listed),
            allow(["transfer:ListTagsForResource"], estate.arn("transfer", "server/*"), why=listed),
            allow(["secretsmanager:GetSecretValue"], *map(estate.secret, taken)),
            allow(
                ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:CreateSecret"],
                kept,
                why=by_server,
            ),
            allow(["kms:Decrypt"], keys.secrets.key_arn),
        ]
    return found
