"""The body of an object on its way to the disk: whole, with its digest, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError

from adplatform.failures import TransientFailure
from adplatform.flow.version import save

LARGE = 17 << 20


@dataclass(frozen=True)
class Body:
    """A response of S3 whose connection ends after so many bytes, with or without a word."""

    content: bytes
    ends: int
    error: Exception | None = None

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        for start in range(0, self.ends, size):
            yield self.content[start : min(start + size, self.ends)]
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_body_is_saved_whole_with_its_digest(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    assert save(Body(content, size), tmp_path / "f", size, "the file") == sha256(content).hexdigest()
    assert (tmp_path / "f").read_bytes() == content


@pytest.mark.parametrize("size", [5, LARGE])
def test_a_body_that_ends_early_is_told(tmp_path: Path, size: int) -> None:
    with pytest.raises(TransientFailure, match=f"the file: {size - 1} of {size} bytes came"):
        save(Body(bytes(size), size - 1), tmp_path / "f", size, "the file")


@pytest.mark.parametrize("size", [5, LARGE])
def test_what_ends_the_connection_is_raised(tmp_path: Path, size: int) -> None:
    with pytest.raises(ReadTimeoutError):
        save(Body(bytes(size), size - 1, ReadTimeoutError(endpoint_url="s3")), tmp_path / "f", size, "the file")
