"""What is done once in the place of moto comes to what moto does itself."""

import copy
from datetime import UTC, datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from botocore.utils import parse_to_aware_datetime
from moto.core.request import EnvironHeaders
from moto.core.serialize import AttributePicker, AttributePickerContext, RestXMLSerializer, XFormedAttributePicker
from moto.core.utils import get_service_model
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.exceptions import DynamodbException, ItemSizeTooLarge
from moto.dynamodb.models import Table
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import UpdateExpressionValidator
from moto.s3.responses import S3Response

from adplatform.local.aws import moto_costs

KEPT = "moto.preserved_header_names"


class Function:
    function_name = "f"
    Arn = "a"


class Renamed:
    class Meta:
        serialization_aliases = MappingProxyType({"FunctionName": "called"})

    called = "g"


@pytest.mark.parametrize(
    ("holder", "key", "found"),
    [
        ({"FunctionName": "a"}, "FunctionName", "a"),
        ({"function_name": "b"}, "FunctionName", "b"),
        ({"FunctionName": "a", "function_name": "b"}, "FunctionName", "a"),
        ({"FunctionName": None}, "FunctionName", None),
        ({}, "FunctionName", None),
        (Function(), "FunctionName", "f"),
        (SimpleNamespace(function_name="c"), "FunctionName", "c"),
        (Renamed(), "FunctionName", "g"),
    ],
)
def test_a_member_is_found_under_the_same_names(holder: Any, key: str, found: Any) -> None:
    operation = get_service_model("lambda").operation_model("GetFunctionConfiguration")
    shape = operation.output_shape.members[key]
    shape.parent = operation.output_shape
    picker = XFormedAttributePicker()
    serializer = RestXMLSerializer(operation, value_picker=picker)
    for _ in range(2):
        assert moto_costs._value(serializer, holder, key, shape) == found
    assert AttributePicker.__call__(picker, AttributePickerContext(holder, key, shape)) == found


def test_a_transformer_sees_the_path_of_its_member() -> None:
    operation = get_service_model("sqs").operation_model("GetQueueUrl")
    shape = operation.output_shape.members["QueueUrl"]
    shape.parent = operation.output_shape
    picker = XFormedAttributePicker(response_transformers={"GetQueueUrl.QueueUrl": str.upper})
    serializer = RestXMLSerializer(operation, value_picker=picker)
    assert moto_costs._value(serializer, {"QueueUrl": "u"}, "QueueUrl", shape) == "U"


@pytest.mark.parametrize(
    "written",
    ["2026-03-02T01:02:03.000Z", "2026-03-02T01:02:03Z", "2026-03-02T01:02:03.123456Z", "2026-03-02T01:02:03+02:00"],
)
def test_a_time_is_read_as_moto_reads_it(written: str) -> None:
    assert moto_costs._time(written) == parse_to_aware_datetime(written)
    assert moto_costs._time(written).utcoffset() == parse_to_aware_datetime(written).utcoffset()
    assert moto_costs._time(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, tzinfo=UTC)


def test_an_expression_means_the_same_each_time() -> None:
    def holds(value: str) -> bool:
        names, values = {"#q": "state"}, {":q": {"S": value}}
        parser = ConditionExpressionParser("attribute_not_exists(#q) OR NOT (#q = :q)", names, values)
        parser._lex_condition_expression = lambda: moto_costs._nodes(parser)  # type: ignore[method-assign]
        return bool(parser.parse().expr(Item(DynamoType({"S": "k"}), None, {"state": {"S": "due"}})))

    assert [holds(value) for value in ("due", "done", "due")] == [False, True, False]
    with pytest.raises(ValueError, match="Cannot parse"):
        moto_costs._nodes(ConditionExpressionParser("a ? b", None, None))


