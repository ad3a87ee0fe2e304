"""The access keys that may call the API: a directory of files, named by access key ids, holding their secret keys."""

from pathlib import Path

from keystead_node.tls_files import FilesUnusable
from keystead_node.watched_files import WatchedFiles


class AccessKeys:
    """`secrets`: secret keys by access key id, as they are now. Raises FilesUnusable if there is no such directory."""

    def __init__(self, directory: Path) -> None:
        self.secrets: dict[str, str] = {}
        self._directory = directory
        self.files = WatchedFiles(directory, "access keys", self._load)

    def _load(self) -> None:
        try:
            found = {
                path.name: path.read_text().strip()
                for path in self._directory.iterdir()
                if not path.name.startswith(".") and path.is_file()
            }
        except (OSError, UnicodeDecodeError) as error:
            raise FilesUnusable(f"the access keys of {self._directory}: {error}") from error
        # An empty secret would be one that everybody knows.
        self.secrets = {key_id: secret for key_id, secret in found.items() if secret}
