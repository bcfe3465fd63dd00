"""Plain HTTP clients of the test server, with nothing in them that could hide what goes over the wire."""

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from adplatform.local.world.amazon.accounts import DEMO_CREDENTIALS, Api
from adplatform.local.world.amazon.server import Server

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
US, CANADA, GERMANY, JAPAN = "3184075526400117", "1460298317755031", "4027711963358820", "2519046680173349"
COLUMNS = ["date", "campaignId", "campaignName", "impressions", "clicks", "cost", "purchases14d", "sales14d"]
HTTP = httpx.Client(verify=False)
"""For all tests: to make a client takes longer than most requests."""
CREATE_TYPE = "application/vnd.createasyncreportrequest.v3+json"


def login(url: str, api: Api, **changed: str) -> httpx.Response:
    app = DEMO_CREDENTIALS[api]
    form = {
        "grant_type": "refresh_token",
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "refresh_token": app.refresh_token,
    }
    return HTTP.post(f"{url}/auth/o2/token", data={**form, **changed})


@dataclass
class Ads:
    """The Ads API for one profile."""

    server: Server
    scope: str = US
    region: str = "na"
    token: str = ""

    def headers(self) -> dict[str, str]:
        if not self.token:
            self.token = login(self.server.url, "ads").json()["access_token"]
        return {
            "Authorization": f"Bearer {self.token}",
            "Amazon-Advertising-API-ClientId": DEMO_CREDENTIALS["ads"].client_id,
            "Amazon-Advertising-API-Scope": self.scope,
        }

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self.headers() | more.pop("headers", {})
        return HTTP.request(method, f"{self.server.url}/{self.region}{path}", headers=headers, **more)

    def create(self, start: date | str, end: date | str | None = None, **configuration: Any) -> httpx.Response:
        body = order(start, end, **configuration)
        return self.call("POST", "/reporting/reports", content=json.dumps(body), headers={"Content-Type": CREATE_TYPE})

    def get(self, report_id: str) -> httpx.Response:
        return self.call("GET", f"/reporting/reports/{report_id}")

    def finish(self) -> None:
        self.server.world.clock.advance(60)

    def report(self, start: date | str, end: date | str | None = None, **configuration: Any) -> list[dict[str, Any]]:
        created = self.create(start, end, **configuration)
        assert created.status_code == 200, created.text
        self.finish()
        reported = self.get(created.json()["reportId"]).json()
        body = HTTP.get(reported["url"]).content
        assert len(body) == reported["fileSize"]
        rows: list[dict[str, Any]] = json.loads(gzip.decompress(body))
        return rows


def order(start: date | str, end: date | str | None = None, **configuration: Any) -> dict[str, Any]:
    return {
        "name": "test",
        "startDate": str(start),
        "endDate": str(end or start),
        "configuration": {
            "adProduct": "SPONSORED_PRODUCTS",
            "groupBy": ["campaign"],
            "columns": COLUMNS,
            "reportTypeId": "spCampaigns",
            "timeUnit": "DAILY",
            "format": "GZIP_JSON",
            **configuration,
        },
    }


@dataclass
class Selling:
    """The Selling Partner API for one region."""

    server: Server
    region: str = "na"
    token: str = ""

    def headers(self) -> dict[str, str]:
        if not self.token:
            self.token = login(self.server.url, "selling_partner").json()["access_token"]
        return {"x-amz-access-token": self.token}

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self.headers() | more.pop("headers", {})
        return HTTP.request(method, f"{self.server.url}/{self.region}{path}", headers=headers, **more)

    def create(self, report_type: str, marketplace: str, start: str, end: str, **more: Any) -> httpx.Response:
        body = {
            "reportType": report_type,
            "marketplaceIds": [marketplace],
            "dataStartTime": start,
            "dataEndTime": end,
            **more,
        }
        return self.call("POST", "/reports/2021-06-30/reports", json=body)

    def get(self, report_id: str) -> httpx.Response:
        return self.call("GET", f"/reports/2021-06-30/reports/{report_id}")

    def finished(self, report_type: str, marketplace: str, start: str, end: str, **more: Any) -> dict[str, Any]:
        created = self.create(report_type, marketplace, start, end, **more)
        assert created.status_code == 202, created.text
        self.server.world.clock.advance(60)
        reported: dict[str, Any] = self.get(created.json()["reportId"]).json()
        return reported

    def document(self, document_id: str, **params: str) -> httpx.Response:
        return self.call("GET", f"/reports/2021-06-30/documents/{document_id}", params=params)

    def fetch(self, reported: dict[str, Any]) -> tuple[bytes, httpx.Response]:
        document = self.document(reported["reportDocumentId"]).json()
        response = HTTP.get(document["url"])
        zipped = document.get("compressionAlgorithm") == "GZIP"
        return (gzip.decompress(response.content) if zipped else response.content), response


def days_ago(days: int) -> str:
    """A date in Los Angeles, where it is the same date as in UTC at ``NOW``."""
    return str(NOW.date() - timedelta(days=days))
