"""A seller at an Amazon that makes the documents that a test gives."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.selling_partner.client import open_selling_partner
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.amazon.wire import serving_bytes
from adplatform_tests.pull.made_amazon import MadeAmazon
from adplatform_tests.pull.seller import MORNING, Seller, declared

Open = Callable[..., Seller]


@pytest.fixture
def opened(services: Services, tmp_path: Path) -> Iterator[Open]:
    """Opens an account with these reports at an Amazon that makes these documents."""
    at = [MORNING]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    name = f"{timed.settings.database_prefix}secret"
    credentials = {"client_id": "app", "client_secret": "s", "refresh_token": "r"}
    timed.secrets.create_secret(Name=name, SecretString=json.dumps(credentials))
    work = tmp_path / "work"
    work.mkdir()

    def sleep(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)

    with ExitStack() as stack:

        def open_one(amazon: MadeAmazon, *reports: Any, **more: Any) -> Seller:
            amazon.url = stack.enter_context(serving_bytes(amazon)).url
            account = declared(*reports, **more)
            api = open_selling_partner(
                *(timed.secrets, name, "eu", timed.ledger, tmp_path / "tokens"),
                sleep=sleep,
                endpoint=amazon.url,
                marketplaces=account.wanted if account.vendor else (),
            )
            return Seller(timed, account, api, at, work)

        yield open_one
