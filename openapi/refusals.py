"""The errors of a route, as its own app answers them: status, code and text."""

import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from logkeep import errors
from logkeep.apis.kuscia.codes import QUERY, VALIDATE, QueryRefused
from logkeep.errors import LogkeepError
from logkeep.identity.credentials import Access, Kind, Scope
from logkeep.web.app import App

_DETAIL: Final = "…"


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """An answer to an error. Its code is empty if its body is."""

    status: int
    code: str
    text: str
    headers: tuple[str, ...]
    content_type: str
    keystone: bool


def refusals_of(app: App, path: str, own: Iterable[type[LogkeepError]]) -> list[Refusal]:
    """All refusals of a route of an app: those of the handler's own errors, and those of every route."""
    kinds = {*own, *_shared(app, path)}
    found = {_refusal(app, error) for kind in kinds for error in _examples(kind)}
    return sorted(found)


def codes_of(app: App) -> dict[str, str]:
    """For each name of an error, how an app answers it."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LogkeepError)]
    found = ((kind.__name__, [_refusal(app, error) for error in _examples(kind)]) for kind in [*kinds, QueryRefused])
    return {
        name: " or ".join(f"`{each.code}`" if each.code else f"status {each.status}" for each in refusals)
        for name, refusals in found
    }


def _shared(app: App, path: str) -> set[type[LogkeepError]]:
    """The errors that any handler of the app may end with, by what it needs of its caller and by its path."""
    kinds: set[type[LogkeepError]] = {LogkeepError, errors.WrongFormat}
    if app._needed is not Access.EVERYONE:
        kinds |= {errors.Throttled, errors.Busy, errors.TokenMissing, errors.TokenInvalid, errors.TokenExpired}
        kinds.add(errors.AuthorizationRefused)
        kinds |= {errors.SignatureRefused} if app._token is Kind.TOKEN else set()
    if isinstance(app._needed, Scope):
        kinds.add(errors.ScopeMissing)
    if "{project_id}" in path:
        kinds |= {errors.OtherProject, errors.Invalid}
    if "{" in path:
        kinds.add(errors.RouteNotFound)  # a parameter with a character that no route takes
    return kinds


def _examples(kind: type[LogkeepError]) -> list[LogkeepError]:
    match kind:
        case errors.Invalid:
            return [errors.Invalid("field", "reason")]
        case errors.OffsetBeyondEnd:
            return [errors.OffsetBeyondEnd(0)]
        case errors.LogDeleted:
            return [errors.LogDeleted("the log", {})]
        case _ if issubclass(kind, errors.Busy):
            return [kind(_DETAIL, 1)]
        case _ if kind is QueryRefused:
            return [QueryRefused(code, _DETAIL) for code in (VALIDATE, QUERY)]
    return [kind(_DETAIL)]


def _refusal(app: App, error: LogkeepError) -> Refusal:
    answer = app.refused(error)
    body: Any = answer.body or {}
    if isinstance(body, bytes):  # Kuscia's message
        status = json.loads(body)["status"]
        body = {"error_code": str(status["code"]), "error_msg": status["message"]}
    text = str(body.get("error_msg", "")) or (inspect.getdoc(type(error)) or type(error).__name__)
    return Refusal(
        answer.status_code,
        body.get("error_code", ""),
        text,
        tuple(sorted({*answer.headers} & {"Retry-After", "Range", "WWW-Authenticate"})),
        answer.content_type or "",
        "error" in body,
    )
