"""Kuscia's task log query: which log a request means, and the messages that carry it (seed 000).

Texts and codes are those of Kuscia's Autonomy node. Its `log` joins up to 100 lines without a trailing newline, so a
reader puts a newline between messages.

A task's pods are {task}-{idx}, or {task}-{role}-{idx} where parties have roles. Their logs are
task/{task}/{idx}/{container}/{restart} and task/{task}/{idx}/{role}_{container}/{restart}: no name in Kubernetes has an
underscore.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from logkeep import ndjson
from logkeep.errors import Invalid, LogkeepError
from logkeep.logid import LogId, is_segment
from logkeep.logs.head import Head, State

MESSAGE_LINES: Final = 100
MESSAGE_BYTES: Final = 256 * 1024  # of one JSON message
UNEXPECTED: Final = 11101
_VALIDATE: Final = 11100
_QUERY: Final = 13200
_INT32: Final = 2**31
_START: Final = b'{"status":{"message":"success"}'
# What a line is split into before it is escaped: JSON needs at most six bytes for one.
_PIECE: Final = 32 * 1024
_ROLE_WORDS: Final = 4  # of a role, joined by hyphens as the task's are: so many places are looked at
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class QueryRefused(LogkeepError):
    """The query cannot be answered: Kuscia's code, and its text as str()."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _without_surrogates(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


# JSON can escape half a surrogate pair; encoding/json reads U+FFFD then.
Text = Annotated[StrictStr, AfterValidator(_without_surrogates)]


class _Struct(BaseModel):
    """A struct as encoding/json binds it: names match in any case, of several the last wins, null changes nothing."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _fold_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name.casefold(): each for name, each in value.items() if each is not None}


def _in_order(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names stand where they stood last; with the last value that is not null."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if value is not None or name not in found:
            found.pop(name, None)
            found[name] = value
    return found


class RequestHeader(_Struct):
    custom_headers: dict[Text, Text] | None = None


class LogQuery(_Struct):
    """QueryLogRequest; other fields are ignored."""

    header: RequestHeader | None = None
    task_id: Text | None = None
    replica_idx: StrictInt | None = Field(default=None, ge=-_INT32, lt=_INT32)
    container: Text | None = None
    follow: StrictBool | None = None

    @classmethod
    def from_json(cls, body: bytes) -> "LogQuery":
        """Raise Invalid unless the first JSON value of the body is a request; what follows it is ignored."""
        try:
            value: Any = json.JSONDecoder(object_pairs_hook=_in_order).raw_decode(body.decode().lstrip(" \t\r\n"))[0]
            return cls() if value is None else cls.model_validate(value)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "body"
            raise Invalid(where, error.errors()[0]["msg"]) from error
        except (ValueError, RecursionError) as error:
            raise Invalid("body", "not JSON") from error


def task_owner(query: LogQuery) -> str:
    """Where the logs of the task are kept; raise QueryRefused where no task can have that name."""
    if not query.task_id:
        raise QueryRefused(_QUERY, "resource name may not be empty")
    if not is_segment(query.task_id):
        raise _unknown_task(query.task_id)
    return f"task/{query.task_id}"


def _unknown_task(task_id: str) -> QueryRefused:
    return QueryRefused(_QUERY, f'kusciatasks.kuscia.secretflow "{task_id}" not found')


def task_heads(query: LogQuery, heads_of: Callable[[str], Iterable[Head]]) -> list[Head]:
    """The logs of the task; where it is named {task}-{role}, as its pods are, those of that role.

    Raise QueryRefused where there are none.
    """
    if own := list(heads_of(task_owner(query))):
        return own
    words = (query.task_id or "").split("-")
    for count in range(1, min(len(words), _ROLE_WORDS + 1)):
        task, role = "-".join(words[:-count]), "-".join(words[-count:])
        if is_segment(task) and (found := [head for head in heads_of(f"task/{task}") if _role(head.log_id) == role]):
            return found
    raise _unknown_task(query.task_id or "")


def find(query: LogQuery, heads: Iterable[Head], namespace: str) -> Head:
    """The log that the query means among the heads of its task: the newest restart of one container of one replica."""
    task = query.task_id or ""
    heads = _of_one_role(heads)
    if not heads:
        raise _unknown_task(task)
    index = query.replica_idx or 0
    if not 0 <= index <= max(_replica(head.log_id) for head in heads):
        raise QueryRefused(_VALIDATE, "replicate index invalid")
    names = {_container(head.log_id) for head in heads}
    if not query.container and len(names) > 1:
        raise QueryRefused(_VALIDATE, "task's deploy container larger than 1, please specify the container name")
    container = query.container or names.pop()
    same = [head for head in heads if container in {_container(head.log_id), head.log_id.segments[2]}]
    if not same:
        raise QueryRefused(_VALIDATE, f"container name {container} invalid")
    found = max((head for head in same if _replica(head.log_id) == index), key=_restart, default=None)
    # A log that was opened and never written to is a container that has not started.
    if found is None or (found.end == 0 and found.state is State.OPEN):
        where = f"can't find pod log directory for {namespace}_{task}-{index}"
        raise QueryRefused(_QUERY, f"failed to local query, err: {where}, err: <nil>")
    return found


def restarts_of(log_id: LogId) -> str:
    """What the rest of the id begins with, of all logs of the same container."""
    return "/".join((*log_id.segments[1:-1], ""))


def from_restart(log_id: LogId, heads: Iterable[Head]) -> list[Head]:
    """Of the logs of one container this one and the later, in order."""
    first = int(log_id.segments[-1])
    return sorted((head for head in heads if _restart(head) >= first), key=_restart)


def _restart(head: Head) -> int:
    return int(head.log_id.segments[3])


def _replica(log_id: LogId) -> int:
    return int(log_id.segments[1])


def _role(log_id: LogId) -> str:
    return log_id.segments[2].rpartition("_")[0]


def _container(log_id: LogId) -> str:
    return log_id.segments[2].rpartition("_")[2]


def _of_one_role(heads: Iterable[Head]) -> list[Head]:
    """The logs without a role if there are any, else those of the only one; raise QueryRefused if there are several."""
    by_role: dict[str, list[Head]] = {}
    for head in heads:
        by_role.setdefault(_role(head.log_id), []).append(head)
    if "" not in by_role and len(by_role) > 1:
        text = f"task's role larger than 1, please query {{task_id}}-{{role}}, role {' or '.join(sorted(by_role))}"
        raise QueryRefused(_VALIDATE, text)
    return by_role.get("") or next(iter(by_role.values()), [])


def refusal(error: QueryRefused) -> bytes:
    """The one message of a refused query: the text in status.message, as the server has it, and in log, as the seed."""
    text = _without_surrogates(str(error))
    message = {"status": {"code": error.code, "message": text}, "log": text}
    return ndjson.line(**message)


def messages(texts: Iterable[bytes]) -> Iterator[bytes]:
    """NDJSON of a log: messages of at most MESSAGE_LINES lines and MESSAGE_BYTES bytes, however long its lines are.

    A line that is longer than a message goes on in the next one. Bytes that are not UTF-8 become U+FFFD. Where there is
    nothing more for now (b""), the lines that are whole are sent, and b"" is handed on. A line without a newline waits
    for it, at most until the text ends: sent before, its rest would become a line of its own.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    message = _Message()
    at_start = True  # of a line of the log
    for text in _pieces(texts, decoder):
        if text is None:
            if message.lines > (not at_start):
                yield message.flush(line_ended=at_start)
            yield b""
            continue
        lines = text.split("\n")
        for number, line in enumerate(lines):
            ends = number < len(lines) - 1
            if not line and not ends:
                continue
            escaped = ndjson.dumps(line)[1:-1].encode()
            while not message.takes(escaped, new_line=at_start):
                yield message.flush(line_ended=at_start)
            message.add(escaped, new_line=at_start)
            at_start = ends
    if message.lines:
        yield message.flush(line_ended=True)


