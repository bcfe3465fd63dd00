"""Every object version of a source in a bucket, those that were overwritten or deleted too."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adplatform.lake.store import Store
from adplatform.lake.zones import EXPORTS


@dataclass(frozen=True)
class StoredVersion:
    """One version of an object. ``version`` is "null" in a bucket that keeps none, and ``marker`` whether it only says
    that the object was deleted."""

    bucket: str
    key: str
    version: str
    size: int
    etag: str
    modified: datetime
    latest: bool
    marker: bool = False

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What never names other bytes."""
        return self.bucket, self.key, self.version, self.etag

    @property
    def located(self) -> dict[str, str]:
        """The S3 arguments that name exactly this version."""
        return {"Bucket": self.bucket, "Key": self.key, "VersionId": self.version}


def versions_of(store: Store, bucket: str, source: str, more: Iterable[str] = ()) -> Iterator[StoredVersion]:
    """All versions of objects of a source: below ``<source>/``, and ``<anything>/<source>/`` as the zones are laid out,
    and below ``more`` prefixes. By prefix, the newest of a key first."""
    tops = [prefix for page in _pages(store.s3, bucket, "", "/") for prefix in _prefixes(page)]
    own = {f"{source}/", *(f"{top}{source}/" for top in tops if top != EXPORTS), *more}
    shortest = [each for each in sorted(own) if not any(each != other and each.startswith(other) for other in own)]
    for prefix in shortest:
        for page in _pages(store.s3, bucket, prefix):
            for each in page.get("Versions", ()):
                size, etag = each["Size"], each["ETag"].strip('"')
                yield StoredVersion(
                    bucket, each["Key"], each["VersionId"], size, etag, each["LastModified"], each["IsLatest"]
                )
            for each in page.get("DeleteMarkers", ()):
                yield StoredVersion(
                    bucket, each["Key"], each["VersionId"], 0, "", each["LastModified"], each["IsLatest"], marker=True
                )


def _pages(s3: Any, bucket: str, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
    more = {"Delimiter": delimiter} if delimiter else {}
    yield from s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix, **more)


def _prefixes(page: dict[str, Any]) -> list[str]:
    return [each["Prefix"] for each in page.get("CommonPrefixes", ())]
