"""Kuscia's query for a log, and which log it means (docs/apis.md#kuscia). Texts and codes are Kuscia's own.

A task's pods are {task}-{idx}, or {task}-{role}-{idx} if parties have roles. Their logs are
task/{task}/{idx}/{container}/{restart} and task/{task}/{idx}/{role}_{container}/{restart}. The underscore is
unambiguous, because names in Kubernetes have none.
"""

import json
from collections.abc import Callable, Iterable
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

from logkeep.apis.kuscia.codes import QUERY, VALIDATE, QueryRefused, without_surrogates
from logkeep.errors import Invalid
from logkeep.logid import LogId, is_segment
from logkeep.logs.head import Head, State

_INT32: Final = 2**31
_ROLE_WORDS: Final = 4  # words of a role at most, joined by hyphens: {task}-{role} is split at so many places

# JSON can escape half of a surrogate pair, which Go's encoding/json reads as U+FFFD.
Text = Annotated[StrictStr, AfterValidator(without_surrogates)]


class _Struct(BaseModel):
    """A struct as Go's encoding/json binds it.

    Names match in any case, the last of several values wins, and null changes nothing.
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _fold_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name.casefold(): each for name, each in value.items() if each is not None}


def _in_order(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object with the last value of each name that is not null, in the order of these last values."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if value is not None or name not in found:
            found.pop(name, None)
            found[name] = value
    return found


class RequestHeader(_Struct):
    custom_headers: dict[Text, Text] | None = None


class LogQuery(_Struct):
    """The published QueryLogRequest. Other fields are ignored."""

    header: RequestHeader | None = None
    task_id: Text | None = None
    replica_idx: StrictInt | None = Field(default=None, ge=-_INT32, lt=_INT32)
    container: Text | None = None
    follow: StrictBool | None = None

    @classmethod
    def from_json(cls, body: bytes) -> "LogQuery":
        """The first JSON value of the body; the rest of the body is ignored. Raises Invalid if it is no request."""
        try:
            value: Any = json.JSONDecoder(object_pairs_hook=_in_order).raw_decode(body.decode().lstrip(" \t\r\n"))[0]
            return cls() if value is None else cls.model_validate(value)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "body"
            raise Invalid(where, error.errors()[0]["msg"]) from error
        except (ValueError, RecursionError) as error:
            raise Invalid("body", "not JSON") from error


def task_owner(query: LogQuery) -> str:
    """The owner of the task's logs. Raises QueryRefused if no task can have that name."""
    if not query.task_id:
        raise QueryRefused(QUERY, "resource name may not be empty")
    if not is_segment(query.task_id):
        raise _unknown_task(query.task_id)
    return f"task/{query.task_id}"


def _unknown_task(task_id: str) -> QueryRefused:
    return QueryRefused(QUERY, f'kusciatasks.kuscia.secretflow "{task_id}" not found')


def task_heads(query: LogQuery, heads_of: Callable[[str], Iterable[Head]]) -> list[Head]:
    """The heads of the task's logs. A name of the form {task}-{role} means the logs of that role.

    Raises QueryRefused if there are none.
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
    """Choose the log that the query means: the newest restart of one container of one replica of the task.

    Raises QueryRefused if the query is ambiguous or means no log.
    """
    task = query.task_id or ""
    heads = _of_one_role(heads)
    if not heads:
        raise _unknown_task(task)
    index = query.replica_idx or 0
    if not 0 <= index <= max(_replica(head.log_id) for head in heads):
        raise QueryRefused(VALIDATE, "replicate index invalid")
    names = {_container(head.log_id) for head in heads}
    if not query.container and len(names) > 1:
        raise QueryRefused(VALIDATE, "task's deploy container larger than 1, please specify the container name")
    container = query.container or names.pop()
    same = [head for head in heads if container in {_container(head.log_id), head.log_id.segments[2]}]
    if not same:
        raise QueryRefused(VALIDATE, f"container name {container} invalid")
    found = max((head for head in same if _replica(head.log_id) == index), key=_restart, default=None)
    # An open log without bytes belongs to a container that has not started.
    if found is None or (found.end == 0 and found.state is State.OPEN):
        where = f"can't find pod log directory for {namespace}_{task}-{index}"
        raise QueryRefused(QUERY, f"failed to local query, err: {where}, err: <nil>")
    return found


def restarts_of(log_id: LogId) -> str:
    """The prefix, after the owner, that the ids of all restarts of the same container share."""
    return "/".join((*log_id.segments[1:-1], ""))


def from_restart(log_id: LogId, heads: Iterable[Head]) -> list[Head]:
    """This log and those of later restarts, in order, among the logs of one container."""
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
    """The logs without a role if there are any, else those of the only role. Raises QueryRefused for several roles."""
    by_role: dict[str, list[Head]] = {}
    for head in heads:
        by_role.setdefault(_role(head.log_id), []).append(head)
    if "" not in by_role and len(by_role) > 1:
        text = f"task's role larger than 1, please query {{task_id}}-{{role}}, role {' or '.join(sorted(by_role))}"
        raise QueryRefused(VALIDATE, text)
    return by_role.get("") or next(iter(by_role.values()), [])
