"""The published services: each answers errors in its own code family (docs: wire facts, section 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from logkeep import errors
from logkeep.errors import LogkeepError

STATUS: Final[Mapping[type[LogkeepError], HTTPStatus]] = {
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.ForeignBucket: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.RouteNotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.NotEnabled: HTTPStatus.PRECONDITION_FAILED,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.OffsetBeyondEnd: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    LogkeepError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

type Codes = Mapping[type[LogkeepError], tuple[str, str]]

# What the gateway answers before any service. The braces are for the detail.
_GATEWAY: Final[Codes] = {
    errors.TokenMissing: ("APIGW.0301", "Incorrect IAM authentication information: x-auth-token not found"),
    errors.TokenInvalid: ("APIGW.0301", "Incorrect IAM authentication information: decrypt token fail"),
    errors.TokenExpired: ("APIGW.0301", "Incorrect IAM authentication information: token expires, {}"),
    errors.SignatureRefused: ("APIGW.0301", "Incorrect IAM authentication information: {}"),
    errors.Throttled: ("APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit,{}"),
    errors.RouteNotFound: ("APIGW.0101", "The API does not exist or has not been published in the environment"),
}


@dataclass(frozen=True, slots=True)
class Service:
    """One code family; Keystone's clients read an `error` object besides."""

    name: str
    codes: Codes
    keystone: bool = False

    def error_body(self, error: LogkeepError) -> dict[str, Any]:
        """`{"error_code", "error_msg"}`; the text is the documented one, with the detail."""
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, LogkeepError) and kind is not LogkeepError]
        found = [codes[kind] for kind in kinds for codes in (self.codes, _GATEWAY) if kind in codes]
        code, text = found[0] if found else self.codes[LogkeepError]
        body: dict[str, Any] = {"error_code": code, "error_msg": text.format(error).strip()}
        if self.keystone:
            status = status_of(error)
            body["error"] = {"code": int(status), "title": status.phrase, "message": body["error_msg"]}
        return body


def status_of(error: LogkeepError) -> HTTPStatus:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


LOGKEEP: Final = Service(
    "logkeep",
    {
        errors.Invalid: ("LOGKEEP.0400", "{}"),
        errors.Forbidden: ("LOGKEEP.0403", "{}"),
        errors.NotFound: ("LOGKEEP.0404", "{}"),
        errors.Conflict: ("LOGKEEP.0409", "{}"),
        errors.TooLarge: ("LOGKEEP.0413", "{}"),
        errors.UnsupportedBody: ("LOGKEEP.0415", "{}"),
        errors.OffsetBeyondEnd: ("LOGKEEP.0416", "{}"),
        errors.Throttled: ("LOGKEEP.0429", "Too many requests. {}"),
        errors.Busy: ("LOGKEEP.0503", "{}"),
        LogkeepError: ("LOGKEEP.0500", "Internal error."),
    },
)

MODELARTS: Final = Service(
    "modelarts",
    {
        errors.Invalid: ("ModelArts.0104", "Parameter error. {}"),
        errors.TokenMissing: ("ModelArts.0201", "Token doesn't exist."),
        errors.TokenExpired: ("ModelArts.0202", "Token expired. {}"),
        errors.TokenInvalid: ("ModelArts.0203", "Invalid token. {}"),
        errors.OtherProject: ("ModelArts.0210", "The project id in the request URL does not match the token."),
        errors.Forbidden: ("ModelArts.0108", "You are not authorized to perform the operation: {}"),
        errors.ServiceNotFound: ("ModelArts.3502", "Service {} does not exist."),
        errors.Conflict: ("ModelArts.3503", "{}"),
        errors.TooLarge: ("ModelArts.0107", "The values of the request parameters are invalid: {}"),
        errors.UnsupportedBody: ("ModelArts.0101", "Invalid argument. {}"),
        errors.Throttled: ("ModelArts.2799", "Too many requests. {}"),
        errors.Busy: ("ModelArts.2799", "{}"),
        LogkeepError: ("ModelArts.0010", "Internal error."),
    },
)

BUILD: Final = Service(
    "codeartsbuild",
    {
        errors.Invalid: ("CB.00060200", "Invalid parameter. {}"),
        errors.Forbidden: ("CB.00060403", "{}"),
        errors.NotFound: ("CB.00060404", "The build log does not exist: {}"),
        errors.TooLarge: ("CB.00060413", "{}"),
        errors.Throttled: ("CB.00060211", "Too many requests. Try again later. {}"),
        errors.Busy: ("CB.00060100", "Network busy. {}"),
        LogkeepError: ("CB.00060101", "Internal error."),
    },
)

CHECK: Final = Service(
    "codeartscheck",
    {
        errors.Invalid: (
            "CC.00070400.400",
            "Verify request parameter failed. Check whether the request parameters are correct. {}",
        ),
        # As the seed has it, to the letter.
        errors.TokenMissing: ("CC.00000003", "Authentication information expired."),
        errors.TokenInvalid: ("CC.00000003", "Authentication information expired."),
        errors.TokenExpired: ("CC.00000003", "Authentication information expired."),
        errors.Forbidden: ("CC.00070400.403", "{}"),
        errors.NotFound: ("CC.00070400.404", "{}"),
        errors.TooLarge: ("CC.00070400.413", "{}"),
        errors.Busy: ("CC.00000000", "Network busy, try again later. {}"),
        LogkeepError: ("CC.00070400.500", "Internal error."),
    },
)

CSS: Final = Service(
    "css",
    {
        errors.Invalid: ("CSS.0001", "Incorrect parameters. {}"),
        errors.Forbidden: ("CSS.0015", "No resources are found or the access is denied. {}"),
        errors.ForeignBucket: ("CSS.0048", "{}"),
        errors.BackupRuns: ("CSS.3004", "Backup is in progress. {}"),
        errors.ClusterNotFound: ("CSS.3027", "The cluster does not exist! {}"),
        errors.NotFound: ("CSS.0016", "Resource not found. {}"),
        errors.Conflict: ("CSS.0031", "{}"),
        errors.NotEnabled: ("CSS.5090", "In this status, the current operation is not allowed. {}"),
        errors.TooLarge: ("CSS.0026", "The log size is too large. {}"),
        errors.UnsupportedBody: ("CSS.0001", "Incorrect parameters. {}"),
        errors.Busy: ("CSS.9999", "{}"),
        LogkeepError: ("CSS.0005", "Server error."),
    },
)

IAM: Final = Service(
    "iam",
    {
        errors.Invalid: ("IAM.0001", "Invalid request. {}"),
        errors.LoginRefused: ("IAM.0101", "The username or password is wrong. {}"),
        errors.Forbidden: ("IAM.0002", "{}"),
        errors.TooLarge: ("IAM.0001", "{}"),
        errors.UnsupportedBody: ("IAM.0001", "{}"),
        errors.Busy: ("IAM.0503", "{}"),
        LogkeepError: ("IAM.0500", "Internal error."),
    },
    keystone=True,
)
