"""The queue of a Marketing Stream: whether Amazon can send to it, and what asks for a confirmation."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure
from adplatform.flow.budget import UNLIMITED
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Scope
from adplatform.local.world.amazon.stream import send
from adplatform.pull.account import account_of
from adplatform.pull.pattern import pulled_reports
from adplatform.pull.stream.messages import provide_queue, take, waiting
from adplatform.pull.stream.setup import lacking, misplaced, subscriptions
from adplatform.pull.stream.tables import StreamTables, stream_of
from adplatform.resources.provisioning import provision_patterns


def declared(**settings: Any) -> AdsSource:
    given: dict[str, Any] = {"source": "ads", "credentials": "s", "start_date": "2026-01-01"}
    given |= {"reports": ["sp_campaigns"], "stream": ["sp-traffic", "sd-traffic"], **settings}
    return AdsSource.model_validate(given)


def streaming(**settings: Any) -> StreamTables:
    found = stream_of(account_of(declared(**settings)))
    assert found is not None
    return found


def test_what_keeps_amazon_from_sending_is_said_until_nothing_does(services: Services) -> None:
    stream = streaming()
    assert ["is missing" in each for each in lacking(services, stream)] == [True]
    provision_patterns(services, [pulled_reports(declared(), services.settings)])
    assert list(lacking(services, stream)) == []
    only_one = streaming(stream=["sp-traffic"])
    url = provide_queue(services, only_one)
    (refused,) = lacking(services, stream)
    assert "sd-traffic" in refused and "sp-traffic" not in refused
    services.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    (refused,) = lacking(services, stream)
    assert "sp-traffic, sd-traffic" in refused


def test_a_queue_in_another_region_than_amazons_is_refused() -> None:
    assert misplaced(streaming(region="eu"), "eu-west-1") == ""
    assert "eu-west-1 alone" in misplaced(streaming(region="eu"), "eu-central-1")


def test_each_wanted_profile_is_subscribed_to_each_data_set_and_twice_is_once(services: Services) -> None:
    provision(services, [])
    stream = streaming(profiles={"countries": ["US"]})
    services.ledger.scopes.put("ads", [Scope("1", "UTC", "US"), Scope("2", "UTC", "CA")])
    asked = subscriptions(services, stream)
    assert [(each["headers"]["Amazon-Advertising-API-Scope"], each["body"]["dataSetId"]) for each in asked] == [
        ("1", "sp-traffic"),
        ("1", "sd-traffic"),
    ]
    assert asked == subscriptions(services, stream)
    assert len({each["body"]["clientRequestToken"] for each in asked}) == 2


def asking(topic: str) -> str:
    return json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": topic, "Token": "a-token-that-nobody-gave"})


@pytest.mark.parametrize(
    ("region", "account", "said"),
    [("us-east-1", "999999999999", "none of the declared data sets"), ("us-east-1", "906013806264", "subscribe anew")],
    ids=["of somebody else", "with a token that SNS refuses"],
)
def test_a_question_that_cannot_be_confirmed_is_told_of_and_leaves_the_queue(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture, region: str, account: str, said: str
) -> None:
    provision(services, [])
    stream = streaming()
    send(services.sqs, provide_queue(services, stream), [asking(f"arn:aws:sns:{region}:{account}:topic")])
    assert list(take(services, stream, "run", tmp_path, UNLIMITED)) == []
    assert said in caplog.text and "a-token-that-nobody-gave" not in caplog.text
    assert waiting(services, stream) == 0


def test_a_report_that_is_called_as_a_table_of_the_stream_is_refused() -> None:
    report = {"name": "stream_daily", "extends": "sp_campaigns"}
    with pytest.raises(PermanentFailure, match="stream_daily is a table of its stream"):
        streaming(reports=[report])


@pytest.mark.parametrize(
    "given", [[], ["sp-traffic", "sp-traffic"], ["budget-usage"], {"datasets": ["sp-traffic"], "tolerance": -1}]
)
def test_a_stream_that_cannot_be_read_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        declared(stream=given)
