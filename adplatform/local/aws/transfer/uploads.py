"""Sessions of SFTP over S3, as Transfer Family has them: an object is written when its file is closed, a rename copies
and deletes, nothing can be appended to, and times and permissions cannot be set.

Not documented by AWS, and decided here: a rename puts itself over what has the name, folders cannot be renamed, a file
that is opened neither empty nor new is refused, a file whose session ends is written as far as it came.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, Any, TypeVar

import paramiko
from botocore.exceptions import ClientError
from paramiko import SFTPAttributes

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL, own_s3
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer import executions, places, server_reports
from adplatform.local.aws.transfer.homes import Home, home_of
from adplatform.local.aws.transfer.places import Place
from adplatform.local.aws.transfer.server_state import FileLocation
from adplatform.local.aws.transfer.sftp import Failed
from adplatform.local.aws.transfer.state import ConnectorBackend

_PART = 8 << 20
_SPOOLED = 1 << 20
T = TypeVar("T")


class Sessions(paramiko.SFTPServer):
    """paramiko's, which tells the session who has logged in."""

    def start_subsystem(self, name: str, transport: Any, channel: Any) -> None:
        self.server.begin(str(channel.get_transport().get_username()))
        super().start_subsystem(name, transport, channel)


class Refused(Exception):
    """An operation is answered with this code of the protocol."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Folders(paramiko.SFTPServerInterface):
    """One session: what a user sees."""

    def __init__(self, server: Any, backend: ConnectorBackend, name: str, session: str) -> None:
        super().__init__(server)
        self.backend, self.name, self.session, self.ended = backend, name, session, False
        self.user = ""
        self.home = Home("/", (), None)
        self.no_op = False

    def begin(self, user: str) -> None:
        self.user = user
        with LOCK:
            found = self.backend.user(self.name, user)
            self.home = home_of(found.asked)
            self.no_op = self.backend.server(self.name).protocol.get("SetStatOption") == "ENABLE_NO_OP"

    def session_ended(self) -> None:
        self.ended = True

    def canonicalize(self, path: str) -> str:
        return self.home.absolute(path)

    def list_folder(self, path: str) -> Any:
        return _answered(lambda: self._listed(path))

    def stat(self, path: str) -> Any:
        return _answered(lambda: self._attributes(path))

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> Any:
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        return _answered(lambda: self._write(path, flags) if writes else self._read(path))

    def remove(self, path: str) -> int:
        return int(_answered(lambda: self._remove(path)))

    def rename(self, oldpath: str, newpath: str) -> int:
        return int(_answered(lambda: self._rename(oldpath, newpath)))

    posix_rename = rename

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        return int(_answered(lambda: self._put_folder(path)))

    def rmdir(self, path: str) -> int:
        return int(_answered(lambda: self._remove_folder(path)))

    def chattr(self, path: str, attr: SFTPAttributes) -> int:
        return int(paramiko.SFTP_OK if self.no_op else paramiko.SFTP_OP_UNSUPPORTED)

    def allowed(self, action: str, path: str) -> Place:
        """
        Raises:
            Refused: the user has nothing there, or may not do it.
        """
        where = self.home.place(path)
        if where is None or not self.home.may(action, where):
            raise Refused(paramiko.SFTP_PERMISSION_DENIED)
        return where

    def _listed(self, path: str) -> list[SFTPAttributes]:
        where = self.allowed("ListBucket", path)
        below = f"{where.key}/" if where.key else ""
        found: list[SFTPAttributes] = []
        exists = self.home.absolute(path) == self.home.absolute(".")
        pages = own_s3().get_paginator("list_objects_v2").paginate(Bucket=where.bucket, Prefix=below, Delimiter="/")
        for page in pages:
            for each in page.get("CommonPrefixes", ()):
                found.append(_folder(each["Prefix"].removeprefix(below).rstrip("/")))
            for each in page.get("Contents", ()):
                exists = True
                if each["Key"] != below:
                    found.append(_file(each["Key"].removeprefix(below), each["Size"], each["LastModified"]))
        if not found and not exists:
            raise Refused(paramiko.SFTP_NO_SUCH_FILE)
        return found

    def _attributes(self, path: str) -> SFTPAttributes:
        if self.home.absolute(path) in (self.home.absolute("."), "/"):
            return _folder("/")
        where = self.home.place(path)
        if where is None or not (self.home.may("ListBucket", where) or self.home.may("GetObject", where)):
            raise Refused(paramiko.SFTP_PERMISSION_DENIED)
        head = _head(where)
        if head is not None:
            return _file(path.rpartition("/")[2], head["ContentLength"], head["LastModified"])
        if _has(where.bucket, f"{where.key}/"):
            return _folder(path.rpartition("/")[2])
        raise Refused(paramiko.SFTP_NO_SUCH_FILE)

    def _read(self, path: str) -> "Reading":
        where = self.allowed("GetObject", path)
        head = _head(where)
        if head is None:
            raise Refused(paramiko.SFTP_NO_SUCH_FILE)
        return Reading(where, head)

    def _write(self, path: str, flags: int) -> "Writing":
        where = self.allowed("PutObject", path)
        if not where.key or flags & os.O_APPEND:
            raise Refused(paramiko.SFTP_OP_UNSUPPORTED)
        head = _head(where)
        if head is not None and flags & os.O_EXCL:
            raise Refused(paramiko.SFTP_FAILURE)
        if head is not None and head["ContentLength"] and not flags & os.O_TRUNC:
            raise Refused(paramiko.SFTP_OP_UNSUPPORTED)
        with LOCK:
            empty_first = CONTROL.take("transfer", "empty_first", self.name)
        if empty_first:
            own_s3().put_object(Bucket=where.bucket, Key=where.key, Body=b"")
        return Writing(self, path, where)

    def _remove(self, path: str) -> int:
        where = self.allowed("DeleteObject", path)
        if _head(where) is None:
            raise Refused(paramiko.SFTP_NO_SUCH_FILE)
        own_s3().delete_object(Bucket=where.bucket, Key=where.key)
        return int(paramiko.SFTP_OK)

    def _rename(self, old: str, new: str) -> int:
        source = self.allowed("DeleteObject", old)
        self.allowed("GetObject", old)
        target = self.allowed("PutObject", new)
        if _head(source) is None:
            folder = _has(source.bucket, f"{source.key}/")
            raise Refused(paramiko.SFTP_OP_UNSUPPORTED if folder else paramiko.SFTP_NO_SUCH_FILE)
        s3 = own_s3()
        s3.copy({"Bucket": source.bucket, "Key": source.key}, target.bucket, target.key)
        with LOCK:
            stops = CONTROL.take("transfer", "rename_stops", self.name)
        if stops:
            raise Refused(paramiko.SFTP_FAILURE)
        s3.delete_object(Bucket=source.bucket, Key=source.key)
        return int(paramiko.SFTP_OK)

    def _put_folder(self, path: str) -> int:
        where = self.allowed("PutObject", path)
        own_s3().put_object(Bucket=where.bucket, Key=f"{where.key}/", Body=b"")
        return int(paramiko.SFTP_OK)

    def _remove_folder(self, path: str) -> int:
        where = self.allowed("DeleteObject", path)
        s3, below = own_s3(), f"{where.key}/"
        found = [each["Key"] for each in s3.list_objects_v2(Bucket=where.bucket, Prefix=below).get("Contents", ())]
        if found != [below]:
            raise Refused(paramiko.SFTP_FAILURE if found else paramiko.SFTP_NO_SUCH_FILE)
        s3.delete_object(Bucket=where.bucket, Key=below)
        return int(paramiko.SFTP_OK)


class Reading(paramiko.SFTPHandle):
    """An object, as it was when it was opened."""

    def __init__(self, where: Place, head: dict[str, Any]) -> None:
        super().__init__()
        self._where, self._head = where, head
        self._kept, self._at = b"", 0

    def read(self, offset: int, length: int) -> Any:
        return _answered(lambda: self._read(offset, length))

    def stat(self) -> Any:
        return _file(self._where.key.rpartition("/")[2], self._head["ContentLength"], self._head["LastModified"])

    def _read(self, offset: int, length: int) -> bytes:
        size = self._head["ContentLength"]
        if offset >= size:
            return b""
        if not self._at <= offset < self._at + len(self._kept):
            last = min(offset + max(length, _SPOOLED), size) - 1
            wanted = {"Bucket": self._where.bucket, "Key": self._where.key, "IfMatch": self._head["ETag"]}
            self._kept = own_s3().get_object(**wanted, Range=f"bytes={offset}-{last}")["Body"].read()
            self._at = offset
        begin = offset - self._at
        return self._kept[begin : begin + length]


class Writing(paramiko.SFTPHandle):
    """A file until it is closed, which is when there is an object."""

    def __init__(self, session: Folders, path: str, where: Place) -> None:
        super().__init__()
        self._session, self._path, self._where = session, path, where
        self._file: IO[bytes] | None = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - closed by close
        self._began = CONTROL.now()

    def write(self, offset: int, data: bytes) -> int:
        if self._file is None:
            return int(paramiko.SFTP_FAILURE)
        self._file.seek(offset)
        self._file.write(data)
        return int(paramiko.SFTP_OK)

    def stat(self) -> Any:
        assert self._file is not None  # noqa: S101
        self._file.seek(0, os.SEEK_END)
        return _file(self._where.key.rpartition("/")[2], self._file.tell(), self._began)

    def chattr(self, attr: SFTPAttributes) -> int:
        return self._session.chattr(self._path, attr)

    def close(self) -> None:
        """Whatever is wrong with S3 ends the session: paramiko tells the client of no failure to close a file."""
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            places.write(self._where, _parts(file))
        head = own_s3().head_object(Bucket=self._where.bucket, Key=self._where.key)
        written = FileLocation(self._where.bucket, self._where.key, head["ETag"].strip('"'))
        session, partial = self._session, self._session.ended
        server_reports.tell_upload(
            session.backend, session.name, session.user, session.session, written, size, self._began, partial
        )
        if size:
            occasion = "OnPartialUpload" if partial else "OnUpload"
            with LOCK:
                executions.offer(session.backend, session.name, session.user, session.session, occasion, written)
                managed.changed("transfer")


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    yield file.read(_PART)
    while part := file.read(_PART):
        yield part


def _answered(work: Callable[[], T]) -> T | int:
    try:
        return work()
    except Refused as e:
        return e.code
    except (ClientError, Failed):
        return int(paramiko.SFTP_FAILURE)


def _head(where: Place) -> dict[str, Any] | None:
    s3 = own_s3()
    try:
        found: dict[str, Any] = s3.head_object(Bucket=where.bucket, Key=where.key)
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return found


def _has(bucket: str, prefix: str) -> bool:
    return bool(own_s3().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))


def _file(name: str, size: int, modified: datetime) -> SFTPAttributes:
    return _entry(name, size, int(modified.timestamp()), stat.S_IFREG | 0o644)


def _folder(name: str) -> SFTPAttributes:
    return _entry(name, 0, 0, stat.S_IFDIR | 0o755)


def _entry(name: str, size: int, moment: int, mode: int) -> SFTPAttributes:
    found = SFTPAttributes()
    found.filename, found.st_size, found.st_mode = name, size, mode
    found.st_uid = found.st_gid = 0
    found.st_atime = found.st_mtime = moment
    return found
