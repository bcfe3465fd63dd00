"""Tasks of DataSync made as YAML declares them, with the locations that they need.

Secrets are read here, to be handed to DataSync, and nothing that they hold is in any error.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from adplatform.engines.declared_locations import destination_location, needed, place_of, source_location
from adplatform.engines.declared_tasks import DeclaredTask, tags_of, task_request
from adplatform.engines.handed_secrets import hidden, read_secret
from adplatform.engines.task_locations import location_uris, same_place
from adplatform.platform.arns import role_arn
from adplatform.platform.aws_errors import aws_failures

_KNOWN = ("user", "domain")
"""Members of secrets that DataSync itself tells everybody who may describe a location."""


def provide(client: Any, secrets: Any, declared: DeclaredTask, account: str) -> bool:
    """Make the task and its locations; False when there is one of its name already. Locations that an earlier attempt
    left are removed: they have the credentials and settings of then, and DataSync does not tell all of these. Roles of
    ``account`` may go by name; secrets are read only to be handed to DataSync.

    Raises:
        PermanentFailure: a secret is missing or lacks a member, or DataSync refuses something.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    with aws_failures(f"task {declared.name}"):
        pages = client.get_paginator("list_tasks").paginate()
        if any(task.get("Name") == declared.name for page in pages for task in page["Tasks"]):
            return False
        uris = location_uris(client)
        _remove_left(client, declared, "source", declared.uri, uris)
        _remove_left(client, declared, "destination", f"s3://{declared.bucket}/{declared.prefix}", uris)
    role = role_arn(declared.role, account)
    source = _source_location(client, secrets, declared, account)
    with aws_failures(f"task {declared.name}"):
        made = client.create_location_s3(**destination_location(declared, account))
        client.create_task(**task_request(declared, source, made["LocationArn"], role))
    return True


def _source_location(client: Any, secrets: Any, declared: DeclaredTask, account: str) -> str:
    wanted = needed(declared.store)
    kept = read_secret(secrets, wanted.secret, wanted.members, wanted.optional) if wanted else {}
    request = source_location(declared, account, kept)
    create = getattr(client, f"create_location_{place_of(declared.store)}")
    secret = [value for member, value in kept.items() if member not in _KNOWN]
    with hidden(secret), aws_failures(f"location {declared.uri}"):
        return str(create(**request)["LocationArn"])


def _remove_left(client: Any, declared: DeclaredTask, end: str, uri: str, uris: Mapping[str, str]) -> None:
    """Remove what an earlier attempt made for this end of the task, unless somebody uses it."""
    wanted = {tag["Key"]: tag["Value"] for tag in tags_of(declared, end)}
    for arn, there in uris.items():
        if not same_place(there, uri):
            continue
        pages = client.get_paginator("list_tags_for_resource").paginate(ResourceArn=arn)
        tags = {tag["Key"]: tag.get("Value", "") for page in pages for tag in page["Tags"]}
        if wanted.items() <= tags.items():
            with suppress(client.exceptions.InvalidRequestException):
                client.delete_location(LocationArn=arn)
