"""How many rows Parquet files have, by their own footers."""

from typing import TYPE_CHECKING

from adplatform.failures import PermanentFailure
from adplatform.lake.remote_file import RemoteFile
from adplatform.lake.store import Store, Stored
from adplatform.platform.at_once import at_once
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")


def rows_by_name(store: Store, location: str) -> dict[str, int]:
    """The rows of each file at a location of the clean zone.

    Raises:
        PermanentFailure: one is no Parquet file.
    """
    zones = store.zones
    prefix = zones.clean_key(location)

    def rows(file: Stored) -> int:
        try:
            remote = RemoteFile(store.s3, zones.clean_bucket, file.key, file.size)
            return int(pq.read_metadata(remote).num_rows)
        except pa.ArrowInvalid as e:
            raise PermanentFailure(f"{zones.clean_uri(file.key)} is no Parquet file: {e}") from e

    found = list(store.listing(zones.clean_bucket, prefix))
    return dict(zip((file.key.removeprefix(prefix) for file in found), at_once(rows, found), strict=True))