@pytest.mark.parametrize(
    ("expression", "changes"),
    [
        ("SET #a = :v, n = if_not_exists(n, :n) + :n, f = if_not_exists(f, :n), m.x = :v, l[0] = :v REMOVE l[1]", True),
        ("SET l = list_append(l, :l) ADD n :n, c :n DELETE s :s", True),
        ("SET a = missing", False),
        ("SET a = :v, #a = :n", False),
        ("SET a = :v SET b = :v", False),
    ],
)
def test_an_update_does_the_same_to_an_item(expression: str, changes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"#a": "a"}
    values = {":v": {"S": "v"}, ":n": {"N": "2"}, ":l": {"L": [{"S": "y"}]}, ":s": {"SS": ["p"]}}
    held = {"n": {"N": "1"}, "m": {"M": {}}, "l": {"L": [{"S": "x"}, {"S": "z"}]}, "s": {"SS": ["p", "q"]}}
    schema = [{"AttributeName": "k", "KeyType": "HASH"}]
    table = Table("t", "123456789012", "us-east-1", schema, [{"AttributeName": "k", "AttributeType": "S"}])

    def updated() -> Any:
        item = Item(DynamoType({"S": "x"}), None, held)
        try:
            parsed = UpdateExpressionParser.make(expression)
            done = UpdateExpressionValidator(parsed, names, values, item, table).validate()
            done.normalize()
            UpdateExpressionExecutor(done, item, names).execute()
        except DynamodbException as e:
            return str(e)
        return item.to_json()["Attributes"]

    by_moto = updated()
    assert isinstance(by_moto, dict) == changes
    monkeypatch.setattr(DepthFirstTraverser, "traverse_node_recursively", moto_costs._traversed)
    monkeypatch.setattr(UpdateExpressionParser, "make", moto_costs._update_of)
    assert [updated(), updated()] == [by_moto, by_moto]


@pytest.mark.parametrize(
    "value",
    [
        {"S": "x"},
        {"S": "ü"},
        {"S": ""},
        {"N": "1.50"},
        {"B": "YQ=="},
        {"BOOL": True},
        {"NULL": True},
        {"SS": ["a", "ü"]},
        {"NS": ["1"]},
        {"L": [{"S": "x"}, {"N": "2"}]},
        {"M": {"m": {"L": [{"S": "x"}]}}},
    ],
)
def test_a_value_and_a_copy_of_its_item_are_those_of_moto(value: dict[str, Any]) -> None:
    held = DynamoType(value)
    assert (moto_costs._cast_value(held), moto_costs._size(held)) == (held.cast_value, held.size())
    item = Item(DynamoType({"S": "k"}), DynamoType({"S": "r"}), {"v": value})
    copied = moto_costs._copied_item(item, {})
    assert copied == item == copy.deepcopy(item)
    assert copied.to_json() == item.to_json()
    copied.attrs["v"].value = copied.range_key.value = "other"
    assert (item.attrs["v"].to_json(), item.range_key.value) == (held.to_json(), "r")


@pytest.mark.parametrize(("size", "fits"), [(404_990, True), (405_010, False)])
def test_an_item_may_be_as_large_as_moto_lets_it_be(size: int, fits: bool) -> None:
    for make in (Item.__init__, moto_costs._init_item):
        item = object.__new__(Item)
        attributes = {"k": {"S": "x"}, "v": {"S": "x" * (size - 3)}}
        if fits:
            make(item, DynamoType({"S": "x"}), None, attributes)
            assert set(item.attrs) == {"k", "v"}
        else:
            with pytest.raises(ItemSizeTooLarge):
                make(item, DynamoType({"S": "x"}), None, attributes)


def test_headers_are_named_as_moto_names_them() -> None:
    environ = {
        "HTTP_HOST": "127.0.0.1",
        "HTTP_X_AMZ_META_MY_KEY": "1",
        "HTTP_EMPTY": "",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "",
        "HTTP_CONTENT_TYPE": "other",
        "PATH_INFO": "/",
        KEPT: {"HTTP_X_AMZ_META_MY_KEY": "x-amz-meta-my_key"},
    }
    assert list(moto_costs.Headers(environ)) == list(EnvironHeaders(environ))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "localhost:1", "[::1]:80", "b.s3.amazonaws.com", "s3.amazonaws.com"]
)
def test_a_bucket_in_the_name_of_a_host_is_seen(host: str) -> None:
    request = SimpleNamespace(headers={"host": host}, url=f"http://{host}/")
    assert moto_costs._names_bucket(host) == S3Response.subdomain_based_buckets(request)
