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
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.retries.quota import RetryQuota

from logkeep.aws import clients

_made: Final[dict[tuple[Any, ...], tuple[Any, Any]]] = {}  # with what is called at their events, as they were made

_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class _Current(Credentials):
    """Those of the environment at each request, so that a client is whoever the process is."""

    def __init__(self) -> None:
        super().__init__("", "")

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        access_key, secret_key, token = (os.environ.get(name) for name in _CREDENTIALS)
        return ReadOnlyCredentials(access_key or "", secret_key or "", token or None)


@contextmanager
def remembering() -> Iterator[None]:
    """Let the layer get a client as it was made, when it asks for one that was made before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "boto3", SimpleNamespace(client=_client))
        yield


def _client(service: str, config: Config) -> Any:
    environment = sorted(
        (name, value) for name, value in os.environ.items() if name.startswith("AWS_") and name not in _CREDENTIALS
    )
    # A process that was forked needs connections of its own.
    key = (os.getpid(), service, repr(sorted(vars(config).items(), key=str)), *environment)
    if key not in _made:
        client = boto3.client(service, config=config)  # type: ignore[call-overload]  # any service
        client._request_signer._credentials = _Current()
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
