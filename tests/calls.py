"""Calling functions as Lambda does: with the events of events/*.json, or ones made like them."""

import base64
import gzip
import importlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlencode

from logkeep.aws import clients, download_role
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Credential, Kind, Scope
from logkeep.identity.limiter_store import address_limiter, guess_limiter, project_limiter, render_limiter, user_limiter
from logkeep.identity.token_key_store import token_keys
from logkeep.settings import settings
from logkeep_runtime import Streamed

EVENTS: Final = Path(__file__).parent.parent / "events"
PROJECT: Final = "0f5f3d6c1b6a4d5a8f4e1a2b3c4d5e6f"
OTHER_PROJECT: Final = "f" * 32
RECORD: Final = "5c77b71c-5b35-4f50-8984-76387e42451a"
SERVICE: Final = "35de3ca9-1bca-4ae7-9cb0-914f30fa7d3e"
CLUSTER: Final = "4213d908-f5dc-4633-8401-cfd7175fca0c"
BACKUP: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{CLUSTER} archive"))
TASK: Final = "secretflow-task-20241101160338-single-psi"
JOB: Final = "b59137c75cc44d0b8e1f2ee58b0fdc1f"
BUILD_NO: Final = 27
BUILD: Final = {"job_id": JOB, "build_no": str(BUILD_NO)}
CHECK_TASK: Final = "2b31ed520000000ebedb6e5700000000"
EXECUTION: Final = {"task_id": CHECK_TASK, "execute_id": "c4d91f3a7be04f0c9a6e21d85b3f7710"}
SUB_JOBS: Final = [f"a777ff00d3cf4d369d87066806ae000{n}" for n in (1, 2, 3)]
TOKENS: Final = {Kind.TOKEN: "logkeep-demo-token", Kind.KUSCIA_TOKEN: "logkeep-demo-kuscia-token-000001"}
SCOPES: Final = frozenset(map(str, Scope))
OTHER_TOKEN: Final = "token-of-another-project"  # noqa: S105 - of the tests alone


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    sent: bytes

    @property
    def body(self) -> bytes:
        """What a client has that undoes the Content-Encoding."""
        return gzip.decompress(self.sent) if self.headers.get("Content-Encoding") == "gzip" else self.sent

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Context(SimpleNamespace):
    def __init__(self, seconds: float = 29, request: str = "") -> None:
        super().__init__(
            function_name="test",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:test",
            aws_request_id=request or str(uuid.uuid4()),
        )
        self.get_remaining_time_in_millis = lambda: int(seconds * 1000)


class HurriedClock:
    """A time that only passes when someone waits; what is due then is done."""

    def __init__(self, **due: Callable[[], object]) -> None:
        """due: what is done at which second, such as s5."""
        self._now = 0.0
        self._due = sorted((float(name[1:]), done) for name, done in due.items())

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        while self._due and self._due[0][0] <= self._now:
            self._due.pop(0)[1]()


def forget_aws() -> None:
    """Let the code under test see its environment anew, as a cold start does."""
    names = ("s3", "dynamodb", "functions", "sns", "sts", "kms", "secretsmanager")
    made = [getattr(clients, name) for name in names]
    limiters = (project_limiter, render_limiter, guess_limiter, user_limiter, address_limiter)
    for cached in (*made, *limiters, credential_store, token_keys, settings):
        cached.cache_clear()
    download_role.forget()


def credential(kind: Kind = Kind.TOKEN, **changes: Any) -> Credential:
    fields = {"id": f"{kind}-id", "kind": kind, "name": "test", "project": PROJECT, "scopes": SCOPES}
    return Credential(**fields | changes)


def event(name: str, **changes: Any) -> dict[str, Any]:
    """An event of events/, with fields replaced; headers are added to its own, None removes one."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    added = changes.pop("headers", {})
    headers = {**loaded.get("headers", {}), **added}
    loaded |= changes
    if isinstance(changes.get("body"), str) and not loaded["isBase64Encoded"]:
        headers = {**headers, "content-length": str(len(loaded["body"].encode("utf-8", "surrogatepass"))), **added}
    if headers:
        loaded["headers"] = {key: value for key, value in headers.items() if value is not None}
    return loaded


def call(function: str, request: dict[str, Any]) -> Answer:
    return answer_of(importlib.import_module(f"functions.{function}.app").lambda_handler(request, Context()))


def answer_of(answer: Mapping[str, Any]) -> Answer:
    """What a gateway makes of what a function returned."""
    body = answer["body"] or ""
    sent = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
    return Answer(int(answer["statusCode"]), answer["headers"], sent)


def stream(function: str, request: dict[str, Any]) -> Streamed:
    """What the streaming runtime is handed."""
    handler = importlib.import_module(f"functions.{function}.app").stream_handler
    streamed: Streamed = handler(request, Context(900))
    return streamed


def streamed(function: str, request: dict[str, Any]) -> Answer:
    """The same, taken to its end."""
    made = stream(function, request)
    return Answer(made.status, dict(made.headers), b"".join(made.chunks))


def send(name: str, **changes: Any) -> Answer:
    """Call the function that an event is named after."""
    return call(name.partition("-")[0], event(name, **changes))


def binary(body: bytes) -> dict[str, Any]:
    """The fields of an event that carry bytes."""
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def log_request(name: str, log_id: str, query: str = "", **changes: Any) -> dict[str, Any]:
    """An event of one of the log routes, for another log."""
    path = {"rawPath": f"/v1/{PROJECT}/logs/{log_id}", "pathParameters": {"project_id": PROJECT, "log_id": log_id}}
    return event(name, rawQueryString=query, **path, **changes)


def append(
    log_id: str,
    body: bytes,
    offset: int | None = 0,
    headers: Mapping[str, str] | None = None,
    registered: Mapping[str, str] | None = None,
) -> Answer:
    query = urlencode(({} if offset is None else {"offset": offset}) | dict(registered or {}))
    sent = {"content-length": str(len(body)), **(headers or {})}
    return call("append_log", log_request("append_log", log_id, query, headers=sent, **binary(body)))


def seal(log_id: str, **totals: Any) -> Answer:
    return call("seal_log", log_request("seal_log", log_id, body=json.dumps(totals)))


def read(log_id: str, **headers: Any) -> Answer:
    return call("read_log", log_request("read_log", log_id, headers=headers))


def put_events(events: list[dict[str, Any]], service: str = SERVICE, key: str = "", **fields: Any) -> Answer:
    body = json.dumps({"events": events, **fields})
    headers = {"idempotency-key": key}
    return call("put_service_events", service_request("put_service_events", service, body=body, headers=headers))


def list_events(service: str = SERVICE, **query: Any) -> Answer:
    return call("list_service_events", service_request("list_service_events", service, rawQueryString=urlencode(query)))


def service_request(name: str, service: str, **changes: Any) -> dict[str, Any]:
    path = f"/v1/{PROJECT}/services/{service}/events"
    return event(name, rawPath=path, pathParameters={"project_id": PROJECT, "service_id": service}, **changes)
