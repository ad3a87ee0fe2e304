"""The access keys that may call the API: a directory of files.

    KEYID                 the secret key of the access key KEYID; a key's id has no dot
    KEYID.policy.json     what that key may do (keystead_core.access_policy); without it, everything

A policy that cannot be read allows its key nothing until it can. It is told in the log with the file's name, as is a
file that is neither, and a policy of no key.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import structlog

from keystead_core.access_policy import Policy, PolicyError, parse_policy
from keystead_node.api.permissions import KeyPolicy
from keystead_node.api.service_model import service_model
from keystead_node.tls_files import FilesUnusable
from keystead_node.watched_files import WatchedFiles

POLICY_SUFFIX: Final = ".policy.json"
_ACTIONS_BESIDE_OPERATIONS: Final = (
    *("ConditionCheckItem", "PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"),
    *("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"),
)
log = structlog.get_logger("files")


class AccessKeys:
    """`secrets` and `policies` by access key id, as they are now.

    Raises FilesUnusable if there is no such directory.
    """

    def __init__(self, directory: Path) -> None:
        self.secrets: dict[str, str] = {}
        self.policies: dict[str, KeyPolicy] = {}
        self._directory = directory
        self._known_actions: Collection[str] = (*service_model().operations, *_ACTIONS_BESIDE_OPERATIONS)
        self.files = WatchedFiles(directory, "access keys", self._load)

    def _load(self) -> None:
        try:
            found = {
                path.name: path.read_bytes()
                for path in self._directory.iterdir()
                if not path.name.startswith(".") and path.is_file()
            }
            secrets = {name: content.decode().strip() for name, content in found.items() if "." not in name}
        except (OSError, UnicodeDecodeError) as error:
            raise FilesUnusable(f"the access keys of {self._directory}: {error}") from error
        policies = {}
        for name, content in sorted(found.items()):
            key_id, _, kind = name.partition(".")
            if f".{kind}" == POLICY_SUFFIX:
                policies[key_id] = self._policy(name, content)
                if key_id not in secrets:
                    log.warning("a policy of no access key", file=name)
            elif kind:
                log.warning("neither an access key nor a policy: names of keys have no dot", file=name)
        # First the policies: between the two lines nobody looks, but a key is never there before its policy.
        self.policies = policies
        # An empty secret would be one that everybody knows.
        self.secrets = {key_id: secret for key_id, secret in secrets.items() if secret}

    def _policy(self, name: str, content: bytes) -> KeyPolicy:
        try:
            return KeyPolicy(parse_policy(content, self._known_actions))
        except PolicyError as error:
            log.error("a policy cannot be read: its key may do nothing", file=name, error=str(error))
            return KeyPolicy(Policy())
