"""Sizes are read as people write them, and written so that they are read back."""

import pytest
from pydantic import ValidationError

from adplatform.contracts.limits import Limits
from adplatform.contracts.sizes import parse_size, write_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("500MB", 500 << 20), (" 1.5 GB ", 3 << 29), ("2KB", 2048), ("1TB", 1 << 40), (7, 7)],
)
def test_a_size_has_a_unit(text: str | int, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize("text", ["", "5", "5 gb", "-1GB", "GB", "1e3MB", True, None, 1.5, "9" * 400 + "GB", "0GB", -1])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match="unpacked"):
        Limits.model_validate({"unpacked": text})
