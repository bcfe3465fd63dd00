import errno
import os
import socket
from pathlib import Path
from typing import Any

import boto3
import boto3.exceptions
import botocore.exceptions
import pytest
from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError as TransferRetriesExceededError

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures, secret_failures


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "said AWS"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "", "HostId": "", "HTTPHeaders": {}},
    }
    return ClientError(answer, "GetTable")


def words(text: str) -> list[str]:
    return text.split()


PASSING = words("""
    BandwidthLimitExceeded EC2ThrottledException LimitExceededException PriorRequestNotComplete
    ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled RequestThrottledException
    RequestTimeout RequestTimeoutException SlowDown ThrottledException Throttling ThrottlingException
    TooManyRequestsException TransactionInProgressException

    ConcurrentModificationException ConditionalRequestConflict OperationAborted ReplicatedWriteConflictException
    TransactionConflictException

    BadDigest IncompleteBody XAmzContentChecksumMismatch XAmzContentSHA256Mismatch

    InternalError InternalFailure InternalServerError InternalServiceError InternalServiceErrorException
    InternalServiceException OperationTimeoutException ServiceUnavailable ServiceUnavailableException
    DependencyTimeoutException

    KMS.ThrottlingException KMS.InternalException KMSThrottlingException KMSInternalException KmsThrottled
""")
HINDERED = words("""
    AccessDenied AccessDeniedException UnauthorizedOperation NotAuthorizedException Forbidden

    ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired RequestTimeTooSkewed AuthFailure
    IncompleteSignature InvalidAccessKeyId InvalidClientTokenId InvalidSecurity InvalidSignatureException InvalidToken
    MissingAuthenticationToken MissingAuthenticationTokenException SignatureDoesNotMatch UnrecognizedClientException

    AccountProblem AllAccessDisabled NotSignedUp OptInRequired OptInRequiredException
    ResourceNumberLimitExceededException ServiceQuotaExceededException

    DecryptionFailure DisabledException EncryptionFailure GlueEncryptionException KeyUnavailableException
    KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException KMSAccessDeniedException
    KMSDisabledException KMSInvalidStateException KMSNotFoundException KmsAccessDenied KmsDisabled
""")
PERMANENT = words("""
    NoSuchBucket NoSuchKey NoSuchUpload InvalidArgument InvalidBucketName InvalidRequest KeyTooLongError MalformedXML
    EntityTooLarge InvalidRange ValidationException ValidationError ResourceNotFoundException InvalidParameterException
    InvalidInputException EntityNotFoundException AlreadyExistsException ItemCollectionSizeLimitExceededException
    ConditionalCheckFailedException SomethingThatNobodyKnows
""")


def judged(error: Exception) -> Exception:
    with pytest.raises((PermanentFailure, TransientFailure)) as raised, aws_failures("table t"):
        raise error
    assert str(raised.value).startswith("table t: ")
    return raised.value


@pytest.mark.parametrize("code", PASSING)
def test_a_code_that_may_pass_is_transient_whatever_its_status(code: str) -> None:
    assert [type(judged(refusal(code, status))) for status in (400, 403)] == [TransientFailure] * 2


@pytest.mark.parametrize("status", [408, 409, 429, 500, 501, 502, 503, 504, 507, 509])
def test_a_status_that_may_pass_is_transient_whatever_its_code(status: int) -> None:
    assert {type(judged(refusal(code, status))) for code in ("", str(status), "SomethingNew")} == {TransientFailure}


@pytest.mark.parametrize("code", HINDERED)
def test_a_denial_a_key_or_credentials_hinder_and_spend_no_attempt(code: str) -> None:
    assert type(judged(refusal(code, 400))) is EnvironmentFailure


@pytest.mark.parametrize(
    ("code", "status"), [("403", 403), ("401", 401), ("400", 400), ("SomethingNew", 403), ("", 403)]
)
def test_a_denial_that_only_its_status_shows_hinders(code: str, status: int) -> None:
    assert type(judged(refusal(code, status))) is EnvironmentFailure


