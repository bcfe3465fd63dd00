"""The steps of a workflow that Transfer Family takes itself: copy, tag, delete, decrypt.

Not documented by AWS, and decided here: a copy and a decrypted file below a prefix have the last name of their source.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError

from adplatform.failures import TransientFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.gpg_home import gpg_home
from adplatform.files.gpg_status import decrypting_key, parse_status
from adplatform.files.keyring import Key
from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL, own_s3
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer import places
from adplatform.local.aws.transfer.server_state import Execution, FileLocation
from adplatform.platform.json_secrets import json_object

MOST_DECRYPTED = 10 << 30
"""Bytes of a decrypted file (user guide of Transfer Family, limits of managed workflows)."""
_PART = 8 << 20
_DETAILS = {
    "COPY": "CopyStepDetails",
    "TAG": "TagStepDetails",
    "DELETE": "DeleteStepDetails",
    "DECRYPT": "DecryptStepDetails",
}


class StepFailed(Exception):
    """A step failed; ``kind`` is a type of ExecutionError."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


def carry_out(execution: Execution, step: dict[str, Any]) -> FileLocation:
    """What later steps take as the previous file.

    Raises:
        StepFailed: it is not done.
    """
    kind = step["Type"]
    details = step[_DETAILS[kind]]
    file = source(execution, details)
    require_unchanged(file)
    with _refused():
        if kind == "TAG":
            tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in details["Tags"]]
            own_s3().put_object_tagging(Bucket=file.bucket, Key=file.key, Tagging={"TagSet": tags})
            return file
        if kind == "DELETE":
            own_s3().delete_object(Bucket=file.bucket, Key=file.key)
            return file
        target = _target(execution, details, file)
        if kind == "COPY":
            own_s3().copy({"Bucket": file.bucket, "Key": file.key}, target.bucket, target.key)
        else:
            _decrypt(execution, file, target)
        return _found(target)


def source(execution: Execution, details: dict[str, Any]) -> FileLocation:
    return execution.original if details.get("SourceFileLocation") == "${original.file}" else execution.previous


def require_unchanged(file: FileLocation) -> None:
    """
    Raises:
        StepFailed: the object is gone, or another.
    """
    with _refused():
        own_s3().head_object(Bucket=file.bucket, Key=file.key, IfMatch=f'"{file.etag}"')


def _target(execution: Execution, details: dict[str, Any], file: FileLocation) -> places.Place:
    asked = details["DestinationFileLocation"]["S3FileLocation"]
    key = asked.get("Key", "")
    key = key.replace("${Transfer:UserName}", execution.user)
    key = key.replace("${Transfer:UploadDate}", f"{execution.started:%Y-%m-%d}")
    if not key or key.endswith("/"):
        key += file.key.rpartition("/")[2]
    target = places.Place(asked["Bucket"], key)
    if details.get("OverwriteExisting", "FALSE") == "FALSE" and _exists(target):
        raise StepFailed("ALREADY_EXISTS", f"/{target.bucket}/{target.key} exists.")
    return target


def _exists(target: places.Place) -> bool:
    try:
        own_s3().head_object(Bucket=target.bucket, Key=target.key)
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _found(target: places.Place) -> FileLocation:
    head = own_s3().head_object(Bucket=target.bucket, Key=target.key)
    return FileLocation(target.bucket, target.key, head["ETag"].strip('"'))


def _decrypt(execution: Execution, file: FileLocation, target: places.Place) -> None:
    key = _private_key(execution)
    with LOCK:
        limit = CONTROL.take("transfer", "decrypt_limit", execution.server)
    most = limit.count if limit else MOST_DECRYPTED
    with tempfile.TemporaryDirectory() as folder, gpg_home([key]) as home:
        cipher, plain = Path(folder) / "cipher", Path(folder) / "plain"
        own_s3().download_file(file.bucket, file.key, str(cipher))
        # Nobody's signature is looked at: Transfer Family knows no keys of senders.
        command = home.command("--pinentry-mode", "error", "--status-fd", "2", "--output", str(plain), "--decrypt")
        gpg = subprocess.run([*command, str(cipher)], capture_output=True, env=home.environment, check=False)
        try:
            size = plain.stat().st_size if plain.exists() else 0
            decrypting_key(parse_status(gpg.stderr), home.key_ids, gpg.returncode, size, file.key)
        except (BadFile, TransientFailure) as e:
            raise StepFailed("BAD_REQUEST", f"The file cannot be decrypted: {e}") from e
        if size > most:
            raise StepFailed("BAD_REQUEST", f"The decrypted file has more than {most} bytes.")
        with plain.open("rb") as content:
            places.write(target, _parts(content))


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    yield file.read(_PART)
    while part := file.read(_PART):
        yield part


def _private_key(execution: Execution) -> Key:
    """That of the user, or of the server (user guide of Transfer Family, "Generate and manage PGP keys")."""
    secrets = managed.own_client("secretsmanager")
    for name in (execution.user, "@pgp-default"):
        secret = f"aws/transfer/{execution.server}/{name}"
        try:
            text = secrets.get_secret_value(SecretId=secret)["SecretString"]
        except secrets.exceptions.ResourceNotFoundException:
            continue
        found = json_object(text)
        if isinstance(found.get("PGPPrivateKey"), str):
            return Key(secret, found["PGPPrivateKey"].encode(), found.get("PGPPassphrase") or None)
    raise StepFailed("BAD_REQUEST", "There is no PGP private key for the user or the server.")


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ClientError as e:
        status = e.response["ResponseMetadata"]["HTTPStatusCode"]
        if status in (404, 412):
            raise StepFailed("NOT_FOUND", "ETag constraint not met") from e
        raise StepFailed("INTERNAL_SERVER_ERROR", e.response["Error"].get("Message", "")) from e
