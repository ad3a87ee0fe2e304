"""What can go wrong with a request inside the cluster. The API turns these into the service's errors."""


class NotMaster(Exception):
    """This replica does not serve the request; nothing was done. `hint`: the node that may, or ''."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class StaleRange(Exception):
    """The partition's range is of another generation: refresh and retry once; nothing was done."""


class WriteOutcomeUnknown(Exception):
    """The write may or may not have happened, or may happen yet."""


class Overloaded(Exception):
    """Refused at the door; nothing was done."""


class DiskNearlyFull(Exception):
    """Growing writes are refused while the volume is short of space; nothing was done."""


class CollectionTooLarge(Exception):
    """The items of one partition key, in a table with local indexes, may not grow further; nothing was done."""