def _pieces(texts: Iterable[bytes], decoder: codecs.IncrementalDecoder) -> Iterator[str | None]:
    """Pieces of the text; None where there is nothing more for now."""
    for text in texts:
        if not text:
            yield None
        for start in range(0, len(text), _PIECE):
            yield decoder.decode(text[start : start + _PIECE])
    yield decoder.decode(b"", final=True)


class _Message:
    def __init__(self) -> None:
        self.lines = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._last = 0  # the part with which the last line begins

    def takes(self, escaped: bytes, *, new_line: bool) -> bool:
        room = MESSAGE_BYTES - len(_START) - len(b',"log":""}\n') - self._size
        return len(escaped) + 2 <= room and (self.lines < MESSAGE_LINES or not new_line)

    def add(self, escaped: bytes, *, new_line: bool) -> None:
        joined = b"\\n" + escaped if new_line and self.lines else escaped
        if new_line:
            self._last = len(self._parts)
        self.lines += new_line or not self.lines
        self._parts.append(joined)
        self._size += len(joined)

    def flush(self, *, line_ended: bool) -> bytes:
        """The message so far; without `log` where it is one empty line, as Kuscia omits defaults.

        A line that goes on begins the next message, unless it fills this one alone.
        """
        kept: list[bytes] = []
        if not line_ended and self.lines > 1:
            first, *more = self._parts[self._last :]
            kept = [first.removeprefix(b"\\n"), *more]
            del self._parts[self._last :]
        log = b"".join(self._parts)
        self.lines, self._parts, self._size, self._last = len(kept[:1]), kept, sum(map(len, kept)), 0
        return _START + (b',"log":"' + log + b'"' if log else b"") + b"}\n"
