"""boto3 clients that tests of a process share, since making one takes longer than most tests use it."""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.retries.quota import RetryQuota

from logkeep.aws import clients

_made: Final[dict[tuple[Any, ...], tuple[Any, Any]]] = {}  # with what is called at their events, as they were made


@contextmanager
def remembering() -> Iterator[None]:
    """Let the layer get a client as it was made, when it asks for one that was made before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "boto3", SimpleNamespace(client=_client))
        yield


def _client(service: str, config: Config) -> Any:
    environment = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    # A process that was forked needs connections of its own.
    key = (os.getpid(), service, repr(sorted(vars(config).items(), key=str)), *environment)
    if key not in _made:
        client = boto3.client(service, config=config)  # type: ignore[call-overload]  # any service
        _made[key] = client, copy.copy(_emitter(client)._handlers)
    client, handlers = _made[key]
    emitter = _emitter(client)
    emitter._handlers, emitter._lookup_cache = copy.copy(handlers), {}
    # Requests that fail use up what the client may repeat.
    retrying = emitter._unique_id_handlers[f"retry-config-{client.meta.service_model.service_id.hyphenize()}"]
    retrying["handler"].__self__._retry_quota._quota = RetryQuota()
    return client


def _emitter(client: Any) -> Any:
    return client.meta.events._emitter
