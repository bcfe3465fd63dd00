"""Settings written as YAML are read back as they were."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts import written

VALUES = st.recursive(
    st.text() | st.booleans() | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_value_is_read_back(value: object) -> None:
    assert yaml.safe_load(f"a: {written.flow(value)}   # why") == {"a": value}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"type": "decimal(12,2)"}, "decimal(12,2)"),
        ({"type": "decimal(12,2)", "required": True}, "{type: 'decimal(12,2)', required: true}"),
        ({"field": "NO"}, "{field: 'NO'}"),
        ({"field": "E-Mail"}, "{field: E-Mail}"),
        ({"formats": ["%d.%m.%Y"]}, "{formats: ['%d.%m.%Y']}"),
        ({}, "string"),
    ],
)
def test_a_column_is_one_line(settings: dict[str, object], line: str) -> None:
    assert written.column(settings) == line
