"""AWS Glue: crawlers of tables, and jobs that read tables of databases, each with a role of its own source."""

from collections.abc import Iterator, Sequence

from adplatform.changes.pulled import with_keys
from adplatform.contracts.database import DatabaseSource
from adplatform.engines.crawls import declared_crawlers
from adplatform.engines.declared_crawlers import DeclaredCrawler
from adplatform.engines.declared_glue_jobs import job_request, script_key
from adplatform.lake.crawled import database_input
from adplatform.platform import names
from deploy.estate import Estate
from deploy.properties import properties
from deploy.resources import ResourceStack
from deploy.roles import Statement, add_role, allow, merged, service
from deploy.stacks.keys import KeysStack

_METADATA = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
"""What whoever reads or writes the catalog does with its key (Glue developer guide, "Encrypting your Data Catalog")."""

_NETWORK = [
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcEndpoints", "ec2:DescribeRouteTables", "ec2:DescribeSubnets"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeVpcAttribute"),
]


def add(stack: ResourceStack, estate: Estate, keys: KeysStack, security: str) -> None:
    """Crawlers and jobs that the declared sources need. ``security`` is the logical id of how they encrypt."""
    _crawlers(stack, estate, keys, security)
    jobs = list(job_sources(estate))
    roles: dict[str, list[Statement]] = {}
    for declared in jobs:
        roles.setdefault(str(declared.glue.role), []).extend(job_statements(estate, keys, declared))
    trusted = [service("glue", estate)]
    made = {}
    for role, statements in sorted(roles.items()):
        if not role.startswith("arn:"):
            made[role] = add_role(
                stack,
                *("glue", "role", role),
                name=role,
                description="Reads tables of databases by jobs of Glue.",
                trusted=trusted,
                statements=merged(statements),
            )
    named = sorted({str(each.glue.connection) for each in jobs} & set(estate.config.catalog.connections))
    reaches = {name: _connection(stack, estate, name) for name in named}
    for declared in jobs:
        needed = (made.get(str(declared.glue.role)), reaches.get(str(declared.glue.connection)))
        _job(stack, estate, declared, after=[security, *filter(None, needed)])


def job_sources(estate: Estate) -> Iterator[DatabaseSource]:
    """The databases whose job is made, with the feeds of their keys."""
    for each in estate.of_kind("DatabaseTables"):
        model = each.model
        if isinstance(model, DatabaseSource) and model.engine == "glue" and model.glue.role is not None:
            yield with_keys(model)


def _crawlers(stack: ResourceStack, estate: Estate, keys: KeysStack, security: str) -> None:
    crawlers = [
        crawler for each in estate.sources for crawler in declared_crawlers(estate.settings, estate.zones, each.source)
    ]
    if not crawlers:
        return
    [database] = {each.database for each in crawlers}
    made = stack.add(
        *("glue", "crawled"),
        type="AWS::Glue::Database",
        properties={"CatalogId": estate.account, "DatabaseInput": database_input(database)},
    )
    needed, role = [made, security], estate.settings.crawler_role
    if not role.startswith("arn:"):
        statements = [s for each in crawlers for s in crawler_statements(estate, keys, each)]
        own = add_role(
            stack,
            *("glue", "role", "crawler"),
            name=role,
            description="Reads tables of the clean zone, and writes what it finds into a database for that.",
            trusted=[service("glue", estate)],
            statements=merged(statements),
        )
        needed.append(own)
    for each in crawlers:
        wanted = {**properties(each.request), "Tags": each.request["Tags"]}
        wanted["CrawlerSecurityConfiguration"] = names.PLATFORM
        stack.add("glue", "crawler", each.name, type="AWS::Glue::Crawler", properties=wanted, after=needed)


def _job(stack: ResourceStack, estate: Estate, declared: DatabaseSource, after: Sequence[str]) -> None:
    """Its script is put by `adplatform provision`, which knows it."""
    script = estate.zones.raw_uri(script_key(declared))
    wanted = job_request(declared, script, len(declared.feeds))
    stack.add(
        *("glue", "job", declared.source),
        type="AWS::Glue::Job",
        properties={
            **properties(wanted, kept=["DefaultArguments"]),
            "SecurityConfiguration": names.PLATFORM,
            "Tags": {names.OWNER_TAG: declared.source},
        },
        after=after,
    )


