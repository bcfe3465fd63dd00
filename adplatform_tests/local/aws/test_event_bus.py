"""A rule is left out before moto looks at it only where moto would find that it does not match."""

from typing import Any

import pytest
from moto.events.models import EventPattern

from adplatform.local.aws.event_bus import _names_another

EVENT = {"source": "aws.s3", "resources": ["a", "b"], "detail": {"bucket": {"name": "mine"}, "object": {"size": 3}}}


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ({"source": ["aws.s3"], "detail": {"bucket": {"name": ["mine"]}}}, False),
        ({"source": ["aws.s3"], "detail": {"bucket": {"name": ["another", "third"]}}}, True),
        ({"source": ["aws.glue"]}, True),
        ({"detail": {"bucket": {"name": ["another", {"prefix": "mi"}]}}}, False),
        ({"detail": {"bucket": {"name": [{"anything-but": "mine"}]}}}, False),
        ({"$or": [{"source": ["aws.glue"]}, {"detail": {"bucket": {"name": ["mine"]}}}]}, False),
        ({"resources": ["b"]}, False),
        ({"detail": {"object": {"size": [{"numeric": ["=", 3]}]}}}, False),
        ({"source": {"of": ["aws.s3"]}}, False),
        ({"detail": ["aws.s3"]}, False),
        ({"source": "aws.s3"}, False),
        ({"missing": ["x"]}, False),
    ],
)
def test_only_a_rule_that_names_another_value_is_left_out(pattern: dict[str, Any], left_out: bool) -> None:
    assert _names_another(pattern, EVENT) is left_out
    moto = EventPattern("", {})
    if left_out:
        assert not moto._does_event_match(EventPattern._flatten_dict(EVENT), pattern)
