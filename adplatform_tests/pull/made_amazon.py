"""A Selling Partner API on the wire that makes of each order the document that a test gives for its report type."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from adplatform_tests.amazon.wire import RESET, Seen, reply
from adplatform_tests.pull.seller import MORNING

Order = Mapping[str, Any]
"""The body of a createReport request."""


@dataclass
class MadeAmazon:
    """Answers requests for reports, which are ready at once; the next ``lose`` answers to orders are lost. Types in
    ``restricted`` are read with a restricted token for the one document alone. Orders are made one second after the
    other, from ``created`` on."""

    documents: Mapping[str, Callable[[Order], bytes]]
    marketplaces: Mapping[str, str] = field(default_factory=lambda: {"A1PA6795UKMFR9": "DE"})
    restricted: frozenset[str] = frozenset()
    charset: str = ""
    orders: list[Order] = field(default_factory=list)
    discovered: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    created: datetime = MORNING
    lose: int = 0
    status: str = "DONE"
    url: str = ""

    def ranges(self, report_type: str = "") -> list[tuple[str, str]]:
        """The ranges that were asked for, of one type or all, sorted."""
        of_type = (order for order in self.orders if report_type in ("", order["reportType"]))
        return sorted((order["dataStartTime"], order["dataEndTime"]) for order in of_type)

    def __call__(self, seen: Seen) -> bytes:
        path, last = urlsplit(seen.path).path, urlsplit(seen.path).path.rpartition("/")[2]
        match (seen.method, path.removesuffix(last)):
            case ("POST", "/auth/o2/"):
                return reply(200, {"access_token": "Atza|token", "token_type": "bearer", "expires_in": 3600})
            case ("GET", "/sellers/v1/"):
                return self._participations()
            case ("POST", "/tokens/2021-03-01/"):
                token = f"Atz.sprdt|{len(self.tokens)}"
                self.tokens[token] = json.loads(seen.body)["restrictedResources"][0]["path"]
                return reply(200, {"restrictedDataToken": token, "expiresIn": 3600})
            case ("POST", "/reports/2021-06-30/"):
                self.orders.append(json.loads(seen.body))
                self.lose -= 1
                if self.lose >= 0:
                    return RESET
                return reply(202, {"reportId": str(len(self.orders))})
            case ("GET", "/reports/2021-06-30/"):
                wanted = parse_qs(urlsplit(seen.path).query)["reportTypes"]
                made = [*self.discovered, *(self._described(str(n)) for n in range(1, len(self.orders) + 1))]
                return reply(200, {"reports": [report for report in made if report["reportType"] in wanted]})
            case ("GET", "/reports/2021-06-30/reports/"):
                return reply(200, self._described(last))
            case ("GET", "/reports/2021-06-30/documents/"):
                return self._document(last, self.tokens.get(seen.headers["x-amz-access-token"]) == path)
            case ("GET", "/download/"):
                order = self._order(last)
                return reply(200, self.documents[order["reportType"]](order), content_type=self._content_type())
        return reply(404, {"errors": [{"code": "NotFound", "message": path}]})

    def _described(self, report_id: str) -> dict[str, Any]:
        """What Amazon says of an order: not its options."""
        order = {name: value for name, value in self.orders[int(report_id) - 1].items() if name != "reportOptions"}
        created = (self.created + timedelta(seconds=int(report_id))).isoformat()
        reported = {"processingStatus": self.status, "createdTime": created}
        if self.status == "DONE":
            reported["reportDocumentId"] = report_id
        return {**order, "reportId": report_id, **reported}

    def _order(self, document: str) -> Order:
        return (
            next((r for r in self.discovered if r["reportDocumentId"] == document), None)
            or self.orders[int(document) - 1]
        )

    def _document(self, document: str, may_read: bool) -> bytes:
        if self._order(document)["reportType"] in self.restricted and not may_read:
            return reply(
                403, {"errors": [{"code": "Unauthorized", "message": "Access to requested resource is denied."}]}
            )
        return reply(200, {"reportDocumentId": document, "url": f"{self.url}/download/{document}"})

    def _participations(self) -> bytes:
        payload = [
            {
                "marketplace": {"id": name, "countryCode": country, "defaultCurrencyCode": "EUR"},
                "participation": {"isParticipating": True},
            }
            for name, country in self.marketplaces.items()
        ]
        return reply(200, {"payload": payload}) if payload else reply(403, {"errors": [{"code": "Unauthorized"}]})

    def _content_type(self) -> str:
        return f"text/plain; charset={self.charset}" if self.charset else "text/plain"
