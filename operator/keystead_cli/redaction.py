"""Takes out of a report what only its owner should know. Pure.

Secrets are never fetched; this is for what might still be in logs, commands and annotations. What looks like a key, a
token or a password is replaced by REDACTED; so are the values of fields whose name says that they hold one.
"""

import re
from typing import Any, Final

REDACTED: Final = "REDACTED"
_TEXTS: Final = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # JSON Web Tokens, as of ServiceAccounts
    re.compile(r"(?<=Bearer )[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(?<=Signature=)[0-9a-f]{16,}"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user and password in a URL
    re.compile(r"(?i)(?<=password=)\S+|(?<=secret=)\S+|(?<=token=)\S+"),
)
_FIELDS: Final = re.compile(
    r"(?i)(passw|secret.?key|secret.?access|private.?key|api.?key|access.?key|token$|credential|authorization)"
)
_KEPT: Final = frozenset(("automountServiceAccountToken", "credentials", "credentialsSecretRef", "credentials_dir"))
_NOISE: Final = frozenset(("managedFields", "kubectl.kubernetes.io/last-applied-configuration"))


def redacted_text(text: str) -> str:
    for pattern in _TEXTS:
        text = pattern.sub(REDACTED, text)
    return text


def redacted(value: Any) -> Any:
    """An object as JSON has it, of the same shape. What says twice what is there already is left out."""
    match value:
        case dict():
            return {key: _field(key, inner) for key, inner in value.items() if key not in _NOISE} | _pair(value)
        case list():
            return [redacted(inner) for inner in value]
        case str():
            return redacted_text(value)
        case _:
            return value


def _field(name: str, value: Any) -> Any:
    if name not in _KEPT and _FIELDS.search(name) and isinstance(value, str | bytes | int | float):
        return REDACTED
    return redacted(value)


def _pair(value: dict[str, Any]) -> dict[str, Any]:
    """{"name": "DB_PASSWORD", "value": ...}, as environments of containers are written."""
    name = value.get("name")
    if isinstance(name, str) and "value" in value and _FIELDS.search(name.replace("_", "")):
        return {"value": REDACTED}
    return {}
