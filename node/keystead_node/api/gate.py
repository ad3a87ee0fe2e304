"""Who is let in: a request's signature, and what its key may do."""

from keystead_node.api.auth import Authenticator
from keystead_node.api.compression import unfolded
from keystead_node.api.http_requests import Request
from keystead_node.api.permissions import Policies
from keystead_node.api.request_types import parse_body
from keystead_node.api.signatures import SignedRequest, claimed_key_id


class Gate:
    """For the requests of one node. `policies` None: every key may do everything."""

    def __init__(self, authenticate: Authenticator, policies: Policies | None = None) -> None:
        self._authenticate = authenticate
        self._policies = policies

    def admit(self, request: Request, operation: str, is_gzip: bool) -> tuple[str, bytes]:
        """The caller's access key id, and the body, decompressed. Raises ApiError if the request may not be served."""
        body = request.body
        key_id = self._authenticate.known(request)
        if not key_id:
            if not is_gzip:
                parse_body(body)
            key_id = self._authenticate(signed_request(request))
        if is_gzip:
            # Only now, though the service looks at the JSON first: few bytes may hold many, which is no stranger's due.
            body = unfolded(body)
            parse_body(body)
        if self._policies is not None:
            policy = self._policies().get(key_id)
            if policy is not None:
                parse_body(body)
                policy.check(key_id, operation, body)
        return key_id, body


def claimed_by(request: Request) -> str:
    """The access key id that a request names, right or not."""
    return claimed_key_id(signed_request(request))


def signed_request(request: Request) -> SignedRequest:
    path, _, query = request.target.decode("latin-1").partition("?")
    headers = {name.decode("ascii"): value.decode("utf-8", "replace") for name, value in request.headers.items()}
    return SignedRequest(request.method.decode("ascii"), path, query, headers, request.body)
