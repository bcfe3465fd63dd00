"""One person is found however what identifies them is written, and nobody else is."""

import hashlib
from base64 import b64encode

import pytest

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.failures import PermanentFailure
from adplatform.privacy.keys import HashKey
from adplatform.privacy.person import Person, person_of, read_identifiers
from adplatform.privacy.rules import normalised

EARLIER, CURRENT = HashKey("earlier", bytes(range(32))), HashKey("current", bytes(range(1, 33)))
GIVEN = """email Jane.Doe@gmail.com
phone +49 170 1234567
device_id 38400000-8CF0-11BD-B23E-10B96E40000D
generic_id C-1001-abc
generic_id 4711
"""


@pytest.fixture(scope="module")
def jane() -> Person:
    return person_of(read_identifiers(GIVEN), [EARLIER, CURRENT], ["DE"])


@pytest.mark.parametrize(
    "text",
    [
        "jane.doe@gmail.com",
        "JANE.DOE@GMAIL.COM",
        "janedoe@gmail.com",  # the same account, and the same digest at Google
        " \u00a0jane.doe@gmail.com\u200b",
        "Please write to jane.doe@gmail.com.",
        "?mail=jane.doe%40gmail.com&x=1",
        r'{"mail": "jane.doe\u0040gmail.com"}',
        "\uff4aane.doe@gmail.com",
        "+49 170 1234567",
        "+49 (0)170 / 12 34 567",
        "0049-170-1234567",
        "491701234567",
        "0170/1234567",
        "38400000-8cf0-11bd-b23e-10b96e40000d",
        "order of C-1001-abc",
    ],
)
def test_any_spelling_is_the_person(jane: Person, text: str) -> None:
    assert jane.is_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mary.jane.doe@gmail.com",
        "x+jane.doe@gmail.com",
        "jane.doe@gmail.com.au",
        "jane.doe@gmail.community",
        "export_jane.doe@gmail.com",
        "jane.doe_gmail.com",
        "91701234567",
        "+49 170 12345678",
        "1491701234567",
        "38400000-8cf0-11bd-b23e-10b96e40000d1",
        "C-1001-abcd",
        "4711",
        "***@gmail.com",
        "***67",
    ],
)
def test_others_are_not(jane: Person, text: str) -> None:
    assert not jane.is_in(text)


def test_a_short_id_is_the_person_only_as_a_whole_value_of_a_column_of_ids(jane: Person) -> None:
    assert jane.is_id(" 4711 ")
    assert not jane.is_id("47110")


@pytest.mark.parametrize(
    "treatment", [Treatment.AMAZON_ADS, Treatment.META, Treatment.GOOGLE, Treatment.UID2, Treatment.LAKE]
)
@pytest.mark.parametrize(("kind", "value"), [("email", "Jane.Doe@gmail.com"), ("phone", "0170 1234567")])
def test_every_digest_under_every_key_is_the_person(jane: Person, treatment: Treatment, kind: str, value: str) -> None:
    plain = normalised(treatment, PiiKind(kind), value, "DE")
    assert plain
    unkeyed = hashlib.sha256(plain.encode()).hexdigest()
    found = [key.hmac(text) for key in (EARLIER, CURRENT) for text in (plain, unkeyed)]
    if treatment is not Treatment.LAKE:
        found.append(unkeyed)
        assert jane.is_in(f"x{unkeyed.upper()}")
        encoded = b64encode(bytes.fromhex(unkeyed)).decode()
        assert jane.is_in(f'"{encoded}"')
        assert jane.without(f"a {encoded} b", "-") == "a - b"
    assert all(digest in jane.digests for digest in found[-1:] if treatment is not Treatment.LAKE)
    lake = normalised(Treatment.LAKE, PiiKind(kind), value, "DE")
    assert lake
    assert {EARLIER.hmac(lake), CURRENT.hmac(lake)} <= jane.digests
    assert {EARLIER.hmac(unkeyed), CURRENT.hmac(unkeyed)} <= jane.digests | set(found)


def test_the_first_half_of_a_digest_is_the_person_and_that_of_another_is_not(jane: Person) -> None:
    lake = normalised(Treatment.LAKE, PiiKind("email"), "Jane.Doe@gmail.com", "DE")
    assert lake
    short, other = CURRENT.hmac(lake)[:32], CURRENT.hmac("joe@x.org")[:32]
    assert jane.is_in(f"arn,,{short},by_email,{other}")
    assert not jane.is_in(f"arn,,{other},by_email,{other}")
    assert not jane.is_in(f"{short}{other}")
    assert jane.without(f"a/{short}.csv", "erased") == "a/erased.csv"


def test_what_names_the_person_is_taken_out_of_a_text_and_nothing_else(jane: Person) -> None:
    assert jane.without("landing/acme/jane.doe@gmail.com-2.csv", "erased") == "landing/acme/erased-2.csv"
    assert jane.without("landing/x_jane.doe%40gmail.com/b.csv", "erased") == "landing/erased/b.csv"
    assert jane.is_in_name("export_jane.doe@gmail.com.csv.gz")


def test_identifiers_are_read_from_lines_and_from_json() -> None:
    listed = '[{"kind": "email", "value": "a@b.example"}, {"kind": "phone", "value": "0170 1", "country": "de"}]'
    lines = 'email a@b.example\n\n# a comment\n{"kind": "phone", "value": "0170 1", "country": "Germany"}\n'
    assert read_identifiers(listed) == read_identifiers(lines)
    assert read_identifiers(lines)[1].country == "DE"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jane@secret.example", "line 1: its kind is none of email"),
        ("email a@b.example\nemail ", "line 2: its value is no text"),
        ("{jane@secret.example", "line 1 is no JSON"),
        ("[1]", "entry 1 is no"),
        ("first_name Jane", "line 1: its kind is none of email"),
    ],
)
def test_a_mistake_is_named_by_its_line_and_never_quoted(text: str, says: str) -> None:
    with pytest.raises(PermanentFailure, match=says) as raised:
        read_identifiers(text)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "email jane.secret", "phone 170secret"])
def test_nobody_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure) as raised:
        person_of(read_identifiers(text), [CURRENT], [])
    assert "secret" not in str(raised.value)


def test_a_person_shows_nothing_of_itself(jane: Person) -> None:
    assert "jane" not in repr(jane).lower()
    assert "jane" not in repr(read_identifiers(GIVEN)).lower()
