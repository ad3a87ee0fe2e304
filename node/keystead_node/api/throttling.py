"""What a client is told whose request was not let through: the service's error types, words and reasons.

    provisioned table    ProvisionedThroughputExceededException, be it the table's or a partition's limit
    on demand            ThrottlingException, with other words for the table's own maximum than for a partition's limit

Both are `Throttled`: nothing was done, and a batch hands back what they are about.
"""

from typing import Final

import msgspec

from keystead_core.capacity.limits import Cause, Kind
from keystead_node.api.errors import Throttled
from keystead_node.api.table_names import table_arn

_PROVISIONED: Final = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning "
    "level with the UpdateTable API."
)
_PROVISIONED_INDEX: Final = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
    "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes with the "
    "UpdateTable API"
)
_MAXIMUM: Final = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
_PARTITION: Final = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly. If exceptions persist, check if you have a hot key: "
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)
_LIMITS: Final = {
    Cause.PROVISIONED: "ProvisionedThroughputExceeded",
    Cause.ON_DEMAND_MAXIMUM: "MaxOnDemandThroughputExceeded",
    Cause.PARTITION: "KeyRangeThroughputExceeded",
}


class CapacityExceeded(Throttled):
    """`reason`: the service's word for the limit, as TableWriteProvisionedThroughputExceeded; `resource`: an ARN."""

    reasons_member = "throttlingReasons"

    def __init__(self, message: str, reason: str, resource: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.resource = resource

    def body(self) -> bytes:
        reasons = {self.reasons_member: [{"reason": self.reason, "resource": self.resource}]}
        return super().body()[:-1] + b"," + msgspec.json.encode(reasons)[1:]


class ProvisionedThroughputExceeded(CapacityExceeded):
    namespace = "com.amazonaws.dynamodb.v20120810"
    kind = "ProvisionedThroughputExceededException"
    reasons_member = "ThrottlingReasons"


def capacity_exceeded(resource: str, is_provisioned: bool, kind: Kind, cause: Cause) -> CapacityExceeded:
    """The error for a request about `resource` (TABLE, or TABLE/...INDEX) that went beyond the limit `cause`."""
    table, _, rest = resource.partition("/")
    index = rest.rpartition("/")[2]
    reason = f"{'Index' if index else 'Table'}{kind.name.capitalize()}{_LIMITS[cause]}"
    arn = table_arn(table) + (f"/index/{index}" if index else "")
    if is_provisioned:
        return ProvisionedThroughputExceeded(_PROVISIONED_INDEX if index else _PROVISIONED, reason, arn)
    return CapacityExceeded(_MAXIMUM if cause is Cause.ON_DEMAND_MAXIMUM else _PARTITION, reason, arn)
