"""A feed is added to a file that people wrote, of which every line stays."""

import pytest
import yaml

from adplatform.contracts.yaml_insert import with_feed

HEAD = "type: adplatform.components.PartnerPush\nattributes:\n  source: acme\n"
FEEDS = """  feeds:
    - name: orders   # the orders
      columns: {id: bigint}
      description: |
        Of several
        lines.
    # what comes next

"""
TAIL = "  owners: [team:x]\n"


def entry(indent: str) -> str:
    return f"{indent}- name: added\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + FEEDS + TAIL,
        HEAD + TAIL + FEEDS,
        HEAD + "  feeds:\n  - {name: orders}\n" + TAIL,
        HEAD + "  feeds:\n  - name: orders",
        f"{HEAD}{FEEDS}---\ntype: other\nattributes: {{source: b, feeds: [{{name: c}}]}}\n",
    ],
)
def test_an_entry_stands_at_the_end_of_the_list_and_nothing_else_changes(text: str) -> None:
    changed = with_feed(text, 1, entry)
    assert changed
    before, after = next(yaml.safe_load_all(text)), next(yaml.safe_load_all(changed))
    assert after["attributes"]["feeds"] == [*before["attributes"]["feeds"], {"name": "added"}]
    kept = [line for line in changed.splitlines() if "added" not in line]
    assert kept == text.splitlines()


def test_the_document_is_the_one_that_begins_in_the_line() -> None:
    text = f"{HEAD}{FEEDS}---\n{HEAD}{FEEDS}"
    changed = with_feed(text, 1 + text[: text.index("---\n") + 4].count("\n"), entry)
    assert changed
    first, second = yaml.safe_load_all(changed)
    assert (len(first["attributes"]["feeds"]), len(second["attributes"]["feeds"])) == (1, 2)


@pytest.mark.parametrize("feeds", ["  feeds: [{name: orders}]\n", "  feeds: []\n", "", "  feeds: {a: b}\n"])
def test_other_forms_are_left_to_people(feeds: str) -> None:
    assert with_feed(HEAD + feeds, 1, entry) is None
