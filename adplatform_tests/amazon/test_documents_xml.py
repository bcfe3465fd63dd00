"""Rows of XML documents: what is read, in which encodings, and what is refused."""

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.documents import rows
from adplatform.failures import PermanentFailure, TransientFailure

RECORDS = "Envelope.Message.Order"
TWO = (
    '<Envelope xmlns:a="urn:x"><Header><Order>no row</Order></Header>'
    '<Message><Order id="1"><Price currency="EUR">59.9</Price><a:City> Köln </a:City><None/>'
    "<Item><Sku>A</Sku></Item><Item><Sku>B &amp; C</Sku></Item></Order></Message>"
    "<Message><Order><City><![CDATA[<O’Fallon>]]></City><!-- <Order/> --></Order></Message></Envelope>"
)
READ = [
    {
        "@id": "1",
        "Price": {"@currency": "EUR", "#text": "59.9"},
        "City": "Köln",
        "None": None,
        "Item": [{"Sku": "A"}, {"Sku": "B & C"}],
    },
    {"City": "<O’Fallon>"},
]


def read(path: Path, document: bytes, country: str = "DE", charset: str = "") -> list[Any]:
    path.write_bytes(document)
    return list(rows(path, "xml", RECORDS, charset=charset, country=country, origin="doc"))


def test_elements_attributes_and_repetitions_are_members(tmp_path: Path) -> None:
    assert read(tmp_path / "d", gzip.compress(f'<?xml version="1.0"?>\n{TWO}'.encode())) == READ


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("UTF-8", "utf-8-sig"),
        ("UTF-16", "utf-16"),
        ("windows-1252", "cp1252"),
        ("ISO-8859-1", "cp1252"),
        ("UTF-8", "cp1252"),
        ("no-such", "utf-8"),
    ],
)
def test_what_the_declaration_says_is_tried_and_need_not_be_so(declared: str, codec: str, tmp_path: Path) -> None:
    document = f"<?xml version='1.0' encoding='{declared}'?>{TWO}".encode(codec)
    assert read(tmp_path / "d", document) == READ


def test_a_document_of_japan_is_in_what_it_declares(tmp_path: Path) -> None:
    document = (
        "<?xml version='1.0' encoding='Shift_JIS'?><Envelope><Message><Order>①二人用</Order></Message></Envelope>"
    )
    assert read(tmp_path / "d", document.encode("cp932"), "US") == [{"#text": "①二人用"}]


@pytest.mark.parametrize("end", [30, 150, len(TWO) - 1])
def test_one_that_stops_in_the_middle_may_come_whole_another_time(end: int, tmp_path: Path) -> None:
    with pytest.raises(TransientFailure, match="XML at line 1"):
        read(tmp_path / "d", TWO.encode()[:end])


ENTITY = '<!DOCTYPE Envelope [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE Envelope [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("order-id\tsku\n1\t2\n", "not the report that was asked for: 'order-id sku 1 2'"),
        ("<Error><Code>AccessDenied</Code></Error>", "its root is Error, not Envelope"),
        (f"{ENTITY}<Envelope><Message><Order>&b;</Order></Message></Envelope>", "it declares a document type"),
        (f"{OUTSIDE}<Envelope><Message><Order>&a;</Order></Message></Envelope>", "it declares a document type"),
        (
            f"<Envelope><Message><Order>{'<a>' * 100}{'</a>' * 100}</Order></Message></Envelope>",
            "more than 100 elements",
        ),
    ],
)
def test_another_thing_is_refused_for_good(document: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure) as refused:
        read(tmp_path / "d", document.encode())
    assert says in str(refused.value)


def test_many_rows_need_little_memory(tmp_path: Path) -> None:
    order = f"<Message><Order><Sku>{'x' * 900}</Sku></Order></Message>"
    (tmp_path / "d").write_bytes(gzip.compress(f"<Envelope>{order * 20_000}</Envelope>".encode()))

    def counted() -> Iterator[int]:
        yield from (1 for _ in rows(tmp_path / "d", "xml", RECORDS, charset="", country="DE", origin="doc"))

    tracemalloc.start()
    assert sum(counted()) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
