"""Statuses and bodies of errors. Each API answers errors with its own codes (docs/apis.md#errors).

An API's codes.py makes one Service: its code and text for each class of logkeep.errors. Its functions pass the Service
to their App, which answers errors with it. An error without a code of its own has the code of its nearest base class.
`{}` in a text stands for the detail, str(error).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from logkeep import errors
from logkeep.errors import LogkeepError

type Codes = Mapping[type[LogkeepError], tuple[str, str]]  # code and text

STATUS: Final[Mapping[type[LogkeepError], HTTPStatus]] = {
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.RangeNotSatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.ForeignBucket: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.RouteNotFound: HTTPStatus.NOT_FOUND,
    errors.LogDeleted: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.NotEnabled: HTTPStatus.PRECONDITION_FAILED,
    # As CSS has it: its Terraform provider takes 415 and no other status for a success of closing.
    errors.AlreadyClosed: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.OffsetBeyondEnd: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    LogkeepError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# The vendor's gateway answers these for all APIs, unless an API has a code of its own.
_GATEWAY: Final[Codes] = {
    errors.TokenMissing: ("APIGW.0301", "Incorrect IAM authentication information: x-auth-token not found"),
    errors.TokenInvalid: ("APIGW.0301", "Incorrect IAM authentication information: decrypt token fail"),
    errors.TokenDisabled: ("APIGW.0301", "Incorrect IAM authentication information: {}"),
    errors.TokenExpired: ("APIGW.0301", "Incorrect IAM authentication information: token expires, {}"),
    errors.AuthorizationRefused: ("APIGW.0301", "Incorrect IAM authentication information: {}"),
    errors.SignatureRefused: ("APIGW.0301", "Incorrect IAM authentication information: {}"),
    errors.Throttled: ("APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit,{}"),
    errors.WrongFormat: ("APIGW.0201", "Backend unavailable: {}"),
    errors.RouteNotFound: ("APIGW.0101", "The API does not exist or has not been published in the environment"),
}


@dataclass(frozen=True, slots=True)
class Service:
    """The error codes of one API. They must include one for LogkeepError."""

    name: str
    codes: Codes
    keystone: bool = False  # also answer the `error` object that Keystone's clients read
    css: bool = False  # also answer errCode and externalMessage, which CSS's Terraform provider reads

    def error_body(self, error: LogkeepError) -> dict[str, Any]:
        """`{"error_code", "error_msg"}`, by the nearest class of the error with a code of the API or the gateway."""
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, LogkeepError) and kind is not LogkeepError]
        found = [codes[kind] for kind in kinds for codes in (self.codes, _GATEWAY) if kind in codes]
        code, text = found[0] if found else self.codes[LogkeepError]
        body: dict[str, Any] = {"error_code": code, "error_msg": text.format(error).strip()}
        if isinstance(error, errors.LogDeleted):
            body["deletion"] = error.certificate
        # The provider takes CSS.0015 in errCode for a cluster that is gone. It must not forget what it may not see.
        if self.css and not isinstance(error, errors.Forbidden):
            body |= {"errCode": code, "externalMessage": f"{code} : {body['error_msg']}"}
        if self.keystone:
            status = status_of(error)
            body["error"] = {"code": int(status), "title": status.phrase, "message": body["error_msg"]}
        return body


def status_of(error: LogkeepError) -> HTTPStatus:
    """The status of an error, by its nearest class in STATUS."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
