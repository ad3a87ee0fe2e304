"""Writers by boto3, a thread each, for as long as a block runs."""

import threading
from typing import Any, Self

import boto3
from botocore.config import Config

STOP_SECONDS_MAX = 30


def client(endpoint: str, attempts: int = 1) -> Any:
    """`attempts`: how often a request is sent before its error is ours."""
    config = Config(retries={"total_max_attempts": attempts}, connect_timeout=2, read_timeout=10)
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    return boto3.client("dynamodb", endpoint_url=endpoint, region_name="keystead", config=config, **keys)


class WriterThreads:
    """`count` threads in `run`, each until `is_stopping`."""

    def __init__(self, count: int) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS_MAX)
            assert not thread.is_alive(), "a writer does not stop"

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def run(self, number: int) -> None:
        raise NotImplementedError
