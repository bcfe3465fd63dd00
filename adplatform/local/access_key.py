"""The one access key of an embedded AWS, in a file that only the owner of its data directory can read.

The file has the form of AWS's shared credentials file, so that every client can be pointed at it by
``AWS_SHARED_CREDENTIALS_FILE``. Imported by every process of the platform, and therefore light.
"""

import configparser
import os
import secrets
import string
from pathlib import Path

from adplatform.failures import PermanentFailure
from adplatform.platform.access_keys import AccessKey

CREDENTIALS_NAME = "credentials"
_PROFILE = "default"
_ID, _SECRET = "aws_access_key_id", "aws_secret_access_key"
_ALPHABET = string.ascii_uppercase + string.digits


def private_folder(path: Path) -> Path:
    """The directory, for its owner only, made if it is not there, and with it whatever is missing above it. One of this
    user's that others may enter is closed to them."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    found = path.stat()
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        path.chmod(found.st_mode & 0o700)
    return path


def access_key(data: Path) -> AccessKey:
    """The key of the data directory, drawn and kept if there is none. Callers hold a lock of the directory.

    Raises:
        PermanentFailure: the file is damaged, or somebody else's.
    """
    path = data / CREDENTIALS_NAME
    kept = read_access_key(data)
    if kept is not None:
        return kept
    # No AKIA or ASIA: nobody is to take it for a key of the real AWS.
    key = AccessKey("LOCAL" + "".join(secrets.choice(_ALPHABET) for _ in range(15)), secrets.token_urlsafe(30))
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"[{_PROFILE}]\n{_ID} = {key.id}\n{_SECRET} = {key.secret}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return key


def read_access_key(data: Path) -> AccessKey | None:
    """The key of the data directory; None if it has none yet.

    Raises:
        PermanentFailure: as of :func:`access_key`.
    """
    path = data / CREDENTIALS_NAME
    try:
        with path.open(encoding="ascii") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (os.geteuid(), data.stat().st_uid):
                raise PermanentFailure(f"{path} belongs to another user; remove it to have a new access key")
            if status.st_mode & 0o077 and status.st_uid == os.geteuid():
                os.fchmod(file.fileno(), 0o600)
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_file(file)
        return AccessKey(parser[_PROFILE][_ID], parser[_PROFILE][_SECRET])
    except FileNotFoundError:
        return None
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Not from e, which quotes the line.
        raise PermanentFailure(
            f"{path} is damaged: remove it to have a new access key, once no process uses the directory"
        ) from None
