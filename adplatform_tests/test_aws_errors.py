import socket
from typing import Any

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

from adplatform.aws import Aws
from adplatform.aws_errors import aws_failures
from adplatform.failures import PermanentFailure, TransientFailure


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "said AWS"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "", "HostId": "", "HTTPHeaders": {}},
    }
    return ClientError(answer, "GetTable")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("SlowDown", 503),
        ("SomethingNew", 500),
        ("ConcurrentModificationException", 400),
        ("OperationAborted", 409),
        ("ExpiredTokenException", 400),
    ],
)
def test_what_may_pass_is_transient(code: str, status: int) -> None:
    with pytest.raises(TransientFailure, match=f"^table t: GetTable .*{code}"), aws_failures("table t"):
        raise refusal(code, status)


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDeniedException", 400, "is not allowed"),
        ("AccessDenied", 403, "is not allowed"),
        ("403", 403, "is not allowed"),
        ("NoSuchBucket", 404, "was refused"),
        ("ValidationException", 400, "was refused"),
    ],
)
def test_what_cannot_pass_is_permanent_and_names_resource_operation_and_reason(
    code: str, status: int, says: str
) -> None:
    with pytest.raises(PermanentFailure, match=f"^table t: GetTable {says} .{code}: said AWS"), aws_failures("table t"):
        raise refusal(code, status)


def test_a_service_that_cannot_be_reached_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
        glue = boto3.client("glue", "us-east-1", endpoint_url=endpoint, config=once,
                            aws_access_key_id="a", aws_secret_access_key="b")  # fmt: skip
        with pytest.raises(TransientFailure, match="table t: AWS does not answer"), aws_failures("table t"):
            glue.get_table(DatabaseName="d", Name="t")


def test_an_upload_tells_what_the_service_answered(aws: Aws, tmp_path: Any) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    with pytest.raises(PermanentFailure, match="NoSuchBucket") as raised, aws_failures("s3://nowhere/f"):
        aws.client("s3").upload_file(str(file), "nowhere", "f")
    assert isinstance(raised.value.__cause__, S3UploadFailedError)


def test_no_credentials_is_permanent_and_other_errors_are_left_alone() -> None:
    with pytest.raises(PermanentFailure, match="cannot be asked"), aws_failures("table t"):
        raise NoCredentialsError
    for other in (TransientFailure("x"), ValueError("x")):
        with pytest.raises(type(other), match=r"^x$"), aws_failures("table t"):
            raise other
