"""Clients of the embedded AWS that cost a tenth of what boto3 takes to make one."""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from adplatform.platform.access_keys import AccessKey
from adplatform.platform.aws import Aws

if TYPE_CHECKING:
    from botocore.config import Config

_made = Aws._made


@contextmanager
def copied_clients() -> Iterator[None]:
    """Within, clients of one service at one endpoint are copies of the first: they share its connections, and what it
    has read of the service's model. Each has event handlers of its own, so that what a test registers is its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Aws, "_made", _copied)
        yield


def _copied(self: Aws, service: str, config: "Config") -> Any:
    if self.endpoint_url is None:
        return _made(self, service, config)
    # Connections are not shared with a process that was forked. Another server may have the port, with another key.
    return _copy(_first(os.getpid(), self.key, Aws(self.region, self.endpoint_url), service, _Options(config)))


class _Options:
    """A config that is equal to another one with the same options."""

    def __init__(self, config: "Config") -> None:
        self.config = config
        self._said = repr(sorted(config._user_provided_options.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Options) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)


@cache
def _first(process: int, key: AccessKey | None, aws: Aws, service: str, options: _Options) -> Any:
    return _made(aws, service, options.config)


def _heard_alone(events: Any) -> Any:
    """A copy of a client's events whose handlers are copied once another one is registered, as most copies need not."""
    emitter = object.__new__(_emitter_class())
    vars(emitter).update(vars(events._emitter))
    made = type(events)(emitter, events._event_aliases)
    # What an event is called does not depend on who listens, and is found out by holding it against every alias.
    made._alias_name_cache = events._alias_name_cache
    return made


@cache
def _emitter_class() -> Any:
    from botocore.hooks import HierarchicalEmitter  # noqa: PLC0415

    class CopiedEmitter(HierarchicalEmitter):  # type: ignore[misc]
        _handlers_are_shared = True

        def _register_section(self, *args: Any, **kwargs: Any) -> None:
            self._have_own()
            super()._register_section(*args, **kwargs)

        def unregister(self, *args: Any, **kwargs: Any) -> None:
            self._have_own()
            super().unregister(*args, **kwargs)

        def _have_own(self) -> None:
            if self._handlers_are_shared:
                vars(self).update(vars(copy.copy(self)), _handlers_are_shared=False)

    return CopiedEmitter


def _copy(client: Any) -> Any:
    events = _heard_alone(client.meta.events)
    made = object.__new__(type(client))  # What copy.copy looks for in an empty client is looked for without end.
    vars(made).update(vars(client))
    made.meta = copy.copy(client.meta)
    made.meta.events = events
    made._endpoint = copy.copy(client._endpoint)
    made._endpoint._event_emitter = events
    return made
