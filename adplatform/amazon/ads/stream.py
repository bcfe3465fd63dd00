"""Amazon Marketing Stream: the performance data sets of sponsored ads, and what a queue needs to be sent them.

Messages come hourly, each with what has changed of an hour since the message before it: sums of all messages are what
an hour comes to, and clicks that turn out to be invalid, or conversions that are revised, are taken away again by
negative values. They come at least once; ``idempotency_id`` is the same in each copy (Amazon Ads documentation, guides
of Amazon Marketing Stream: overview, data guide, FAQ, September 2025).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.column import Column

AWS_REGIONS: Mapping[str, str] = {"na": "us-east-1", "eu": "eu-west-1", "fe": "us-west-2"}
"""Where the queue of an advertiser's region has to be (onboarding guide for SQS, "Step 1")."""
REVIEWER = "arn:aws:iam::926844853897:role/ReviewerRole"
"""Who reads the attributes of a queue before a subscription is taken."""
SUBSCRIPTIONS = "/streams/subscriptions"
SUBSCRIPTION_TYPE = "application/vnd.MarketingStreamSubscriptions.StreamSubscriptionResource.v1.0+json"
CONFIRMED_WITHIN_DAYS = 2
"""After which a subscription that was not confirmed has failed (FAQ; another page says three)."""
TRAFFIC_SETTLES_DAYS = 4
"""Age of a date from which its traffic does not change any more: it comes within 12 hours, and clicks are taken away
again in the 72 hours after that ("Data freshness" of each data set)."""
MONEY = "decimal(18,6)"

_TRAFFIC = (("impressions", "bigint"), ("clicks", "bigint"), ("cost", MONEY))
_WINDOWS = ("1d", "7d", "14d", "30d")


