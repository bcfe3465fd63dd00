"""SNS subscriptions over HTTP: confirmed by token before anything is delivered (SNS developer guide, "HTTP/HTTPS
notification JSON format"), delivered outside of the lock, and only to this machine.
"""

import json
import logging
import threading
import urllib.request
import uuid
from collections import deque
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.sns import models, urls
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.responses import SNSResponse

from adplatform.platform.loopback import is_loopback

ATTEMPTS = 3
REMEMBERED_MESSAGES = 100
TIMEOUT_SECONDS = 15.0
_HTTP = frozenset({"http", "https"})

log = logging.getLogger(__name__)


class LocalTopic(models.Topic):
    """moto keeps every message ever published."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent_notifications: deque[Any] = deque(maxlen=REMEMBERED_MESSAGES)


class LocalSubscription(models.Subscription):
    """moto posts to HTTP endpoints while the request waits, without ever asking them to confirm, and waits for ever for
    an endpoint that itself waits for the embedded AWS."""

    def __init__(self, account_id: str, topic: Any, endpoint: str, protocol: str) -> None:
        super().__init__(account_id, topic, endpoint, protocol)
        self.token = uuid.uuid4().hex * 2
        self.confirmed = protocol not in _HTTP

    def publish(
        self,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        message_structure: str | None = None,
    ) -> None:
        if self.protocol not in _HTTP:
            super().publish(
                message, message_id, subject, message_attributes, group_id, deduplication_id, message_structure
            )
            return
        matcher = self._filter_policy_matcher
        if not self.confirmed or (matcher is not None and not matcher.matches(message_attributes, message)):
            return
        if message_structure == "json":
            message = self._parse_message_structure(message, self.protocol)
        post = self.get_post_data(message, message_id, subject, message_attributes)
        raw = str(self.attributes.get("RawMessageDelivery")).lower() == "true"
        self._deliver("Notification", message_id, message if raw else json.dumps(post))

    def private_key(self) -> RSAPrivateKey:
        """moto makes a key for every subscription, which takes longer than most tests of one message."""
        return _signing_key()

    def get_post_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """moto makes a certificate for every message and keeps them all."""
        post: dict[str, Any] = super().get_post_data(*args, **kwargs)
        certificates = models.sns_backends[DEFAULT_ACCOUNT_ID][self.topic.sns_backend.region_name]._message_public_keys
        while len(certificates) > REMEMBERED_MESSAGES:
            del certificates[next(iter(certificates))]
        return post

    def ask_for_confirmation(self, endpoint_url: str) -> None:
        """Posts the SubscriptionConfirmation message, whose SubscribeURL leads back to ``endpoint_url``."""
        query = {"Action": "ConfirmSubscription", "TopicArn": self.topic.arn, "Token": self.token}
        text = f"You have chosen to subscribe to the topic {self.topic.arn}.\nTo confirm, visit the SubscribeURL."
        message_id = str(uuid.uuid4())
        post = self.get_post_data(text, message_id, subject=None) | {
            "Type": "SubscriptionConfirmation",
            "Token": self.token,
            "SubscribeURL": f"{endpoint_url.rstrip('/')}/?{urlencode(query)}",
        }
        del post["UnsubscribeURL"]
        self._deliver("SubscriptionConfirmation", message_id, json.dumps(post))

    def _deliver(self, message_type: str, message_id: str, body: str) -> None:
        if not is_loopback(urlsplit(self.endpoint).hostname or ""):
            log.warning("not delivered: %s is not on this machine", self.endpoint)
            return
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": message_type,
            "x-amz-sns-message-id": message_id,
            "x-amz-sns-topic-arn": self.topic.arn,
        }
        if message_type == "Notification":
            headers["x-amz-sns-subscription-arn"] = self.arn
        request = urllib.request.Request(self.endpoint, body.encode(), headers)  # noqa: S310
        threading.Thread(target=_post, args=(request,), daemon=True).start()


@cache
def _signing_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def _post(request: urllib.request.Request) -> None:
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(ATTEMPTS):
        try:
            with without_proxy.open(request, timeout=TIMEOUT_SECONDS):
                return
        except OSError as e:
            log.warning("%s: %s", request.full_url, e)


class LocalSNSResponse(SNSResponse):
    def subscribe(self) -> Any:
        result = super().subscribe().result
        subscription = self.backend.subscriptions[result["SubscriptionArn"]]
        if not subscription.confirmed:
            subscription.attributes["PendingConfirmation"] = True
            subscription.ask_for_confirmation(self.normalized_request.host_url)
            if not self._get_param("ReturnSubscriptionArn"):
                result = {"SubscriptionArn": "pending confirmation"}
        return ActionResult(result)

    def confirm_subscription(self) -> Any:
        """moto accepts every token. The region is the topic's: a visited SubscribeURL carries no signature."""
        topic_arn, token = self._get_param("TopicArn"), self._get_param("Token")
        backend = models.sns_backends[self.current_account][topic_arn.split(":")[3]]
        for subscription in backend.subscriptions.values():
            if subscription.topic.arn == topic_arn and subscription.token == token:
                subscription.confirmed = True
                subscription.attributes["PendingConfirmation"] = False
                return ActionResult({"SubscriptionArn": subscription.arn})
        raise SNSInvalidParameter("Invalid parameter: Token")


def install() -> None:
    models.Topic = LocalTopic
    models.Subscription = LocalSubscription
    urls.url_paths["{0}/$"] = LocalSNSResponse.dispatch
