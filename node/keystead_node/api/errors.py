"""The errors of the API: which type, status and wording a client sees.

An ApiError is the caller's answer, never a crash. Its `namespace#kind` is the service's own `__type`; a body without a
message has none, and serialization and access errors call it `Message` where all others say `message`.

A backend raises the last four. The kinds differ in what they promise: only OutcomeUnknown leaves open whether the write
happened; Unavailable, Throttled and StorageFull mean that nothing was or will be written.
"""

from typing import Final

import msgspec

_DYNAMODB: Final = "com.amazonaws.dynamodb.v20120810"
_CORAL_SERVICE: Final = "com.amazon.coral.service"
_CORAL_VALIDATE: Final = "com.amazon.coral.validate"
_CORAL_AVAILABILITY: Final = "com.amazon.coral.availability"


class ApiError(Exception):
    """An answer that is an error. Subclasses fix `namespace`, `kind`, `status` and the name of the message's member."""

    namespace = _DYNAMODB
    kind = "InternalServerError"
    status = 500
    message_member = "message"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message)
        self.message = message

    def body(self) -> bytes:
        """The JSON body."""
        members = {"__type": f"{self.namespace}#{self.kind}"}
        if self.message is not None:
            members[self.message_member] = self.message
        return msgspec.json.encode(members)


class ValidationException(ApiError):
    namespace = _CORAL_VALIDATE
    kind = "ValidationException"
    status = 400


class SerializationException(ApiError):
    namespace = _CORAL_SERVICE
    kind = "SerializationException"
    status = 400
    message_member = "Message"


class UnknownOperation(ApiError):
    namespace = _CORAL_SERVICE
    kind = "UnknownOperationException"
    status = 400


class MissingAuthenticationToken(ApiError):
    namespace = _CORAL_SERVICE
    kind = "MissingAuthenticationTokenException"
    status = 400


class IncompleteSignature(ApiError):
    namespace = _CORAL_SERVICE
    kind = "IncompleteSignatureException"
    status = 400


class InvalidSignature(ApiError):
    namespace = _CORAL_SERVICE
    kind = "InvalidSignatureException"
    status = 400


class UnrecognizedClient(ApiError):
    namespace = _CORAL_SERVICE
    kind = "UnrecognizedClientException"
    status = 400


class AccessDenied(ApiError):
    namespace = _CORAL_SERVICE
    kind = "AccessDeniedException"
    status = 400
    message_member = "Message"


class ResourceNotFound(ApiError):
    kind = "ResourceNotFoundException"
    status = 400


class TableNotFound(ApiError):
    kind = "TableNotFoundException"
    status = 400


class ResourceInUse(ApiError):
    kind = "ResourceInUseException"
    status = 400


class LimitExceeded(ApiError):
    kind = "LimitExceededException"
    status = 400


class ConditionalCheckFailed(ApiError):
    """`item`: the JSON of the item that does not meet the condition, where it was asked for and there is one."""

    kind = "ConditionalCheckFailedException"
    status = 400

    def __init__(self, item: bytes | None = None) -> None:
        super().__init__("The conditional request failed")
        self.item = item

    def body(self) -> bytes:
        body = super().body()
        return body if self.item is None else b'{"Item":%b,%b' % (self.item, body[1:])


class InternalServerError(ApiError):
    """A bug or damage on our side."""


class OutcomeUnknown(InternalServerError):
    """The write may or may not have happened: its quorum did not answer in time."""

    def __init__(self, message: str = "The outcome of the write is unknown") -> None:
        super().__init__(message)


class Unavailable(ApiError):
    """Nobody can serve the partition now; nothing was written. Clients retry."""

    namespace = _CORAL_AVAILABILITY
    kind = "ServiceUnavailableException"
    status = 503

    def __init__(self, message: str = "No master of the partition can be reached") -> None:
        super().__init__(message)


class Throttled(ApiError):
    """Refused at the door; nothing was written. Clients retry."""

    namespace = _CORAL_AVAILABILITY
    kind = "ThrottlingException"
    status = 400

    def __init__(self, message: str = "Rate of requests exceeds what the partition can take") -> None:
        super().__init__(message)


class StorageFull(LimitExceeded):
    """Space for growing writes is used up; nothing was written. Deletes and reads go on."""

    def __init__(self, message: str = "The nodes of the partition have no space left: only deletes and reads") -> None:
        super().__init__(message)


class ItemCollectionTooLarge(ApiError):
    """The items of one partition key are as large as they may be where there are local indexes; nothing was written."""

    namespace = "com.amazonaws.dynamodb.v20120810"
    kind = "ItemCollectionSizeLimitExceededException"
    status = 400

    def __init__(self) -> None:
        super().__init__("Collection size exceeded.")


def table_error(code: str, message: str) -> ApiError:
    """What a client is told of a refusal by the catalog: its code (keystead_core.catalog.results) and message."""
    match code:
        case "ResourceInUse":
            return ResourceInUse(message)
        case "ResourceNotFound":
            return ResourceNotFound(message)
        case "LimitExceeded" | "InsufficientNodes" | "InsufficientZones":
            return LimitExceeded(message)
        case "ManagedByResource" | "DeletionProtected" | "Invalid":
            return ValidationException(message)
        case _:
            return Unavailable(f"{code}: {message}")


def table_not_found() -> ResourceNotFound:
    """For operations on items."""
    return ResourceNotFound("Requested resource not found")


def named_table_not_found(name: str) -> ResourceNotFound:
    """For operations on tables."""
    return ResourceNotFound(f"Requested resource not found: Table: {name} not found")


def table_already_exists(name: str) -> ResourceInUse:
    return ResourceInUse(f"Table already exists: {name}")


def table_being_created(name: str) -> ResourceInUse:
    return ResourceInUse(f"Attempt to change a resource which is still in use: Table is being created: {name}")


def table_being_deleted(name: str) -> ResourceInUse:
    return ResourceInUse(f"Attempt to change a resource which is still in use: Table is being deleted: {name}")


def failure_of(outcome: object) -> Exception | None:
    """The failure, if that is what became of something; what ends a task is raised."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome
    return outcome if isinstance(outcome, Exception) else None
