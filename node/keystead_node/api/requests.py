"""The requests that are served, as typed structs, and the two ways to read one.

The fast way decodes the body straight into the struct and takes it only if nothing at all looks off. Anything else goes
the slow way: types, limits and required members are checked against the service model in the order in which the real
service checks them, so that the first error found is the service's own. Both ways end in the same struct.

A struct has the parameters that are supported. A parameter that the service model knows and the struct does not is
refused by name, never ignored.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec

from keystead_core.expressions import ExpressionError
from keystead_core.items import Attribute, Item, ItemError, ItemShapeError
from keystead_node.api.errors import ValidationException
from keystead_node.api.request_types import read_request
from keystead_node.api.service_model import service_model
from keystead_node.api.validation import check_request

CapacityChoice = Literal["INDEXES", "TOTAL", "NONE"]
MetricsChoice = Literal["SIZE", "NONE"]
ValuesChoice = Literal["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]
FailureChoice = Literal["NONE", "ALL_OLD"]
OperatorChoice = Literal["AND", "OR"]
PositiveInt = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]
SelectChoice = Literal["ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"]
AttributeName = Annotated[str, msgspec.Meta(max_length=65_535)]
AttributeNames = Annotated[list[AttributeName], msgspec.Meta(min_length=1, max_length=255)]
ComparisonChoice = (
    Literal["IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT"]
    | Literal["NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"]
)


class ExpectedValue(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    Value: Attribute | None = None
    Exists: bool | None = None
    ComparisonOperator: str | None = None
    AttributeValueList: list[Attribute] | None = None


class ValueUpdate(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    Value: Attribute | None = None
    Action: str | None = None


class PutItemRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    TableName: str
    Item: Item
    ReturnValues: ValuesChoice = "NONE"
    ReturnConsumedCapacity: CapacityChoice = "NONE"
    ReturnItemCollectionMetrics: MetricsChoice = "NONE"
    ReturnValuesOnConditionCheckFailure: FailureChoice = "NONE"
    ConditionExpression: str | None = None
    ExpressionAttributeNames: dict[str, str] | None = None
    ExpressionAttributeValues: dict[str, Attribute] | None = None
    Expected: dict[str, ExpectedValue | None] | None = None
    ConditionalOperator: OperatorChoice | None = None


class DeleteItemRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    TableName: str
    Key: Item
    ReturnValues: ValuesChoice = "NONE"
    ReturnConsumedCapacity: CapacityChoice = "NONE"
    ReturnItemCollectionMetrics: MetricsChoice = "NONE"
    ReturnValuesOnConditionCheckFailure: FailureChoice = "NONE"
    ConditionExpression: str | None = None
    ExpressionAttributeNames: dict[str, str] | None = None
    ExpressionAttributeValues: dict[str, Attribute] | None = None
    Expected: dict[str, ExpectedValue | None] | None = None
    ConditionalOperator: OperatorChoice | None = None


class UpdateItemRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    TableName: str
    Key: Item
    ReturnValues: ValuesChoice = "NONE"
    ReturnConsumedCapacity: CapacityChoice = "NONE"
    ReturnItemCollectionMetrics: MetricsChoice = "NONE"
    ReturnValuesOnConditionCheckFailure: FailureChoice = "NONE"
    UpdateExpression: str | None = None
    ConditionExpression: str | None = None
    ExpressionAttributeNames: dict[str, str] | None = None
    ExpressionAttributeValues: dict[str, Attribute] | None = None
    AttributeUpdates: dict[str, ValueUpdate | None] | None = None
    Expected: dict[str, ExpectedValue | None] | None = None
    ConditionalOperator: OperatorChoice | None = None


class GetItemRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    TableName: str
    Key: Item
    ConsistentRead: bool = False
    ReturnConsumedCapacity: CapacityChoice = "NONE"
    ProjectionExpression: str | None = None
    ExpressionAttributeNames: dict[str, AttributeName] | None = None
    AttributesToGet: AttributeNames | None = None


class PutWrite(msgspec.Struct, forbid_unknown_fields=True):
    Item: Item


class DeleteWrite(msgspec.Struct, forbid_unknown_fields=True):
    Key: Item


class WriteRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    PutRequest: PutWrite | None = None
    DeleteRequest: DeleteWrite | None = None


class BatchWriteItemRequest(msgspec.Struct, forbid_unknown_fields=True):
    RequestItems: dict[str, list[WriteRequest]]
    ReturnConsumedCapacity: CapacityChoice = "NONE"
    ReturnItemCollectionMetrics: MetricsChoice = "NONE"


class KeysAndAttributes(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    Keys: list[Item]
    ConsistentRead: bool = False
    ProjectionExpression: str | None = None
    ExpressionAttributeNames: dict[str, AttributeName] | None = None
    AttributesToGet: AttributeNames | None = None


class BatchGetItemRequest(msgspec.Struct, forbid_unknown_fields=True):
    RequestItems: dict[str, KeysAndAttributes]
    ReturnConsumedCapacity: CapacityChoice = "NONE"


class LegacyCondition(msgspec.Struct, forbid_unknown_fields=True):
    ComparisonOperator: ComparisonChoice
    AttributeValueList: list[Attribute] | None = None


LegacyConditions = dict[AttributeName, LegacyCondition]


class PageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What Query and Scan have in common."""

    TableName: str
    Limit: PositiveInt | None = None
    ExclusiveStartKey: Item | None = None
    Select: SelectChoice | None = None
    ConsistentRead: bool = False
    ReturnConsumedCapacity: CapacityChoice = "NONE"
    IndexName: str | None = None
    FilterExpression: str | None = None
    ProjectionExpression: str | None = None
    ExpressionAttributeNames: dict[str, AttributeName] | None = None
    ExpressionAttributeValues: Item | None = None
    AttributesToGet: AttributeNames | None = None
    ConditionalOperator: OperatorChoice | None = None


