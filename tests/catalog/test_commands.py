"""Commands and replies on the wire: what is encoded comes back, and anything else is one typed error."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead_core.catalog.commands import (
    ChangeTable,
    Command,
    CommandError,
    CreateTable,
    DeleteTable,
    Fence,
    GoneNode,
    GroupReport,
    InitCluster,
    LockRequest,
    NodeLeft,
    Recover,
    RegisterNode,
    ReplicaSpec,
    ReportGroups,
    ReportRetired,
    SetNodeState,
    SetTarget,
    TakeLocks,
    UpdateSettings,
    UpdateTable,
    decode_command,
    encode_command,
)
from keystead_core.catalog.results import CatalogReply, ReplyError, decode_reply, encode_reply
from keystead_core.catalog.table_changes import Expiry, TableChange
from keystead_core.cluster_map import ClusterSettings, ReplicaTarget, Survivor
from keystead_core.ids import NodeId, PartitionId, ReplicaId
from tests.catalog.cluster import make_node, make_table

PLACE = ReplicaTarget(ReplicaId(7), NodeId("00"), "zone-1", "voter")
COMMANDS: dict[int, Command] = {
    1: InitCluster("c1", [PLACE]),
    2: RegisterNode("c1", make_node(1)),
    3: NodeLeft(NodeId("00"), 3, True),
    4: SetNodeState(NodeId("00"), "maintenance"),
    5: CreateTable(make_table(tags={"a": "b"}), b"seed", 12.5),
    6: UpdateTable(make_table(read_units=5), "Table/ns/orders", 3),
    7: DeleteTable("orders", "Table/ns/orders", "id", 3),
    8: TakeLocks(NodeId("00"), 4, [LockRequest(PartitionId(2), 9)]),
    9: ReportGroups([GroupReport(PartitionId(2), 3, 4, [PLACE], NodeId("00"))]),
    10: SetTarget(PartitionId(2), [ReplicaSpec(NodeId("00"), "log-only", True)], 3),
    11: Fence("operator-1", 5),
    12: UpdateSettings(ClusterSettings(replicas=5), 3),
    19: Recover(PartitionId(2), [GoneNode(NodeId("00"), 3)], 12.5),
    20: ReportRetired(PartitionId(2), Survivor(NodeId("00"), 3, 40, True)),
    13: ChangeTable("orders", TableChange(stream_view="KEYS_ONLY", expiry=Expiry("until", True), tags={"a": "b"}), 2.5),
}


@pytest.mark.parametrize("number", COMMANDS)
def test_each_command_comes_back_and_keeps_its_number(number: int) -> None:
    body = encode_command(COMMANDS[number])
    assert decode_command(body) == COMMANDS[number]
    assert msgspec.msgpack.decode(body)[0] == number


@settings(deadline=None)
@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_mutated_commands_decode_or_raise_the_one_error(number: int, data: st.DataObject) -> None:
    body = bytearray(encode_command(COMMANDS[number]))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    try:
        decode_command(cut)
    except CommandError:
        return


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\x63", b"\x91" * 5000, b"\x92\x0b\xa1"])
def test_bytes_that_are_no_command_are_refused(body: bytes) -> None:
    with pytest.raises(CommandError):
        decode_command(body)


def test_a_command_of_a_newer_version_with_a_further_field_is_still_read() -> None:
    body = msgspec.msgpack.encode([11, "operator-1", 5, "a field of the future"])
    assert decode_command(body) == Fence("operator-1", 5)


def test_a_create_command_of_an_older_version_makes_a_table_without_options() -> None:
    old = msgspec.msgpack.decode(encode_command(COMMANDS[5]))[:5]
    assert decode_command(msgspec.msgpack.encode(old)) == COMMANDS[5]


def test_a_reply_comes_back_and_other_bytes_are_refused() -> None:
    reply = CatalogReply(error="Invalid", message="no", version=7, counters=[1, 0], fence=3)
    assert decode_reply(encode_reply(reply)) == reply
    with pytest.raises(ReplyError):
        decode_reply(b"\x93\x01\x02\x03")
