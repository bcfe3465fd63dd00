"""A plain HTTP client of the CRM, with nothing in it that could hide what goes over the wire."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import httpx

from adplatform.local.world.saas.accounts import DEMO_APP

BEGAN = date(2026, 11, 1)
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
HTTP = httpx.Client(verify=False, trust_env=False)
"""For all tests: to make a client takes longer than most requests."""
API = "/services/data/v62.0"


def login(url: str, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": DEMO_APP.client_id,
        "client_secret": DEMO_APP.client_secret,
        "refresh_token": DEMO_APP.refresh_token,
    }
    return HTTP.post(f"{url}/services/oauth2/token", data={**form, **changed})


@dataclass
class Crm:
    """The API with a good token."""

    url: str
    token: str = ""

    def get(self, path: str, **more: Any) -> httpx.Response:
        if not self.token:
            self.token = login(self.url).json()["access_token"]
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return HTTP.get(f"{self.url}{path}", headers=headers, **more)

    def query(self, soql: str, *, everything: bool = False, **more: Any) -> httpx.Response:
        return self.get(f"{API}/query{'All' * everything}", params={"q": soql}, **more)

    def records(self, soql: str, *, everything: bool = False, size: int = 2000) -> list[dict[str, Any]]:
        """The records of all pages, without their attributes."""
        options = {"Sforce-Query-Options": f"batchSize={size}"}
        page = self.query(soql, everything=everything, headers=options).json()
        found = page["records"]
        while not page["done"]:
            page = self.get(page["nextRecordsUrl"]).json()
            found += page["records"]
        assert len(found) == page["totalSize"]
        return [{k: v for k, v in record.items() if k != "attributes"} for record in found]

    def admin(self, name: str, body: object = None, **params: str) -> Any:
        url = f"{self.url}/_admin/{name}"
        return (HTTP.get(url, params=params) if body is None else HTTP.post(url, json=body)).json()

    def truth(self, name: str, **params: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.admin("truth", object=name, **params)
        return found


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]
