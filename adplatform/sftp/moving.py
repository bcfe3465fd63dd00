"""What becomes of a file on its server once it has been fetched. All of it can be done again."""

import stat
from typing import TYPE_CHECKING

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.platform.late import Late
from adplatform.sftp.errors import Changed, NoSuchFile, called, sftp_failures
from adplatform.sftp.listing import RemoteFile, found, is_as_listed
from adplatform.sftp.session import Sftp

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Late("asyncssh")


def move(sftp: Sftp, file: RemoteFile, target: str) -> None:
    """Rename a file, as it was listed, to the path ``target``, whose folder is made. A file of the same size there is
    replaced. Success where it has been moved before.

    Raises:
        Changed: it is another than was listed; it stays.
        PermanentFailure: a file of another size is at the target, or it is a link, which may lead elsewhere from there.
        NoSuchFile: it is neither here nor there.
        AccessRefused, PermanentFailure, TransientFailure, EnvironmentFailure: as :func:`sftp_failures`.
    """
    what = f"file {called(file.path)} to {called(target)}"
    if file.is_link:
        raise PermanentFailure(f"{what}: it is a link, which may lead elsewhere from there: delete it instead")
    with sftp_failures(what):
        here, there = found(sftp, file.path), found(sftp, target)
        if here is None:
            if not _has_size(there, file.size):
                raise NoSuchFile(f"{what}: it is not there, and was not moved: list its folder again")
            return
        _refuse_change(what, file, here)
        if there is not None and there.size != here.size:
            raise PermanentFailure(
                f"{what}: there is another file already, of {there.size} bytes where this one has {here.size}: move it "
                "away, or let `afterwards.move_to` hold {date}, so that each date has a folder of its own"
            )
        if there is None:
            _make_folder(sftp, target.rpartition("/")[0])
        _rename(sftp, file.path, target, replace=there is not None)
        if found(sftp, file.path) is not None or not _has_size(found(sftp, target), file.size):
            raise TransientFailure(f"{what}: the server says it is moved, and it is not; run the step again")


def delete(sftp: Sftp, file: RemoteFile) -> None:
    """Delete a file as it was listed. Success where it has been deleted before.

    Raises:
        Changed: it is another than was listed; it stays.
        AccessRefused, PermanentFailure, TransientFailure, EnvironmentFailure: as :func:`sftp_failures`.
    """
    what = f"file {called(file.path)}"
    with sftp_failures(what):
        here = found(sftp, file.path)
        if here is None:
            return
        _refuse_change(what, file, here)
        sftp.remove(file.path)
        if found(sftp, file.path) is not None:
            raise TransientFailure(f"{what}: the server says it is deleted, and it is not; run the step again")


def _refuse_change(what: str, file: RemoteFile, here: "asyncssh.SFTPAttrs") -> None:
    if not is_as_listed(file, here):
        raise Changed(f"{what}: it is another than was listed, and stays: list it again")


def _rename(sftp: Sftp, source: str, target: str, *, replace: bool) -> None:
    try:
        sftp.posix_rename(source, target)
    except asyncssh.SFTPOpUnsupported:
        if replace:
            sftp.remove(target)
        sftp.rename(source, target)


def _make_folder(sftp: Sftp, folder: str) -> None:
    if folder in ("", "/") or found(sftp, folder) is not None:
        return
    _make_folder(sftp, folder.rpartition("/")[0])
    try:
        sftp.make_folder(folder)
    except asyncssh.SFTPError:
        # Somebody else may have made it meanwhile.
        if not _is_folder(found(sftp, folder)):
            raise


def _is_folder(told: "asyncssh.SFTPAttrs | None") -> bool:
    return told is not None and (told.permissions is None or stat.S_ISDIR(told.permissions))


def _has_size(told: "asyncssh.SFTPAttrs | None", size: int | None) -> bool:
    return told is not None and size is not None and told.size == size
