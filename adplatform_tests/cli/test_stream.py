"""`adplatform stream`: what an Ads account's stream still needs, and messages of the simulated Amazon on their way."""

import json
from collections.abc import Mapping
from datetime import timedelta
from math import ceil

import httpx
import pytest
from typer.testing import CliRunner

from adplatform.amazon.ads.stream import topics
from adplatform.cli.app import app
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Scope
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import World

PROFILE = DEMO_ACCOUNTS.profiles[0]
KNOWN = Scope(str(PROFILE.id), PROFILE.timezone, PROFILE.country, PROFILE.currency)


@pytest.fixture
def environment(services: Services, aws_endpoint: str) -> Mapping[str, str]:
    provision(services, [])
    settings = services.settings
    return {
        "ADPLATFORM_LEDGER_TABLE": settings.ledger_table,
        "ADPLATFORM_QUEUE_PREFIX": settings.queue_prefix,
        "AWS_ENDPOINT_URL": aws_endpoint,
    }


def said(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["stream", "northwind_ads", *arguments], env=dict(environment))
    return ended.exit_code, ended.stdout


def test_it_says_what_is_missing_until_a_queue_with_the_policy_is_there_and_profiles_are_known(
    services: Services, environment: Mapping[str, str]
) -> None:
    code, text = said(environment)
    assert (code, "missing: queue " in text, "no profile is known yet" in text) == (0, True, True)
    code, text = said(environment, "--policy")
    [queue] = {each["Resource"] for each in json.loads(text)["Statement"]}
    services.sqs.create_queue(QueueName=queue.rpartition(":")[2], Attributes={"Policy": text})
    assert topics("sp-traffic", "na") in text
    assert said(environment, "--subscriptions") == (0, "")
    services.ledger.scopes.put("northwind_ads", [KNOWN])
    code, text = said(environment)
    assert "takes messages of sp-traffic; 0 messages wait" in text
    assert "1 subscriptions are needed" in text
    [request] = [json.loads(line) for line in said(environment, "--subscriptions")[1].splitlines()]
    assert (request["headers"]["Amazon-Advertising-API-Scope"], request["body"]["destinationArn"]) == (KNOWN.id, queue)


def test_what_the_simulated_amazon_sends_of_a_date_waits_and_some_of_it_twice(
    services: Services, environment: Mapping[str, str]
) -> None:
    services.ledger.scopes.put("northwind_ads", [KNOWN])
    today = services.now().date()
    with serving(World()) as amazon:
        code, text = said({**environment, "ADPLATFORM_SIMULATED_AMAZON": amazon.url}, "--send", "2")
        asked = [f"date={today - timedelta(days=age)}&profile={KNOWN.id}&dataset=sp-traffic" for age in range(2)]
        count = sum(len(httpx.get(f"{amazon.url}/_admin/stream?{each}").json()) for each in asked)
    assert (code, text) == (0, f"sent {count + ceil(count / 10)} messages; `adplatform process` takes them\n")
    assert f"{count + ceil(count / 10)} messages wait" in said(environment)[1]


def test_a_source_without_a_stream_is_refused_with_those_that_have_one(environment: Mapping[str, str]) -> None:
    ended = CliRunner().invoke(app, ["stream", "northwind"], env=dict(environment))
    assert ended.exit_code == 1
    assert "'northwind' is no Ads account with a stream; there are northwind_ads" in ended.stderr
