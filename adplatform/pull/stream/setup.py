"""What Marketing Stream needs before anything comes: a queue where Amazon looks for it, that takes what Amazon's topics
send, and a subscription for each profile and data set, which is asked of the Ads API by whoever owns the account."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from adplatform.amazon.ads.stream import (
    AWS_REGIONS,
    CONFIRMED_WITHIN_DAYS,
    SUBSCRIPTION_TYPE,
    SUBSCRIPTIONS,
    queue_policy,
    topics,
)
from adplatform.flow.services import Services
from adplatform.platform.queues import find_url
from adplatform.pull.stream.tables import StreamTables


def misplaced(stream: StreamTables, region: str) -> str:
    """Why Amazon would not send to a queue in a region of AWS; "" where it would."""
    account = stream.account
    wanted = AWS_REGIONS[account.region]
    if account.simulated or region == wanted:
        return ""
    return (
        f"Amazon sends the stream of region {account.region} to queues in {wanted} alone, and the platform is in "
        f"{region}: run it in {wanted} for this account, or leave stream out"
    )


def lacking(services: Services, stream: StreamTables) -> Iterator[str]:
    """What is missing, a sentence each."""
    account, name = stream.account, stream.queue(services.settings)
    if wrong := misplaced(stream, services.aws.region):
        yield wrong
    url = find_url(services.sqs, name)
    if url is None:
        yield f"queue {name} is missing: the deployment or `adplatform provision` makes it, with the policy it needs"
        return
    attributes = services.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    refused = [each for each in stream.declared.datasets if topics(each, account.region) not in _allowed(attributes)]
    if refused:
        yield (
            f"queue {name} takes no messages of {', '.join(refused)}: give it the policy that "
            f"`adplatform stream {account.source} --policy` prints, before you subscribe"
        )


def _allowed(attributes: dict[str, str]) -> str:
    """What the policy of a queue names as senders."""
    document = json.loads(attributes.get("Policy") or "{}")
    return json.dumps([each.get("Condition") for each in document.get("Statement", [])])


def queue_arn(services: Services, stream: StreamTables) -> str:
    region = AWS_REGIONS[stream.account.region] if not stream.account.simulated else services.aws.region
    return f"arn:aws:sqs:{region}:{services.account}:{stream.queue(services.settings)}"


def policy(services: Services, stream: StreamTables) -> dict[str, Any]:
    """The policy that the queue needs."""
    return queue_policy(queue_arn(services, stream), stream.declared.datasets, stream.account.region)


def subscriptions(services: Services, stream: StreamTables) -> list[dict[str, Any]]:
    """The requests that subscribe each wanted profile to each data set. One that is made twice is one subscription."""
    from adplatform.amazon.ads.client import HOSTS  # noqa: PLC0415 - brings HTTP

    account, queue = stream.account, queue_arn(services, stream)
    profiles = [scope for scope in services.ledger.scopes.of_source(account.source) if account.wants(scope)]
    return [
        {
            "method": "POST",
            "url": f"{HOSTS[account.region]}{SUBSCRIPTIONS}",
            "headers": {"Amazon-Advertising-API-Scope": profile.id, "Content-Type": SUBSCRIPTION_TYPE},
            "body": {
                "clientRequestToken": str(uuid5(NAMESPACE_URL, f"{queue}/{profile.id}/{dataset}")),
                "dataSetId": dataset,
                "destinationArn": queue,
            },
        }
        for profile in profiles
        for dataset in stream.declared.datasets
    ]


CONFIRMED = (
    f"Each subscription has its question put into the queue, which a run confirms; it has to within "
    f"{CONFIRMED_WITHIN_DAYS} days."
)