@dataclass(frozen=True)
class DataSet:
    """One data set. ``own`` are columns beside those that all have, with their types; ``names`` says which of them
    stands for what of the sums, where it is called otherwise."""

    id: str
    product: str
    description: str
    own: tuple[tuple[str, str], ...]
    names: Mapping[str, str]

    @property
    def feed(self) -> str:
        """The name of its feed and table."""
        return f"stream_{self.id.replace('-', '_')}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """As its messages have them. Amazon calls ids numerical and writes them as texts."""
        return (
            Column(name="idempotency_id", required=True, comment="The same in every copy of a message."),
            Column(name="dataset_id", required=True, allowed=(self.id,)),
            Column(name="marketplace_id"),
            Column(name="advertiser_id", comment="Tells a profile only together with marketplace_id."),
            Column(name="currency", comment="Currency of all amounts."),
            Column(
                name="time_window_start",
                type="timestamp",
                required=True,
                comment="Begin of the hour (UTC) to which the values are attributed; dt is its date in the profile's "
                "time zone.",
            ),
            *(Column(name=name, type="bigint") for name in ("campaign_id", "ad_group_id", "ad_id")),
            *(Column(name=name, type=kind, comment=_comment(name)) for name, kind in self.own),
        )


def _comment(name: str) -> str:
    return "What it has changed by." if any(name in (each, f"view_{each}") for each, _ in _TRAFFIC) else ""


def _counts(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, MONEY if "_sales_" in name else "bigint") for name in names)


_ATTRIBUTED = ("attributed_conversions", "attributed_sales", "attributed_units_ordered")
_OF_14_DAYS = tuple(f"{each}_14d" for each in _ATTRIBUTED)
_VIEWED = tuple(f"view_{each}" for each in _OF_14_DAYS)
_NEW = tuple(f"attributed_{each}_new_to_brand_14d" for each in ("orders", "sales", "units_ordered"))
_VIEWED_NEW = tuple(f"view_{each}" for each in _NEW)
_EVERY_WINDOW = tuple(f"{each}_{window}" for each in _ATTRIBUTED for window in _WINDOWS)
_SAME_SKU = tuple(f"{each}_{window}_same_sku" for each in _ATTRIBUTED for window in _WINDOWS)
_KEYWORD = (("keyword_id", "bigint"), ("keyword_text", "string"))
_BRANDS = {"match_type": "keyword_type", "placement": "placement_type"}
_DISPLAY = {"keyword_id": "target_id", "keyword_text": "targeting_text"}
_SP, _SB, _SD = "SPONSORED_PRODUCTS", "SPONSORED_BRANDS", "SPONSORED_DISPLAY"

_SETS = (
    DataSet(
        "sp-traffic",
        _SP,
        "Impressions, clicks and cost of Sponsored Products by hour, each row what a message changes.",
        (*_KEYWORD, ("match_type", "string"), ("placement", "string"), *_TRAFFIC),
        {},
    ),
    DataSet(
        "sp-conversion",
        _SP,
        "Conversions of Sponsored Products by the hour of the click, each row what a message changes.",
        (("keyword_id", "bigint"), ("placement", "string"), *_counts((*_EVERY_WINDOW, *_SAME_SKU))),
        {},
    ),
    DataSet(
        "sb-traffic",
        _SB,
        "Impressions, clicks and cost of Sponsored Brands by hour, each row what a message changes.",
        (
            *(*_KEYWORD, ("keyword_type", "string"), ("placement_type", "string"), *_TRAFFIC),
            ("viewable_impressions", "bigint"),
        ),
        _BRANDS,
    ),
    DataSet(
        "sb-conversion",
        _SB,
        "Conversions of Sponsored Brands by the hour of the click or view, each row what a message changes.",
        (
            *(*_KEYWORD, ("keyword_type", "string"), ("placement_type", "string")),
            *_counts((*_OF_14_DAYS, *(f"{each}_same_sku" for each in _OF_14_DAYS[:2]), *_VIEWED, *_NEW, *_VIEWED_NEW)),
        ),
        _BRANDS,
    ),
    DataSet(
        "sd-traffic",
        _SD,
        "Impressions, clicks and cost of Sponsored Display by hour, each row what a message changes.",
        (("target_id", "bigint"), ("targeting_text", "string"), *_TRAFFIC, ("view_impressions", "bigint")),
        _DISPLAY,
    ),
    DataSet(
        "sd-conversion",
        _SD,
        "Conversions of Sponsored Display by the hour of the click or view, each row what a message changes.",
        (
            ("target_id", "bigint"),
            *_counts((*_EVERY_WINDOW, *(each for each in _SAME_SKU if "units" not in each), *_VIEWED)),
            *_counts((*_NEW, *_VIEWED_NEW)),
        ),
        _DISPLAY,
    ),
)
DATASETS: Mapping[str, DataSet] = {each.id: each for each in _SETS}

_ACCOUNTS: Mapping[str, Mapping[str, str]] = {
    "sp-traffic": {"na": "906013806264", "eu": "668473351658", "fe": "074266271188"},
    "sp-conversion": {"na": "802324068763", "eu": "562877083794", "fe": "622939981599"},
    "sb-traffic": {"na": "709476672186", "eu": "623198756881", "fe": "485899199471"},
    "sb-conversion": {"na": "154357381721", "eu": "195770945541", "fe": "112347756703"},
    "sd-traffic": {"na": "370941301809", "eu": "947153514089", "fe": "310605068565"},
    "sd-conversion": {"na": "877712924581", "eu": "664093967423", "fe": "818973306977"},
}
"""Amazon's accounts of AWS whose topics send a data set (resource policies in the data guide; the same in
``stream_infrastructure_config.yml`` of amzn/amazon-marketing-stream-examples)."""


def topics(dataset: str, region: str) -> str:
    """The ARNs, with a ``*`` for the name, of the topics that send a data set to advertisers of a region."""
    return f"arn:aws:sns:{AWS_REGIONS[region]}:{_ACCOUNTS[dataset][region]}:*"


def is_topic_of(arn: str, datasets: Iterable[str], region: str) -> bool:
    """Whether a topic is one of Amazon's that send one of these data sets."""
    return any(arn.startswith(topics(each, region).removesuffix("*")) for each in datasets)


def queue_policy(queue: str, datasets: Sequence[str], region: str) -> dict[str, Any]:
    """The resource policy with which Amazon can send data sets to a queue, given by its ARN."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "MarketingStream",
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnLike": {"aws:SourceArn": [topics(each, region) for each in datasets]}},
            },
            {
                "Sid": "MarketingStreamReview",
                "Effect": "Allow",
                "Principal": {"AWS": REVIEWER},
                "Action": "sqs:GetQueueAttributes",
                "Resource": queue,
            },
        ],
    }
