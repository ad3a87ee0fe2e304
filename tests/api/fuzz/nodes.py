"""The fuzz against running nodes: their state is what their own API says of tables and items."""

import time
from typing import Any

import boto3
from botocore.config import Config

from tests.api.fuzz.trial import make_table, make_tables
from tests.api.fuzz.values import TABLES
from tests.faults.cluster import Cluster

_VOLATILE = {
    *("TableId", "CreationDateTime", "ItemCount", "TableSizeBytes", "LatestStreamArn", "LatestStreamLabel"),
    *("IndexSizeBytes", "Backfilling"),
}
"""What a description says of the moment, of a table or of an index."""
Tables = dict[str, Any]


class NodesTarget:
    """Nodes of a cluster; requests go to the first, which may master some of the tables and none of others."""

    def __init__(self, cluster: Cluster) -> None:
        host, _, port = cluster.endpoints()[0].removeprefix("http://").partition(":")
        self.address = (host, int(port))
        self._client = boto3.client(
            "dynamodb",
            endpoint_url=cluster.endpoints()[0],
            region_name="eu-west-2",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 5, "mode": "standard"}),
        )
        make_tables(self._client)

    def state(self) -> Tables:
        return {name: self._table(name) for name in self._client.list_tables()["TableNames"]}

    def _table(self, name: str) -> dict[str, Any]:
        described = self._client.describe_table(TableName=name)["Table"]
        return {
            "described": _lasting(described),
            "items": sorted(self._client.scan(TableName=name, ConsistentRead=True)["Items"], key=repr),
            "tags": self._client.list_tags_of_resource(ResourceArn=described["TableArn"])["Tags"],
            "expiry": self._client.describe_time_to_live(TableName=name)["TimeToLiveDescription"],
        }

    def restore(self, state: Tables) -> None:
        """Tables of `state` are made as TABLES says: it has to be the state at the beginning."""
        now = self.state()
        for name in sorted(now.keys() | state.keys()):
            before, after = state.get(name, {}), now.get(name, {})
            if {**before, "items": ()} == {**after, "items": ()}:
                self._restore_items(name, before["items"], after["items"])
            else:
                if after:
                    self._delete(name)
                if before:
                    make_table(self._client, name)
        assert self.state() == state

    def _restore_items(self, name: str, before: list[Any], after: list[Any]) -> None:
        for item in after:
            if item not in before:
                self._client.delete_item(TableName=name, Key={key: item[key] for key in TABLES[name]})
        for item in before:
            if item not in after:
                self._client.put_item(TableName=name, Item=item)

    def _delete(self, name: str) -> None:
        if self._client.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"]:
            self._client.update_table(TableName=name, DeletionProtectionEnabled=False)
        self._client.delete_table(TableName=name)
        while name in self._client.list_tables()["TableNames"]:
            time.sleep(0.05)


def _lasting(described: Any) -> Any:
    if isinstance(described, list):
        return [_lasting(member) for member in described]
    if isinstance(described, dict):
        return {name: _lasting(member) for name, member in described.items() if name not in _VOLATILE}
    return described
