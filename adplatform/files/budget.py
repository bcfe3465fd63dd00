"""What a delivered file may come to, spent while it is read: one account for all of its layers and members.

A few hundred bytes of OpenPGP, gzip, zstd or zip can stand for gigabytes, as a page of Parquet can.
"""

import errno
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from adplatform.contracts.limits import Limits
from adplatform.contracts.sizes import write_size
from adplatform.failures import EnvironmentFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.survey import Surveyor

_BETWEEN_LOOKS = 64 << 20
_SPARE = 256 << 20
"""Bytes of a disk that stay free, but at most the hundredth part of it: others write there, too."""
DEFAULT = Limits()


@dataclass
class Budget:
    """``received`` are the bytes of the file as it was delivered, ``origin`` names it."""

    origin: str
    received: int
    limits: Limits = DEFAULT
    unpacked: int = 0
    rows: int = 0
    _looked_at: int = field(default=0, repr=False)

    def spend(self, chunks: Iterable[bytes], disk: Path | None = None) -> Iterator[bytes]:
        """The same chunks, which are on their way to ``disk`` if they are written anywhere.

        Raises:
            BadFile: before a chunk above the limits is handed on.
            EnvironmentFailure: the disk would be full.
        """
        for chunk in chunks:
            self.take(len(chunk), disk)
            yield chunk

    def take(self, size: int, disk: Path | None) -> None:
        """Bytes that are about to be written to ``disk``, or used up.

        Raises: as :meth:`spend`.
        """
        self.check(self.unpacked + size)
        self.unpacked += size
        if disk is not None and self.unpacked >= self._looked_at:
            self._looked_at = self.unpacked + _BETWEEN_LOOKS
            require_room(disk, _BETWEEN_LOOKS if self.unpacked > _BETWEEN_LOOKS else size, self.origin)

    @property
    def most_by_ratio(self) -> int:
        return max(self.limits.ratio_from, int(self.received * self.limits.ratio))

    def check(self, size: int) -> None:
        """
        Raises:
            BadFile: the file may not come to so many bytes.
        """
        limits = self.limits
        if size > limits.unpacked:
            self._refuse(
                f"comes to {size:,} bytes or more when it is unpacked, and {write_size(limits.unpacked)} are allowed",
                "unpacked",
            )
        if size > self.most_by_ratio:
            self._refuse(
                f"comes to {size:,} bytes or more when it is unpacked, over {limits.ratio:g} times the "
                f"{self.received:,} that were delivered, as what is made to fill disks and memory does",
                "ratio",
            )

    def lines(self, chunks: Iterable[bytes], surveyor: Surveyor) -> Iterator[bytes]:
        """The same chunks of text, of which ``surveyor`` counts the lines, which are rows.

        Raises:
            BadFile: there are too many.
        """
        before = self.rows
        for chunk in chunks:
            surveyor.take(chunk)
            self.add_rows(before + surveyor.rows - self.rows)
            yield chunk

    def add_rows(self, more: int) -> None:
        """
        Raises:
            BadFile: there are too many.
        """
        self.rows += more
        if self.rows > self.limits.rows:
            self._refuse(f"has {self.rows:,} rows or more, and {self.limits.rows:,} are allowed", "rows")

    def _refuse(self, found: str, setting: str) -> None:
        raise BadFile(
            self.origin,
            Reason.TOO_LARGE,
            f"{found}; if the sender says that it is right, raise {setting} in the feed's limits",
        )


def require_room(disk: Path, size: int, what: str) -> None:
    """
    Raises:
        EnvironmentFailure: the disk has no room for so many bytes beside those that stay free.
    """
    usage = shutil.disk_usage(disk)
    if usage.free - size < min(_SPARE, usage.total // 100):
        raise EnvironmentFailure(
            f"{what}: the local disk of {disk} has {usage.free:,} bytes free, too few for this file. Make room there, "
            "or have ADPLATFORM_HOME and TMPDIR name another disk",
            cause=f"local disk: {errno.ENOSPC}",
        )
