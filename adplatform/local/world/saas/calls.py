"""One request to the simulated CRM on its way through it, and the forms of answers."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from adplatform.local.world.faults import Fault

if TYPE_CHECKING:
    from adplatform.local.world.saas.world import World


@dataclass
class Call:
    """A request for one operation. ``argument`` is the name in its path; ``about`` is what faults can match."""

    world: "World"
    request: Request
    operation: str
    argument: str = ""
    about: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.world.now()

    def fault(self, *kinds: str) -> Fault | None:
        """A fault of these kinds that was ordered for this request."""
        with self.world.lock:
            fault = self.world.faults.take(self.operation, self.about, kinds)
            self.world.changed |= fault is not None
            return fault


def answer(status: int, body: object) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, content_type="application/json;charset=UTF-8")


def refused(status: int, code: str, message: str) -> Response:
    """An error as the REST API words it: a list of one."""
    return answer(status, [{"message": message, "errorCode": code}])
