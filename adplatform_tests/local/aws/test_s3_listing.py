"""Pages of a listing."""

import pickle
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from moto.s3.models import FakeDeleteMarker

from adplatform.local.aws.s3_listing import OrderedKeys, page

NAMES = st.text(alphabet="a/é~", min_size=1, max_size=5)
CHANGES = st.lists(st.tuples(NAMES, st.sampled_from(["put", "put", "put", "remove", "mark"])), max_size=25)


class Marker(FakeDeleteMarker):
    def __init__(self) -> None:
        pass

    def dispose(self) -> None:
        pass


@dataclass
class Key:
    name: str

    def dispose(self) -> None:
        pass


def kept_after(changes: list[tuple[str, str]]) -> OrderedKeys:
    keys = OrderedKeys()
    for name, change in changes:
        if change == "remove":
            if name in keys:
                keys.pop(name)
        elif change == "mark":
            keys[name] = Marker()
        else:
            keys.setlist(name, [*keys.getlist(name, []), Key(name=name)])
    return keys


def expected(keys: OrderedKeys, prefix: str, delimiter: str) -> list[str]:
    shown = {name for name in dict.keys(keys) if name.startswith(prefix) and not isinstance(keys[name], Marker)}
    groups = {prefix + name[len(prefix) :].split(delimiter)[0] + delimiter: name for name in shown} if delimiter else {}
    grouped = {name for name in shown if delimiter and delimiter in name[len(prefix) :]}
    return sorted((shown - grouped) | {group for group in groups if any(each.startswith(group) for each in grouped)})


def walked(keys: OrderedKeys, prefix: str, delimiter: str, most: int) -> list[str]:
    found: list[str] = []
    more = True
    while more:
        entries, more = page(keys, prefix, delimiter, found[-1] if found else "", most)
        assert len(entries) == most or not more
        found += [entry if isinstance(entry, str) else entry.name for entry in entries]
    return found


@given(changes=CHANGES, prefix=st.sampled_from(["", "a", "a/", "é/a"]), delimiter=st.sampled_from(["", "/", "~a"]))
def test_pages_of_any_size_have_all_keys_and_common_prefixes_once_and_in_order(
    changes: list[tuple[str, str]], prefix: str, delimiter: str
) -> None:
    keys = kept_after(changes)
    for most in (1, 2, 100):
        assert walked(keys, prefix, delimiter, most) == expected(keys, prefix, delimiter)
    assert page(keys, prefix, delimiter, "", 0) == ([], False)


def test_keys_are_in_order_again_after_they_were_stored(tmp_path: Any) -> None:
    keys = kept_after([("b", "put"), ("a", "put"), ("a", "put")])
    again = pickle.loads(pickle.dumps(keys))
    assert again.names == ["a", "b"]
    assert len(again.getlist("a")) == 2
    again["aa"] = Key(name="aa")
    assert walked(again, "", "", 1) == ["a", "aa", "b"]
