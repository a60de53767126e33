"""What AWS does now and then: it throttles, is in the way of itself, answers late, cuts answers off, or loses them.

Faults are put below botocore's retries, where a request is sent, so that retries are what is tried. A seed decides
which requests meet one. A call of a function on the HTTP API also meets throttles that outlast the retries.
"""

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from enum import StrEnum
from types import FrameType
from typing import Any, Final

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from urllib3.exceptions import ProtocolError

from local.template import Template
from logkeep.aws import usage

SHARE: Final = 0.12  # of all requests
_EXHAUSTED_SHARE: Final = 0.05  # of these, in calls of functions
_SLOW: Final = 0.02  # seconds
_ATTEMPTS: Final = 5  # of botocore: one, and the four more of logkeep.aws.clients
_CALLER: Final = "/layers/common/logkeep/"  # whose requests meet faults
_SINGLE_WRITES: Final = {"PutItem", "UpdateItem", "DeleteItem"}
# By service, if it is not 400 ThrottlingException.
_THROTTLES: Final = {
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "lambda": (429, "TooManyRequestsException"),
    "s3": (503, "SlowDown"),
    "sns": (400, "Throttling"),
    "sts": (400, "Throttling"),
}
# What S3 begins to answer with 200, before it knows how it will end.
_SAID_TOO_EARLY: Final = {"CompleteMultipartUpload", "UploadPartCopy"}
_OF_OBJECTS: Final = {"GetObject", "HeadObject", "UploadPartCopy"}
_LISTING: Final = "s3:ListBucket"


class Fault(StrEnum):
    """A kind of fault. A request meets it once and succeeds when it is repeated, unless another word is said."""

    THROTTLED = "throttled"  # before it has an effect, once to three times
    FAILED = "failed"  # 500, before it has an effect
    UNSENT = "unsent"  # the connection closes before it has an effect
    LOST = "lost"  # it has its effect, but the connection closes
    LATE = "late"  # it has its effect, but is answered after the time that is waited for
    UNDONE = "undone"  # 200, and an error in the body
    SLOW = "slow"  # a correct answer, late
    CUT = "cut"  # the body of an object ends too early; botocore does not notice before it is read
    CONFLICT = "conflict"  # another transaction holds the item; botocore does not repeat it
    UNPROCESSED = "unprocessed"  # a batch of which a part is left
    EXHAUSTED = "exhausted"  # throttled however often it is repeated
    DENIED = "denied"  # what S3 says of a missing object to a role that may not list the bucket; every time


calling: ContextVar[str | None] = ContextVar("calling", default=None)  # the folder of the function that is being called


