"""Alerts as Amazon Q Developer in chat applications (formerly AWS Chatbot) takes them for Slack and Microsoft Teams.

Source: AWS's administrator guide of it, "Custom notifications using Amazon Q Developer in chat applications", whose
table of parameters states no lengths; those below are Slack's of a header and of a section ("Blocks", Slack API).
"""

from collections.abc import Mapping
from typing import Any

from adplatform.failures import clipped, unnamed
from adplatform.platform.alert import Alert, Phase, Severity

TITLE, DESCRIPTION, SHORT = 150, 3000, 200
_MOST = 20
_SIGNS = {
    Severity.INFO: "\u2139\ufe0f",
    Severity.WARNING: "\u26a0\ufe0f",
    Severity.ERROR: "\U0001f534",
    Severity.CRITICAL: "\U0001f6a8",
}
_ENDED = "\u2705"
_ROWS: Mapping[str, str] = {
    "rows_in": "read",
    "clean": "in the table",
    "superseded": "replaced by later ones",
    "quarantined": "quarantined",
    "left_out": "left out on purpose",
}
_HIDDEN = frozenset({"error", "reasons", "problems", "repaired", "action", "reason", *_ROWS})


def chat_body(alert: Alert, key: str) -> dict[str, Any]:
    """The custom notification. ``key`` is the same whenever the same message is sent again."""
    sign, how = (_ENDED, "ended") if alert.phase is Phase.END else (_SIGNS[alert.severity], str(alert.severity))
    steps = [f"`{command}` {what}" for command, what in alert.steps()]
    context = {
        name: clipped(_escaped(str(value)), SHORT)
        for name, value in alert.facts.items()
        if name not in _HIDDEN and isinstance(value, str | int) and value != ""
    }
    return {
        "version": "1.0",
        "source": "custom",
        "id": key,
        "content": {
            "textType": "client-markdown",
            "title": f"{sign} {clipped(_escaped(alert.said()), TITLE - 5)}",
            "description": clipped(_description(alert), DESCRIPTION),
            **({"nextSteps": steps} if steps else {}),
            "keywords": [word for word in (alert.source, how, alert.event) if word],
        },
        "metadata": {
            "threadId": clipped(alert.conversation, SHORT),
            "summary": clipped(_escaped(alert.said()), SHORT),
            "eventType": alert.event,
            **({"relatedResources": [alert.feed]} if alert.feed else {}),
            "additionalContext": dict(list(context.items())[:_MOST]),
        },
    }


def _description(alert: Alert) -> str:
    facts = alert.facts
    texts = [str(facts[name]) for name in ("error", "reason", "action") if facts.get(name)]
    for name in ("problems", "repaired"):
        texts += [str(each) for each in facts.get(name) or ()]
    counts = [f"{facts[name]:,} {what}" for name, what in _ROWS.items() if facts.get(name)]
    if counts:
        texts.append(f"Rows: {', '.join(counts)}")
    if facts.get("reasons"):
        texts.append("Reasons: " + ", ".join(f"{name} {count:,}" for name, count in facts["reasons"].items()))
    return _escaped("\n".join(filter(None, (alert.note, *texts)))) or _escaped(alert.said())


def _escaped(text: str) -> str:
    """Without what Slack takes for a mention or a link ("Formatting text for app surfaces")."""
    return unnamed(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
