"""The requests of operations on tables, as typed structs; see requests.py."""

import msgspec


class AttributeDefinition(msgspec.Struct):
    AttributeName: str
    AttributeType: str


class KeySchemaElement(msgspec.Struct):
    AttributeName: str
    KeyType: str


class ProvisionedThroughputChoice(msgspec.Struct):
    ReadCapacityUnits: int
    WriteCapacityUnits: int


class Tag(msgspec.Struct):
    Key: str
    Value: str


class StreamChoice(msgspec.Struct):
    StreamEnabled: bool
    StreamViewType: str | None = None


class EncryptionChoice(msgspec.Struct):
    Enabled: bool | None = None
    SSEType: str | None = None
    KMSMasterKeyId: str | None = None


class OnDemandChoice(msgspec.Struct):
    MaxReadRequestUnits: int | None = None
    MaxWriteRequestUnits: int | None = None


class WarmChoice(msgspec.Struct):
    ReadUnitsPerSecond: int | None = None
    WriteUnitsPerSecond: int | None = None


class ProjectionChoice(msgspec.Struct):
    ProjectionType: str | None = None
    NonKeyAttributes: list[str] | None = None


class LocalIndexChoice(msgspec.Struct):
    IndexName: str
    KeySchema: list[KeySchemaElement]
    Projection: ProjectionChoice


class GlobalIndexChoice(msgspec.Struct):
    IndexName: str
    KeySchema: list[KeySchemaElement]
    Projection: ProjectionChoice
    ProvisionedThroughput: ProvisionedThroughputChoice | None = None
    OnDemandThroughput: OnDemandChoice | None = None
    WarmThroughput: WarmChoice | None = None


class GlobalIndexUnits(msgspec.Struct):
    IndexName: str
    ProvisionedThroughput: ProvisionedThroughputChoice | None = None
    OnDemandThroughput: OnDemandChoice | None = None
    WarmThroughput: WarmChoice | None = None


class GlobalIndexName(msgspec.Struct):
    IndexName: str


class GlobalIndexUpdate(msgspec.Struct):
    Update: GlobalIndexUnits | None = None
    Create: GlobalIndexChoice | None = None
    Delete: GlobalIndexName | None = None


class CreateTableRequest(msgspec.Struct, forbid_unknown_fields=True):
    TableName: str
    AttributeDefinitions: list[AttributeDefinition]
    KeySchema: list[KeySchemaElement]
    LocalSecondaryIndexes: list[LocalIndexChoice] | None = None
    GlobalSecondaryIndexes: list[GlobalIndexChoice] | None = None
    BillingMode: str = "PROVISIONED"
    ProvisionedThroughput: ProvisionedThroughputChoice | None = None
    DeletionProtectionEnabled: bool = False
    TableClass: str | None = None
    StreamSpecification: StreamChoice | None = None
    SSESpecification: EncryptionChoice | None = None
    OnDemandThroughput: OnDemandChoice | None = None
    WarmThroughput: WarmChoice | None = None
    Tags: list[Tag] = []


class UpdateTableRequest(msgspec.Struct, forbid_unknown_fields=True):
    TableName: str
    AttributeDefinitions: list[AttributeDefinition] | None = None
    GlobalSecondaryIndexUpdates: list[GlobalIndexUpdate] | None = None
    BillingMode: str | None = None
    ProvisionedThroughput: ProvisionedThroughputChoice | None = None
    DeletionProtectionEnabled: bool | None = None
    TableClass: str | None = None
    StreamSpecification: StreamChoice | None = None
    SSESpecification: EncryptionChoice | None = None
    OnDemandThroughput: OnDemandChoice | None = None
    WarmThroughput: WarmChoice | None = None


class TableRequest(msgspec.Struct, forbid_unknown_fields=True):
    """DescribeTable, DeleteTable, DescribeTimeToLive and DescribeContinuousBackups."""

    TableName: str


class ListTablesRequest(msgspec.Struct, forbid_unknown_fields=True):
    ExclusiveStartTableName: str | None = None
    Limit: int = 100


class TimeToLiveChoice(msgspec.Struct):
    Enabled: bool
    AttributeName: str


class UpdateTimeToLiveRequest(msgspec.Struct, forbid_unknown_fields=True):
    TableName: str
    TimeToLiveSpecification: TimeToLiveChoice


class TagResourceRequest(msgspec.Struct, forbid_unknown_fields=True):
    ResourceArn: str
    Tags: list[Tag]


class UntagResourceRequest(msgspec.Struct, forbid_unknown_fields=True):
    ResourceArn: str
    TagKeys: list[str]


class ListTagsOfResourceRequest(msgspec.Struct, forbid_unknown_fields=True):
    ResourceArn: str
    NextToken: str | None = None


class EmptyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """DescribeLimits and DescribeEndpoints."""
