"""What a row has in its table's indexes: one entry in each that knows all its key attributes, none in the others.

    entry of a global index   key   = row key of the index's keys, then the item's own row key without its hash
                              value = row value of the item's projected attributes
    entry of a local index    key   = hash and partition part of the item, part of the index's range key, and the part
                                      of the item's own range key; in a key space of the index's own

So entries lie in the order of the index's keys, and no two items have one key. An attribute that may be no key (of
another type, too long, empty) keeps its item out of the index, as a missing one does: items may be older than it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from keystead_core.cluster_map import IndexDefinition, KeyAttribute, TableDefinition
from keystead_core.ids import PartitionId
from keystead_core.item_keys import HASH_KEY_BYTES_MAX, RANGE_KEY_BYTES_MAX, key_part
from keystead_core.items import Item, ItemError, decode_row, encode_checked_row
from keystead_core.keyspace import HASH_BYTES, collection_of, make_row_key

Entry = tuple[bytes, bytes]
Change = tuple[bytes, bytes | None]
"""An entry's key, and its value; None: it goes."""

_OUT_OF_BOUNDS = "an entry is never larger than the item that it is made of"


class PartitionIndexes(msgspec.Struct, frozen=True):
    """The indexes that a partition keeps, or feeds, from one record of its log on: the body of that record.

    `version`: the table's `index_version`; a body of an older version changes nothing. `filled`: ids of global indexes
    that have all rows of this partition that are older than they are.
    """

    version: int
    hash_key: KeyAttribute
    range_key: KeyAttribute | None
    indexes: list[IndexDefinition]
    filled: list[int] = []

    def is_newer_than(self, other: "PartitionIndexes") -> bool:
        """Of one version, the one that has more of the older rows; that only grows."""
        return (self.version, len(self.filled)) > (other.version, len(other.filled))


def encode_indexes(indexes: PartitionIndexes) -> bytes:
    return msgspec.msgpack.encode(indexes)


def decode_indexes(body: bytes) -> PartitionIndexes:
    """Raises msgspec.MsgspecError: such a record was written by a newer program."""
    return msgspec.msgpack.decode(body, type=PartitionIndexes)


def indexes_of(table: TableDefinition, partition: PartitionId, filled: Iterable[int] = ()) -> PartitionIndexes:
    """What a partition of the table is to keep. What only the catalog needs is left out, so that it changes nothing.

    `filled`: as the partition knew it before; an index that the table was made with has no older rows to be brought.
    """
    kept = [msgspec.structs.replace(index, status="", filling=[]) for index in table.indexes]
    whole = {index.id for index in table.indexes if partition not in index.filling} | set(filled)
    ids = [index.id for index in table.indexes if index.is_global and index.id in whole]
    return PartitionIndexes(table.index_version, table.hash_key, table.range_key, kept, ids)


def with_filled(indexes: PartitionIndexes, index: int) -> PartitionIndexes:
    """The same, once the older rows are in one more index."""
    return msgspec.structs.replace(indexes, filled=[*indexes.filled, index])


class LocalChanges(NamedTuple):
    """`entries`: changes of entries, each with its index's id. `collection`: what the row's key begins with, as those
    of all items of its partition key; `grown`: by how many stored bytes these and their entries have grown."""

    entries: list[tuple[int, Change]]
    collection: bytes
    grown: int


class IndexRule:
    """One index of one table."""

    def __init__(self, index: IndexDefinition, hash_key: KeyAttribute, range_key: KeyAttribute | None) -> None:
        self.index = index
        self._hash_key = hash_key
        names = [hash_key.name, *([range_key.name] if range_key is not None else [])]
        names += [key.name for key in (*index.hash, *index.range)]
        self.projected = None if index.projection == "ALL" else dict.fromkeys([*names, *index.included])
        """The names of the attributes that entries have; None: all."""

    def entry(self, row_key: bytes, item: Item, value: bytes) -> Entry | None:
        """The entry of a row, if it has one. `value`: the row's."""
        index = self.index
        try:
            range_part = _parts(index.range, item, RANGE_KEY_BYTES_MAX)
            if index.is_global:
                hash_part = _parts(index.hash, item, HASH_KEY_BYTES_MAX)
                if hash_part is None or range_part is None:
                    return None
                key = make_row_key(hash_part, range_part) + row_key[HASH_BYTES:]
            else:
                if range_part is None:
                    return None
                own = make_row_key(key_part(self._hash_key, item[self._hash_key.name][self._hash_key.type], True))
                key = own + range_part + row_key[len(own) :]
        except ItemError:
            return None
        if self.projected is None:
            return key, value
        return key, encode_checked_row({name: item[name] for name in self.projected if name in item}, _OUT_OF_BOUNDS)

    def changes(self, row_key: bytes, old: tuple[Item, bytes] | None, new: tuple[Item, bytes] | None) -> list[Change]:
        """What becomes of the row's entry as the row turns from `old` into `new`, each with its value; None: no row."""
        before = self.entry(row_key, *old) if old is not None else None
        after = self.entry(row_key, *new) if new is not None else None
        return _between(before, after)


def _between(before: Entry | None, after: Entry | None) -> list[Change]:
    """From one entry of a row to the next."""
    found: list[Change] = []
    if before is not None and (after is None or after[0] != before[0]):
        found.append((before[0], None))
    if after is not None and after != before:
        found.append(after)
    return found


def _parts(keys: list[KeyAttribute], item: Item, bytes_max: int) -> bytes | None:
    """The parts of the attributes' values, joined; None if the item lacks one. Raises ItemError for what is no key."""
    joined = b""
    for key in keys:
        content = item.get(key.name, {}).get(key.type)
        if content is None:
            return None
        joined += key_part(key, content, bytes_max == HASH_KEY_BYTES_MAX)
    return joined


class RowIndexer:
    """All indexes of a partition."""

    def __init__(self, indexes: PartitionIndexes) -> None:
        self.indexes = indexes
        rules = [IndexRule(index, indexes.hash_key, indexes.range_key) for index in indexes.indexes]
        self.local_rules = [rule for rule in rules if not rule.index.is_global]
        self.global_rules = [rule for rule in rules if rule.index.is_global]

    @property
    def unfilled(self) -> list[IndexRule]:
        """The global indexes that older rows of the partition are yet to be brought into."""
        return [rule for rule in self.global_rules if rule.index.id not in self.indexes.filled]

    def local_changes(self, row_key: bytes, old: bytes | None, new: bytes | None) -> "LocalChanges":
        """What the change of a row changes in local indexes."""
        before, after = _decoded(old), _decoded(new)
        entries: list[tuple[int, Change]] = []
        grown = len(new or b"") - len(old or b"")
        for rule in self.local_rules:
            was = rule.entry(row_key, *before) if before is not None else None
            becomes = rule.entry(row_key, *after) if after is not None else None
            entries += [(rule.index.id, change) for change in _between(was, becomes)]
            grown += (len(becomes[1]) if becomes else 0) - (len(was[1]) if was else 0)
        return LocalChanges(entries, collection_of(row_key, self.indexes.hash_key.type), grown)

    def global_changes(self, row_key: bytes, old: bytes | None, new: bytes | None) -> list[tuple[IndexRule, Change]]:
        """Changes of entries of global indexes, each with its index."""
        before, after = _decoded(old), _decoded(new)
        return [(rule, change) for rule in self.global_rules for change in rule.changes(row_key, before, after)]


def _decoded(value: bytes | None) -> tuple[Item, bytes] | None:
    return None if value is None else (decode_row(value), value)
