"""What IAM answers to requests: ``@cloud-copilot/iam-simulate`` in a process of its own, which knows the Service
Authorization Reference, identity and resource policies and their conditions."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ALLOWED, NO_REQUEST = "Allowed", "NoRequest"


@dataclass(frozen=True)
class Request:
    """``identity`` are names of policies of the principal, ``resource_policy`` the name of the resource's own."""

    principal: str
    identity: tuple[str, ...]
    action: str
    resource: str
    resource_policy: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """``verdicts`` are those of the requests, in their order. ``resource_types`` has for each action that was asked
    about the types of resources that it knows; none for one that can be allowed for all resources only."""

    verdicts: tuple[str, ...]
    resource_types: Mapping[str, tuple[str, ...]]


def simulate(
    account: str,
    policies: Mapping[str, Any],
    requests: Sequence[Request],
    actions: Iterable[str] = (),
    *,
    strict: bool = True,
) -> Answers:
    """``policies`` are documents by name; ``actions`` are asked about. Unless ``strict``, what no request can be, such
    as an action on a resource that does not know it, is answered by ``NO_REQUEST``.

    Raises:
        ValueError: IAM knows no such action, or not on such a resource; names it.
        subprocess.CalledProcessError: there is no Node.js, or `npm ci` was not run in this folder.
    """
    asked = {
        "account": account,
        "policies": policies,
        "requests": [
            {
                "principal": each.principal,
                "identity": each.identity,
                "action": each.action,
                "resource": each.resource,
                "resourcePolicy": each.resource_policy,
                "context": {"aws:SecureTransport": "true", **each.context},
            }
            for each in requests
        ],
        "actions": sorted({each for each in actions if "*" not in each}),
    }
    done = subprocess.run(
        ["node", str(HERE / "simulate.mjs")], input=json.dumps(asked), check=True, capture_output=True, text=True
    )
    answer = json.loads(done.stdout)
    for each, verdict in zip(requests, answer["verdicts"], strict=True):
        if strict and "error" in verdict:
            raise ValueError(f"{each.action} on {each.resource}: {verdict['error']}")
    if unknown := [action for action, types in answer["known"].items() if types is None]:
        raise ValueError(f"IAM knows no {', '.join(unknown)}")
    return Answers(
        tuple(verdict.get("verdict", NO_REQUEST) for verdict in answer["verdicts"]),
        {action: tuple(types) for action, types in answer["known"].items()},
    )
