"""What tests ask the shared embedded AWS by their own session is answered as by botocore's."""

import io
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.platform.aws import CALL_BUDGET, Aws, _bounded
from adplatform_tests.support import clients
from adplatform_tests.support.quick_http import QuickSession

_LARGE = bytes(range(256)) * (3 << 12)


def _answered(call: Callable[[], dict[str, Any]]) -> Any:
    """An answer, without what differs between two requests; streams are read."""
    try:
        answer = call()
    except ClientError as e:
        answer = e.response
    about = answer.pop("ResponseMetadata")
    own = {"date", "last-modified", "x-amz-request-id", "x-amzn-requestid"}
    said = {name: value for name, value in about["HTTPHeaders"].items() if name not in own}
    if "Body" in answer:
        answer["Body"] = answer["Body"].read()
    answer.pop("LastModified", None)
    return answer, about["HTTPStatusCode"], said


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("put_object", {"Key": "a b/ü.csv", "Body": b"id\n1\n", "Metadata": {"who": "x"}}),
        ("put_object", {"Key": "empty", "Body": b""}),
        ("put_object", {"Key": "large", "Body": _LARGE}),
        ("put_object", {"Key": "file", "Body": lambda: io.BytesIO(b"from a file")}),
        ("get_object", {"Key": "small"}),
        ("get_object", {"Key": "big"}),
        ("get_object", {"Key": "big", "Range": "bytes=3-9"}),
        ("get_object", {"Key": "nothing"}),
        ("head_object", {"Key": "small"}),
        ("head_object", {"Key": "nothing"}),
        ("list_objects_v2", {"Prefix": "no"}),
        ("delete_object", {"Key": "nothing"}),
        ("delete_objects", {"Delete": {"Objects": [{"Key": "nothing"}]}}),
    ],
)
def test_an_answer_is_what_it_is_by_the_usual_session(aws: Aws, operation: str, asked: dict[str, Any]) -> None:
    quick = aws.client("s3")
    usual = clients._made(aws, "s3", _bounded(CALL_BUDGET))
    assert isinstance(quick._endpoint.http_session, QuickSession)
    assert not isinstance(usual._endpoint.http_session, QuickSession)
    bucket = f"quick-{uuid.uuid4().hex[:8]}"
    usual.create_bucket(Bucket=bucket)
    for key, body in (("small", b"x,y\n1,2\n"), ("big", _LARGE)):
        usual.put_object(Bucket=bucket, Key=key, Body=body)

    def ask(client: Any) -> Any:
        given = {name: value() if callable(value) else value for name, value in asked.items()}
        return _answered(lambda: getattr(client, operation)(Bucket=bucket, **given))

    def stored() -> Any:
        keys = [each["Key"] for each in usual.list_objects_v2(Bucket=bucket)["Contents"]]
        return {key: _answered(lambda key=key: usual.get_object(Bucket=bucket, Key=key)) for key in keys}

    expected = ask(usual), stored()
    assert (ask(quick), stored()) == expected
    assert (ask(quick), stored()) == expected  # over the connection that has stayed


def test_an_error_of_a_service_of_json_is_the_usual_one(aws: Aws) -> None:
    dynamodb = aws.client("dynamodb")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.get_item(TableName="nothing", Key={"pk": {"S": "a"}})


def test_who_has_another_endpoint_asks_as_users_do(aws: Aws) -> None:
    other = Aws(aws.region, "http://127.0.0.1:9").client("s3")
    assert not isinstance(other._endpoint.http_session, QuickSession)
