"""What a delivered file may grow to when it is decrypted, unpacked and read."""

from pydantic import Field

from adplatform.contracts.sizes import Size
from adplatform.contracts.strict import Strict


class Limits(Strict):
    """A file above one of these is refused while it is read, as what is made to fill disks and memory is; the message
    says which and what was found."""

    unpacked: Size = 256 << 30
    """What one delivered file may come to when it is decrypted and unpacked, all layers and members together, such as
    ``64GB``. Of Parquet and Avro the values count as they are read: each for 16 bytes, and a text for its own
    beside."""
    ratio: float = Field(default=250, ge=1)
    """How many times its own size a delivered file may come to."""
    ratio_from: Size = 64 << 20
    """What a delivered file may come to at any ratio: small files are often compressed well."""
    rows: int = Field(default=1_000_000_000, ge=1)
    """The most rows of one delivered file; of text each line counts as one."""
