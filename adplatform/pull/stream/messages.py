"""Messages of the Marketing Stream, from their queue into the raw zone: as they came, a file for each batch, data set
and date. They leave the queue when the ledger has their files; who dies before gets them again, and copies are known by
their key when a delivery is made a table."""

import gzip
import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from adplatform.amazon.ads.stream import AWS_REGIONS, is_topic_of, queue_policy
from adplatform.failures import listed
from adplatform.flow.budget import Budget
from adplatform.flow.services import Services
from adplatform.flow.slices import slice_settler
from adplatform.flow.source import FeedFlow
from adplatform.platform.calls import NOBODY, acting
from adplatform.platform.queues import delete_messages, find_url, receive
from adplatform.pull.notices import notify
from adplatform.pull.stream.tables import StreamTables

log = logging.getLogger(__name__)

BATCH = 10_000
"""Messages that are written together. One has less than 6 KB (Amazon Ads documentation, SQS best practices)."""
_ALL_SERVERS = 1
"""Seconds to wait for messages: without any SQS asks only some of its servers, and may say that nothing waits (SQS
Developer Guide, "Short polling")."""
MOST_OF_A_RUN = 100_000
"""Messages that one run takes; the next goes on."""
VISIBLE_AGAIN = 600
"""Seconds for which received messages are nobody else's: longer than a batch takes. Later they come again."""
RETENTION_SECONDS = 14 * 24 * 60 * 60
"""Messages wait this long for a platform that is down: the most that SQS has."""
_DATASET = re.compile(r"[a-z0-9-]{1,64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?=T)", re.ASCII)
_REFUSED = frozenset({"InvalidParameter", "InvalidParameterException", "NotFound", "NotFoundException"})
"""What SNS says of a token that is none, or too old, and of a topic that is gone (SNS API reference,
ConfirmSubscription)."""


@dataclass(frozen=True)
class Message:
    """What a message is: a record of a data set, of the ``day`` that it names, if it does; or with a ``topic`` the
    question whether messages of that are wanted. ``text`` is the record as it came, in one line."""

    text: str
    dataset: str = ""
    day: date | None = None
    topic: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Landed:
    """What a batch brought to a delivery."""

    flow: FeedFlow
    day: date
    messages: int
    key: str


def read_message(body: str) -> Message:
    """What a message is. Amazon sends records as they are; the envelope of a topic around one is opened."""
    told = _members(body)
    if told.get("Type") == "SubscriptionConfirmation":
        topic, token = told.get("TopicArn"), told.get("Token")
        if isinstance(topic, str) and isinstance(token, str):
            return Message("", topic=topic, token=token)
    if told.get("Type") == "Notification" and isinstance(told.get("Message"), str):
        body, told = told["Message"], _members(told["Message"])
    # A line end within a JSON document is between its tokens.
    text = re.sub(r"[\r\n]+", " ", body).strip()
    return Message(text, _text(told, "dataset_id"), _day(_text(told, "time_window_start")))


