"""The server that the clients of other languages talk to."""

from tests.api.conftest import front

__all__ = ["front"]
