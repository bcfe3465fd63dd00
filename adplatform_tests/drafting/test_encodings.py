"""The encoding of a text by its bytes."""

import pytest

from adplatform.drafting.encodings import decoded, encoding_of

GERMAN = "Datum;Größe;Straße;Käufer\n" * 20


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"a,b\n1,2\n", "utf-8"),
        (GERMAN.encode(), "utf-8"),
        (GERMAN.encode("utf-8-sig"), "utf-8"),
        (GERMAN.encode("cp1252"), "cp1252"),
        (GERMAN.encode("utf-16"), "utf-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "utf-16-le"),
        ("a,b\n1,2\n".encode("utf-16-be"), "utf-16-be"),
        (GERMAN.encode("utf-32"), "utf-32"),
        ("дата;город;имя\n2026;Москва;Анна\n".encode("cp1251"), "cp1251"),
        ("日付,商品名\n2026,コーヒー豆\n".encode("cp932"), "cp932"),
        ("city\nMontréal\n".encode("cp1252"), "cp1252"),
        (b"a\x81b\xe9\n", "latin-1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_encoding_is_found_by_marks_and_bytes(data: bytes, name: str) -> None:
    found = encoding_of(data)
    assert found.name == name
    assert bool(found.reason) == (name != "utf-8")


def test_a_character_that_the_sample_cuts_is_no_other_encoding() -> None:
    cut = "größe".encode()[:3]
    assert encoding_of(cut, whole=False).name == "utf-8"
    assert encoding_of(cut, whole=True).name != "utf-8"
    assert decoded(cut, "utf-8") == "gr"
