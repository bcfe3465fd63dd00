"""A file is reported by its bytes: messages of every form are found, and no text is taken for one."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.files.magic import is_openpgp_head
from adplatform_tests.files.openpgp import Workshop


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop.open() as workshop:
        yield workshop


@pytest.mark.parametrize("armour", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("algorithm", ["ed25519", "rsa2048"])
def test_encrypted_messages_are_found(workshop: Workshop, algorithm: str, hidden: bool, armour: bool) -> None:
    recipient = workshop.partner("us", algorithm)  # type: ignore[arg-type]
    assert is_openpgp_head(workshop.encrypt(b"x", recipient, hidden=hidden, armour=armour))


@pytest.mark.parametrize("how", [["--symmetric"], ["--sign"], ["--clear-sign"], ["--sign", "--compress-algo", "none"]])
def test_messages_of_other_kinds_are_found(workshop: Workshop, how: list[str]) -> None:
    signer = workshop.partner("partner")
    assert is_openpgp_head(workshop.gpg(*how, "--local-user", signer.fingerprint, data=b"x", passphrase="p"))


@pytest.mark.parametrize(
    "head", [b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"PAR1", b"\x28\xb5\x2f\xfd", b"-----BEGIN CERT"]
)
def test_other_files_are_none(head: bytes) -> None:
    assert not is_openpgp_head(head)


@settings(deadline=None)
@given(st.binary())
def test_any_head_has_an_answer(head: bytes) -> None:
    assert is_openpgp_head(head) in (True, False)


@settings(deadline=None)
@given(
    st.sampled_from(["utf-8", "latin-1", "cp1252", "cp932", "utf-16"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"]), min_size=3),
)
def test_text_is_never_taken_for_a_message(encoding: str, text: str) -> None:
    assert not is_openpgp_head(text.encode(encoding, errors="ignore"))