def _day(text: str) -> date | None:
    found = _DAY.match(text)
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _members(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def waiting(services: Services, stream: StreamTables) -> int:
    """About how many messages wait. A queue that is not there is a trouble of which people are notified once."""
    url = _url(services, stream)
    if url is None:
        return 0
    name = "ApproximateNumberOfMessages"
    return int(services.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


@acting(NOBODY)
def provide_queue(services: Services, stream: StreamTables) -> str:
    """Make the queue, which Amazon may send to; its URL. One that is there gets the policy."""
    sqs, account = services.sqs, stream.account
    url: str = sqs.create_queue(QueueName=stream.queue(services.settings))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps(queue_policy(arn, stream.declared.datasets, account.region))
    attributes = {"Policy": policy, "MessageRetentionPeriod": str(RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url


def _url(services: Services, stream: StreamTables) -> str | None:
    """Where messages wait. On the embedded AWS the queue is made here."""
    name, source = stream.queue(services.settings), stream.account.source
    url = find_url(services.sqs, name)
    if url is None and services.settings.env == "local":
        return provide_queue(services, stream)
    known = services.ledger.messages.troubles(source) if url is None else {}
    if url is None and _QUEUE not in known:
        error = f"queue {name} does not exist; `adplatform stream {source}` says how it is made"
        services.ledger.messages.note_trouble(source, _QUEUE, error)
        notify(services, stream.account, "stream_refused", f"{source}: {error}", {"source": source, "error": error})
    return url


_QUEUE = "stream"
"""Under which name it is noted that the queue is not there."""


def take(services: Services, stream: StreamTables, run_id: str, work: Path, budget: Budget) -> Iterator[Landed]:
    """Take what waits, batch by batch, until nothing does, the budget is spent, or this run has taken its part.

    What belongs to no data set that is declared, or is no record at all, goes with the first data set as a text, which
    its contract puts aside: it holds up no others, and its members become no columns. Subscriptions to Amazon's topics
    are confirmed.

    Raises:
        PermanentFailure: the queue was deleted meanwhile.
        TransientFailure: the bucket does not hold what was put there.
    """
    url = _url(services, stream)
    taken, number = 0, 0
    while url is not None and taken < MOST_OF_A_RUN and not (taken and budget.spent):
        messages = _receive(services.sqs, url, budget)
        if not messages:
            return
        if not taken:
            services.ledger.messages.clear_trouble(stream.account.source, _QUEUE)
        taken, number = taken + len(messages), number + 1
        read = [(each, read_message(each["Body"])) for each in messages]
        done = [each for each, message in read if not message.topic or _confirmed(services, stream, message)]
        yield from _landed(services, stream, [m for _, m in read if not m.topic], f"{run_id}-{number:04}", work)
        delete_messages(services.sqs, url, done)


def _receive(sqs: Any, url: str, budget: Budget) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while len(messages) < BATCH and not (messages and budget.spent):
        came = receive(sqs, url, VisibilityTimeout=VISIBLE_AGAIN, WaitTimeSeconds=_ALL_SERVERS)
        if not came:
            break
        messages += came
    return messages


def _landed(
    services: Services, stream: StreamTables, messages: Sequence[Message], batch: str, work: Path
) -> Iterator[Landed]:
    """Put records into the raw zone and have the ledger know their files."""
    flows = {dataset.id: flow for dataset, flow in stream.deltas}
    first, today = stream.deltas[0][1], services.now().date()
    files: dict[tuple[str, date], list[str]] = defaultdict(list)
    strange = Counter[str]()
    for each in messages:
        flow = flows.get(each.dataset)
        if flow is None:
            strange[each.dataset if _DATASET.fullmatch(each.dataset) else "no data set"] += 1
        line = each.text if flow else json.dumps(each.text)
        files[(flow or first).feed.name, each.day if flow and each.day else today].append(line)
    if strange:
        log.warning("%s: messages of %s are put aside", first.table, listed(f"{n} ({c})" for n, c in strange.items()))
    by_name = {flow.feed.name: flow for flow in flows.values()}
    bucket, settler = services.zones.raw_bucket, slice_settler(services, tuple(flows.values()))
    for (name, day), lines in sorted(files.items()):
        flow = by_name[name]
        path, key = work / f"{name}.ndjson.gz", flow.layout.key(day, f"{batch}.ndjson.gz")
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"), mtime=0))
        services.store.upload(path, bucket, key)
        path.unlink()
        settler.arrivals.reconcile(key)
        yield Landed(flow, day, len(lines), key)


def _confirmed(services: Services, stream: StreamTables, message: Message) -> bool:
    """Confirm a subscription of the queue to a topic of Amazon's; whether the message is done with. One that SNS does
    not take now comes again."""
    account, topic = stream.account, message.topic
    # The simulated Amazon has its topics in the embedded AWS.
    own = account.simulated and topic.split(":")[4:5] == [services.account]
    if not own and not is_topic_of(topic, stream.declared.datasets, account.region):
        what = "a message asks to confirm a subscription to a topic that is none of the declared data sets"
        notify(services, account, "stream_refused", f"{account.source}: {what}", {"source": account.source})
        return True
    region = services.aws.region if own else AWS_REGIONS[account.region]
    try:
        replace(services.aws, region=region).client("sns").confirm_subscription(TopicArn=topic, Token=message.token)
    except ClientError as e:
        code = e.response["Error"]["Code"]
        if code not in _REFUSED:
            log.warning("%s: a subscription to %s cannot be confirmed now: %s", account.source, topic, code)
            return False
        what = f"a subscription to {topic} cannot be confirmed ({code}): subscribe anew"
        facts = {"source": account.source, "topic": topic, "error": code}
        notify(services, account, "stream_refused", f"{account.source}: {what}", facts)
    else:
        log.info("%s: confirmed its subscription to %s", account.source, topic)
    return True