@pytest.mark.parametrize("code", PERMANENT)
def test_what_cannot_pass_is_permanent(code: str) -> None:
    assert {type(judged(refusal(code, status))) for status in (400, 404, 412)} == {PermanentFailure}


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDeniedException", 400, "is not allowed"),
        ("403", 403, "is not allowed"),
        ("KMS.DisabledException", 400, "cannot be done at present"),
        ("NoSuchBucket", 404, "was refused"),
    ],
)
def test_a_refusal_names_resource_operation_and_reason(code: str, status: int, says: str) -> None:
    assert str(judged(refusal(code, status))).startswith(f"table t: GetTable {says} ({code}: said AWS)")


NO_ANSWER = words("""
    ConnectionError EndpointConnectionError SSLError ConnectTimeoutError ProxyConnectionError HTTPClientError
    ConnectionClosedError ReadTimeoutError ResponseStreamingError IncompleteReadError ChecksumError
    FlexibleChecksumError AwsChunkedWrapperError CapacityNotAvailableError
""")
UNPREPARED = words("""
    NoCredentialsError PartialCredentialsError CredentialRetrievalError NoAuthTokenError TokenRetrievalError
    UnknownTokenProviderError UnknownCredentialError SSOError SSOTokenLoadError UnauthorizedSSOTokenError LoginError
    LoginRefreshRequired LoginInsufficientPermissions LoginTokenLoadError LoginAuthorizationCodeError
    RefreshWithMFAUnsupportedError MetadataRetrievalError ProfileNotFound ConfigNotFound ConfigParseError
    InvalidConfigError InfiniteLoopConfigError BaseEndpointResolverError NoRegionError EndpointVariantError
    UnknownEndpointError UnknownFIPSEndpointError InvalidProxiesConfigError InvalidIMDSEndpointError
    InvalidIMDSEndpointModeError MissingDependencyException
""")


def test_every_error_of_botocore_itself_has_its_verdict() -> None:
    kinds = {
        name: kind
        for name, kind in vars(botocore.exceptions).items()
        if isinstance(kind, type) and issubclass(kind, BotoCoreError)
    }
    verdicts = {name: type(judged(kind.__new__(kind))) for name, kind in kinds.items()}
    assert {n for n, verdict in verdicts.items() if verdict is TransientFailure} == set(NO_ANSWER)
    assert {n for n, verdict in verdicts.items() if verdict is EnvironmentFailure} == set(UNPREPARED)
    assert {"ParamValidationError", "UnknownServiceError", "WaiterError"} <= {
        n for n, verdict in verdicts.items() if verdict is PermanentFailure
    }


def test_every_error_of_boto3_itself_may_pass_whatever_it_was_raised_from() -> None:
    for kind in vars(boto3.exceptions).values():
        if isinstance(kind, type) and issubclass(kind, Boto3Error):
            error = kind.__new__(kind)
            for hidden in (None, TransferRetriesExceededError(TimeoutError()), KeyError("x")):
                error.__context__ = hidden
                assert type(judged(error)) is TransientFailure, (kind, hidden)


def test_a_secret_that_is_missing_or_to_be_deleted_can_be_restored() -> None:
    for code in ("ResourceNotFoundException", "InvalidRequestException"):
        with pytest.raises(EnvironmentFailure, match=code), secret_failures("secret s"):
            raise refusal(code, 400)
    with pytest.raises(PermanentFailure, match="InvalidParameterException"), secret_failures("secret s"):
        raise refusal("InvalidParameterException", 400)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EMFILE, errno.ENOMEM])
def test_a_disk_that_cannot_be_used_hinders_and_says_where(number: int) -> None:
    with pytest.raises(EnvironmentFailure, match=r"^orders: local disk: .* \(/tmp/x\)"), aws_failures("orders"):
        raise OSError(number, os.strerror(number), "/tmp/x")


def test_a_file_that_is_missing_is_a_mistake_of_ours() -> None:
    with pytest.raises(FileNotFoundError), aws_failures("orders"):
        Path("/nowhere/at/all").read_bytes()


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


def test_other_errors_are_left_alone() -> None:
    for other in (TransientFailure("x"), ValueError("x")):
        with pytest.raises(type(other), match=r"^x$"), aws_failures("table t"):
            raise other
