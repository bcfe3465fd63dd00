"""What `adplatform provision` makes of DataSync on the embedded AWS is what the template says."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from adplatform.contracts.replication import ReplicatedSource
from adplatform.engines.declared_locations import place_of
from adplatform.engines.declared_tasks import DeclaredTask
from adplatform.engines.pattern import replicated_files
from adplatform.engines.task_locations import location_uris, same_place
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from deploy.engines.datasync import location_properties, task_of
from deploy.estate import Estate
from deploy.template import Assembly
from deploy.tests.drift import as_deployed, differences
from deploy.tests.engines import REFERENCE
from deploy.tests.test_datasync import STORES, of_source
from deploy.tests.test_transfer import one

SECRETS = {
    "gcs/hmac-key": {"access_key": "GOOG1E", "secret_key": "S3CR3T"},
    "azure/sas": {"sas_token": "S3CR3T"},
    "files/smb": {"user": "reader", "password": "S3CR3T"},
}
SHARES = ("acme.blob.core.windows.net/exports", "files.example.com/share", "nfs.example.com/exports")
_ADDRESS = "told as the address of the location, which is compared"
_SECRET = "told by nobody; that the template has a reference is tested with the templates"
LOCATION: Mapping[str, str] = {
    **dict.fromkeys(("Subdirectory", "ServerHostname", "BucketName", "S3BucketArn", "AzureBlobContainerUrl"), _ADDRESS),
    **dict.fromkeys(("SecretKey", "Password", "AzureBlobSasConfiguration"), _SECRET),
    "AccessKey": "of a secret: a reference in the template, and its value in AWS, which is compared",
    "User": "as the access key",
    "CmkSecretConfig": "provision has DataSync take a key of the account's",
    "AgentArns": "agents of the embedded AWS have ids that it gives",
    "OnPremConfig": "agents, as before",
    "Tags": "told by a call of their own, and compared",
}
LOCATION_TOLD = ("LocationArn", "LocationUri", "CreationTime", "ResponseMetadata")
DEFAULTS = ("AuthenticationType", "MountOptions", "S3StorageClass")
"""What DataSync takes where a location is asked for without them, as some are, and tells."""
TASK: Mapping[str, str] = {
    "SourceLocationArn": "an ARN that AWS gives; what is there is compared",
    "DestinationLocationArn": "as the source",
    "CloudWatchLogGroupArn": "provision makes no log groups; how long logs are kept is the deployment's matter",
    "Options": "differs in LogLevel alone, which goes with the log group",
    "Tags": LOCATION["Tags"],
}


@pytest.fixture(scope="module")
def made(estate: Estate, embedded: Services) -> dict[str, DeclaredTask]:
    """The tasks that `adplatform provision` has made, by source; their agents are those of the embedded AWS."""
    provision(embedded, [])
    embedded.s3.create_bucket(Bucket="other-lake")
    for name, members in SECRETS.items():
        embedded.secrets.create_secret(Name=name, SecretString=json.dumps(members))
    for share in SHARES:
        (embedded.settings.data / "shares" / share).mkdir(parents=True)
    agent = embedded.aws.client("datasync").create_agent(ActivationKey="-".join(["AAAAA"] * 5), AgentName="here")[
        "AgentArn"
    ]
    found = {}
    for each in estate.of_kind("ReplicatedFiles"):
        declared, task = cast(ReplicatedSource, each.model), task_of(each, estate)
        assert declared.from_ is not None and task is not None
        store = declared.from_.model_copy(update={"agents": (agent,)} if declared.from_.agents else {})
        here = declared.model_copy(update={"from_": store})
        replicated_files(here, embedded.settings).provision(embedded)
        found[each.name] = task
    return found


def described(embedded: Services, task: DeclaredTask) -> Mapping[str, Any]:
    client = embedded.aws.client("datasync")
    [arn] = [each["TaskArn"] for each in client.list_tasks()["Tasks"] if each["Name"] == task.name]
    return dict(client.describe_task(TaskArn=arn))


@pytest.mark.parametrize("source", STORES)
def test_a_task_is_the_same(made: dict[str, DeclaredTask], embedded: Services, assembly: Assembly, source: str) -> None:
    told = as_deployed(assembly, described(embedded, made[source]))
    wanted = one(assembly, "AWS::DataSync::Task", Name=f"adplatform-{source}")
    told_only = ("TaskArn", "Status", "CreationTime", "CurrentTaskExecutionArn", "ScheduleDetails", "ResponseMetadata")
    assert differences(told, wanted, TASK, told_only) == {}
    asked = {name: value for name, value in wanted.properties["Options"].items() if name != "LogLevel"}
    assert {name: told["Options"][name] for name in asked} == asked


@pytest.mark.parametrize(("source", "end"), [(s, e) for s in STORES for e in ("source", "destination")])
def test_a_location_is_the_same(
    made: dict[str, DeclaredTask], embedded: Services, assembly: Assembly, source: str, end: str
) -> None:
    client, task = embedded.aws.client("datasync"), made[source]
    place = place_of(task.store) if end == "source" else "s3"
    arn = described(embedded, task)[f"{end.capitalize()}LocationArn"]
    answer = getattr(client, f"describe_location_{place}")(LocationArn=arn)
    told = as_deployed(assembly, location_properties(place, answer))
    kind = STORES[source] if end == "source" else STORES["lake"]
    properties = of_source(assembly, kind, source, end)
    [wanted] = [each for each in assembly.resources(kind) if each.properties == properties]
    told_only = (*LOCATION_TOLD, *(name for name in DEFAULTS if name not in properties))
    assert differences(told, wanted, LOCATION, told_only) == {}
    address = task.uri if end == "source" else f"s3://{task.bucket}/{task.prefix}"
    assert same_place(location_uris(client)[arn], address)
    tags = client.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert {t["Key"]: t["Value"] for t in tags}.items() <= {t["Key"]: t["Value"] for t in properties["Tags"]}.items()


def test_what_is_told_of_a_secret_is_what_the_template_refers_to(
    made: dict[str, DeclaredTask], embedded: Services, assembly: Assembly
) -> None:
    client = embedded.aws.client("datasync")
    for source, member, known, place in (
        ("gcs", "AccessKey", "GOOG1E", "object_storage"),
        ("files", "User", "reader", "smb"),
    ):
        arn = described(embedded, made[source])["SourceLocationArn"]
        assert getattr(client, f"describe_location_{place}")(LocationArn=arn)[member] == known
        assert REFERENCE.fullmatch(of_source(assembly, STORES[source], source, "source")[member])