def _connection(stack: ResourceStack, estate: Estate, name: str) -> str:
    """Into a network alone; the job reads the database's log-in from its secret."""
    given = estate.config.catalog.connections[name]
    place = {
        "SubnetId": given.subnet,
        "SecurityGroupIdList": given.security_groups,
        "AvailabilityZone": {"Fn::Join": ["", [{"Ref": "AWS::Region"}, given.zone.removeprefix(estate.region)]]},
    }
    wanted = {
        "Name": name,
        "ConnectionType": "NETWORK",
        "ConnectionProperties": {},
        "PhysicalConnectionRequirements": place,
    }
    made = {"CatalogId": estate.account, "ConnectionInput": wanted}
    return stack.add("glue", "connection", name, type="AWS::Glue::Connection", properties=made)


def crawler_statements(estate: Estate, keys: KeysStack, crawler: DeclaredCrawler) -> list[Statement]:
    """One crawler's (Glue developer guide, "Crawler prerequisites", "Setting up encryption")."""
    below = crawler.path.removeprefix(f"s3://{estate.settings.clean_bucket}/")
    database = crawler.database
    catalog = [estate.arn("glue", part) for part in ("catalog", f"database/{database}", f"table/{database}/*")]
    tables = "A crawler chooses the names of its tables, in a database that is for crawlers alone."
    files = "Each publication has files of its own below the table's prefix."
    tables_actions = [
        *("glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable"),
        *("glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition", "glue:BatchCreatePartition"),
        *("glue:CreatePartition", "glue:UpdatePartition"),
    ]
    return [
        allow(["s3:GetObject"], estate.clean(f"{below}*"), why=files),
        allow(["s3:ListBucket"], estate.clean(), StringLike={"s3:prefix": [below.rstrip("/"), f"{below}*"]}),
        allow(["s3:GetBucketLocation"], estate.clean()),
        allow(["kms:Decrypt"], keys.data.key_arn),
        allow(tables_actions, *catalog, why=tables),
        allow(_METADATA, keys.catalog.key_arn),
        *logged(estate, "/aws-glue/crawlers*"),
    ]


def job_statements(estate: Estate, keys: KeysStack, declared: DatabaseSource) -> list[Statement]:
    """What the script calls (``adplatform.jobs.read_table``), and Glue in its role's name (Glue developer guide, "IAM
    permissions for Glue jobs")."""
    source, glue, zones = declared.source, declared.glue, estate.zones
    plans = estate.raw(f"extract-plans/{source}/*")
    chunks = [estate.raw(f"{zones.landing(source)}*"), estate.raw(f"extracts/{source}/*"), plans]
    runs = "Each reading has names of its own below the source's prefix."
    installed = [_object(place) for place in (glue.package, glue.driver) if place and place.startswith("s3://")]
    secrets = [estate.secret(name) for name in (declared.connection, declared.authority) if name]
    found = [
        allow(["s3:GetObject"], plans, why=runs),
        allow(["s3:GetObject"], estate.raw(script_key(declared)), *installed),
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], *chunks, why=runs),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.data.key_arn),
        allow(["secretsmanager:GetSecretValue"], *secrets),
        allow(["kms:Decrypt"], keys.secrets.key_arn),
        *logged(estate, "/aws-glue/jobs*"),
        measured(),
    ]
    if glue.connection:
        no_resource = "Descriptions of EC2 take no resource."
        interfaces = "Glue makes network interfaces in the subnet of the connection, whose ids nobody knows before."
        parts = ("network-interface/*", "subnet/*", "security-group/*")
        found += [
            allow(
                ["glue:GetConnection"],
                estate.arn("glue", "catalog"),
                estate.arn("glue", f"connection/{glue.connection}"),
            ),
            allow(_METADATA, keys.catalog.key_arn),
            allow(_NETWORK, "*", why=no_resource),
            allow(
                ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"],
                *(estate.arn("ec2", part) for part in parts),
                why=interfaces,
            ),
            allow(
                ["ec2:CreateTags", "ec2:DeleteTags"],
                estate.arn("ec2", "network-interface/*"),
                why=interfaces,
                **{"ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]}},
            ),
        ]
    return found


def measured() -> Statement:
    return allow(
        ["cloudwatch:PutMetricData"],
        "*",
        why="Metrics have no resources; the namespace is Glue's own.",
        StringEquals={"cloudwatch:namespace": "Glue"},
    )


def logged(estate: Estate, groups: str) -> list[Statement]:
    """Logs under the key of the security configuration (Glue developer guide, "Setting up encryption")."""
    why = "Glue names log groups by security configuration and role."
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"]
    reads = "A security configuration has no ARN (Service Authorization Reference, Glue)."
    return [
        allow(actions, estate.arn("logs", f"log-group:{groups}"), why=why),
        allow(["glue:GetSecurityConfiguration"], "*", why=reads),
    ]


def _object(place: str) -> str:
    return f"arn:aws:s3:::{place.removeprefix('s3://')}"
