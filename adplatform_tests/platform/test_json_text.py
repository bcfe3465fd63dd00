"""JSON of others is read in every encoding that it may have, and what is wrong with it has a place."""

import json

import pytest

from adplatform.platform.json_secrets import json_object
from adplatform.platform.json_text import parsed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_bytes_are_read_in_every_encoding_of_unicode(encoding: str) -> None:
    assert parsed('{"name": "für"}'.encode(encoding)) == {"name": "für"}


def test_too_deep_nesting_is_an_error_with_its_line() -> None:
    text = '{"a": "[[[[",\n "b":\n' + "[" * 100_000
    with pytest.raises(json.JSONDecodeError, match="nested too deeply") as refused:
        parsed(text)
    assert (refused.value.lineno, refused.value.colno) == (3, 200)


def test_a_secret_that_is_nested_too_deeply_has_no_members() -> None:
    assert json_object("[" * 100_000) == {}