class QueryRequest(PageRequest, forbid_unknown_fields=True):
    KeyConditionExpression: str | None = None
    KeyConditions: LegacyConditions | None = None
    QueryFilter: LegacyConditions | None = None
    ScanIndexForward: bool = True


class ScanRequest(PageRequest, forbid_unknown_fields=True):
    Segment: int | None = None
    TotalSegments: PositiveInt | None = None
    ScanFilter: LegacyConditions | None = None


R = TypeVar("R", bound=msgspec.Struct)
P = TypeVar("P")

_LOOKS_OFF: Final = (msgspec.MsgspecError, RecursionError, UnicodeError, ItemError, ItemShapeError, ExpressionError)


class RequestReader(Generic[R, P]):
    """Reads the requests of one operation. `prepare` checks what the service checks before it looks for the table, and
    computes what the action needs; it raises ItemError or ExpressionError, or ItemShapeError for what only the slow way
    can name."""

    def __init__(self, operation: str, kind: type[R], prepare: Callable[[R], P], fast: bool = True) -> None:
        self.operation = operation
        self._kind = kind
        self._prepare = prepare
        self._fast = fast
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, body: bytes) -> tuple[R, P]:
        """The request and what `prepare` made of it. Raises ApiError."""
        if self._fast:
            try:
                request = self._decode(body)
                return request, self._prepare(request)
            except _LOOKS_OFF:
                pass
        request = self.validated(body)
        try:
            return request, self._prepare(request)
        except (ItemError, ExpressionError) as error:
            raise ValidationException(str(error)) from None
        except ItemShapeError:
            # All types fit by now: what is left is a null inside a set.
            raise ValidationException(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
            ) from None

    def validated(self, body: bytes) -> R:
        """The request, read the slow way. Raises ApiError."""
        model = service_model()
        members = read_request(model, self.operation, body)
        check_request(model, self.operation, members)
        supported = frozenset(self._kind.__struct_fields__)
        for name in members:
            if name not in supported:
                raise ValidationException(f"The parameter {name} of {self.operation} is not supported by Keystead yet")
        return self._convert(members)

    def _convert(self, members: dict[str, Any]) -> R:
        try:
            return msgspec.convert(members, self._kind)
        except msgspec.ValidationError as error:
            raise ValidationException(f"One or more parameter values were invalid: {error}") from None