class Faults:
    """Faults for the clients that are attached, counted by kind."""

    def __init__(
        self,
        seed: str,
        template: Template,
        note: Callable[[Fault, str], None] = lambda *_: None,
        kinds: Iterable[Fault] = Fault,
        share: float = SHARE,
    ) -> None:
        """`note` is called with each fault and the operation that met it; `share` is that of all requests."""
        self.counts: Counter[str] = Counter()
        self._kinds = set(kinds)
        self._share = share
        self._note = note
        self.on = True
        self._listing = listing_folders(template)
        self._lock = threading.Lock()
        self._plans: dict[str, list[Fault]] = {}  # by invocation id: the faults of the attempts that follow
        self.begin(seed)

    def begin(self, seed: str) -> None:
        """Draw from here on as this seed has it."""
        self._chance = random.Random(seed)  # noqa: S311 - repeatable

    def install(self) -> None:
        """Let the requests of the clients that the layer makes from now on meet faults."""
        count = usage.count

        def count_and_attach(client: Any) -> None:
            count(client)
            self.attach(client)

        usage.count = count_and_attach

    def attach(self, client: Any) -> None:
        """Let the requests of a client meet faults, if they come from the layer."""

        def send(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
            if not self.on or not _is_ours(sys._getframe(1)):
                return None
            service, operation = event_name.removeprefix("before-send.").split(".")
            sender: Callable[..., AWSResponse] = client._endpoint.http_session.send
            return self._answer(service, operation, request, sender)

        client.meta.events.register("before-send", send)

    def _answer(
        self, service: str, operation: str, request: Any, send: Callable[..., AWSResponse]
    ) -> AWSResponse | None:
        """The answer to a request, None for the emulator's. Raises what botocore's sender raises."""
        fault = self._next(service, operation, request)
        if fault is None:
            return self._true(operation, send(request)) if operation in _OF_OBJECTS else None
        answer = _before(fault, service, operation, request)
        if answer is None:
            answer = _after(fault, self._true(operation, send(request)), request)
        self._count(fault, operation)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _next(self, service: str, operation: str, request: Any) -> Fault | None:
        """The fault of this attempt."""
        id_ = _text(request.headers.get("amz-sdk-invocation-id"))
        first = "attempt=1" in (_text(request.headers.get("amz-sdk-request")) or "attempt=1")
        with self._lock:
            if first:
                self._plans[id_] = self._plan(service, operation)
            plan = self._plans.get(id_, [])
            fault = plan.pop(0) if plan else None
            if not plan:
                self._plans.pop(id_, None)
        return fault

    def _plan(self, service: str, operation: str) -> list[Fault]:
        """The faults of a request's attempts, one after the other."""
        if self._chance.random() >= self._share:
            return []
        kinds: list[Fault] = [Fault.THROTTLED, Fault.FAILED, Fault.UNSENT, Fault.LOST, Fault.LATE, Fault.SLOW]
        # What few requests can meet is likely where they can.
        if operation == "GetObject":
            kinds += 3 * [Fault.CUT]
        if operation in _SINGLE_WRITES or operation == "TransactWriteItems":
            kinds += 3 * [Fault.CONFLICT]
        if operation == "BatchGetItem":
            kinds += 6 * [Fault.UNPROCESSED]
        if operation in _SAID_TOO_EARLY:
            kinds += 6 * [Fault.UNDONE]
        if calling.get() and (self._kinds == {Fault.EXHAUSTED} or self._chance.random() < _EXHAUSTED_SHARE):
            kinds = [Fault.EXHAUSTED]
        kinds = [each for each in kinds if each in self._kinds]
        if not kinds:
            return []
        kind = self._chance.choice(kinds)
        times = {Fault.EXHAUSTED: _ATTEMPTS, Fault.THROTTLED: self._chance.randint(1, _ATTEMPTS - 1)}
        return times.get(kind, 1) * [kind]

    def _count(self, fault: Fault, operation: str) -> None:
        with self._lock:
            self.counts[fault.value] += 1
        self._note(fault, operation)

    def _true(self, operation: str, answer: AWSResponse) -> AWSResponse:
        """The answer, or what S3 says in its place to a role that may not list the bucket."""
        function = calling.get()
        if Fault.DENIED not in self._kinds:
            return answer
        if operation not in _OF_OBJECTS or answer.status_code != 404 or function is None or function in self._listing:
            return answer
        self._count(Fault.DENIED, operation)
        answer.raw.close()
        return refusal(403, "s3", "AccessDenied", answer.url)


def _before(fault: Fault, service: str, operation: str, request: Any) -> AWSResponse | Exception | None:
    """The answer in place of the emulator's, which does not hear of the request; None for a fault that comes later."""
    match fault:
        case Fault.THROTTLED | Fault.EXHAUSTED:
            status, code = _THROTTLES.get(service, (400, "ThrottlingException"))
            return refusal(status, service, code, request.url)
        case Fault.FAILED:
            codes = {"dynamodb": "InternalServerError", "s3": "InternalError"}
            return refusal(500, service, codes.get(service, "InternalFailure"), request.url)
        case Fault.UNSENT:
            return ConnectionClosedError(endpoint_url=request.url)
        case Fault.UNDONE:
            return refusal(200, service, "InternalError", request.url)
        case Fault.CONFLICT if operation in _SINGLE_WRITES:
            return refusal(400, service, "TransactionConflictException", request.url)
        case Fault.CONFLICT:
            items = json.loads(request.body)["TransactItems"]
            reasons = [{"Code": "None"}] * (len(items) - 1) + [{"Code": "TransactionConflict", "Message": "fault"}]
            return refusal(400, service, "TransactionCanceledException", request.url, CancellationReasons=reasons)
        case Fault.SLOW:
            time.sleep(_SLOW)
    return None


def _after(fault: Fault, answer: AWSResponse, request: Any) -> AWSResponse | Exception:
    """What comes back of the emulator's answer."""
    match fault:
        case Fault.LOST:
            answer.raw.close()
            return ConnectionClosedError(endpoint_url=request.url)
        case Fault.LATE:
            answer.raw.close()
            return ReadTimeoutError(endpoint_url=request.url)
        case Fault.CUT:
            return cut_off(answer)
        case Fault.UNPROCESSED:
            return _unprocessed(answer, request)
    return answer


class _Cut:
    """A raw answer that breaks off after the first half of its bytes."""

    def __init__(self, raw: Any, size: int) -> None:
        self._raw = raw
        self._left = size // 2

    def read(self, amt: int | None = None, **_: Any) -> bytes:
        read: bytes = self._raw.read(self._left if amt is None else min(amt, self._left)) if self._left else b""
        self._left -= len(read)
        if amt is None or not read:
            self._raw.close()
            raise ProtocolError("Connection broken: IncompleteRead")
        return read

    def stream(self, amt: int = 1 << 16, **_: Any) -> Iterator[bytes]:
        while True:
            yield self.read(amt)

    def close(self) -> None:
        self._raw.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def cut_off(answer: AWSResponse) -> AWSResponse:
    """An object's answer without the second half of its body."""
    if answer.status_code not in {200, 206}:
        return answer
    headers: Any = answer.headers
    return AWSResponse(answer.url, answer.status_code, headers, _Cut(answer.raw, int(headers.get("content-length", 0))))


def _unprocessed(answer: AWSResponse, request: Any) -> AWSResponse:
    """The first item of each table alone; the keys of all of the others are left."""
    body, asked = json.loads(answer.content), json.loads(request.body)["RequestItems"]
    if answer.status_code != 200:
        return answer
    for table, wanted in asked.items():
        keys = wanted["Keys"]
        found = body["Responses"].get(table, [])
        if len(keys) > 1:
            names = list(keys[0])
            body["Responses"][table] = [item for item in found if {name: item[name] for name in names} == keys[0]]
            body.setdefault("UnprocessedKeys", {})[table] = wanted | {"Keys": keys[1:]}
    return answer_with(200, answer.url, json.dumps(body).encode(), "application/x-amz-json-1.0")


def refusal(status: int, service: str, code: str, url: str, **fields: Any) -> AWSResponse:
    """An error in the shape of a service's protocol."""
    if service == "s3":
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>a fault</Message></Error>'
        return answer_with(status, url, text.encode(), "application/xml")
    if service in {"sns", "sts"}:
        text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>a fault</Message></Error>"
        return answer_with(status, url, f"{text}<RequestId>fault</RequestId></ErrorResponse>".encode(), "text/xml")
    body = {"__type": f"com.amazonaws.{service}#{code}", "message": "a fault", **fields}
    return answer_with(status, url, json.dumps(body).encode(), "application/x-amz-json-1.0")


class _Body:
    """What is left of a body, as AWSResponse reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()

    def read(self, *_: Any, **__: Any) -> bytes:
        content, self._content = self._content, b""
        return content

    def close(self) -> None:
        pass


def answer_with(status: int, url: str, body: bytes, content_type: str) -> AWSResponse:
    headers: Any = {"content-type": content_type, "content-length": str(len(body)), "x-amzn-requestid": "fault"}
    return AWSResponse(url, status, headers, _Body(body))


def _is_ours(frame: FrameType | None) -> bool:
    """Whether the first caller above the AWS libraries is the layer, and not a test or a tool of this folder."""
    while frame is not None:
        name = frame.f_code.co_filename
        if "/botocore/" not in name and "/boto3/" not in name:
            return _CALLER in name
        frame = frame.f_back
    return False


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def listing_folders(template: Template) -> set[str]:
    """The folders of the functions whose roles may list the bucket. The role of function X is XRole."""
    roles = template.resources("AWS::IAM::Role")
    return {each.folder for name, each in template.functions.items() if _LISTING in json.dumps(roles[f"{name}Role"])}


def begin(seed: str) -> None:
    """Let the requests of this process meet faults, and print a line of each. Called before a function is imported."""

    def note(fault: Fault, operation: str) -> None:
        print(json.dumps({"level": "DEBUG", "message": "fault", "fault": fault, "operation": operation}))

    Faults(seed, Template.load(), note).install()
