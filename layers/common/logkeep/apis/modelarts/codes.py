"""The error codes of ModelArts."""

from typing import Final

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.error_bodies import Service

MODELARTS: Final = Service(
    "modelarts",
    {
        errors.Invalid: ("ModelArts.0104", "Parameter error. {}"),
        errors.TokenMissing: ("ModelArts.0201", "Token doesn't exist."),
        errors.TokenExpired: ("ModelArts.0202", "Token expired. {}"),
        errors.TokenDisabled: ("ModelArts.0203", "Invalid token. {}"),
        errors.TokenInvalid: ("ModelArts.0203", "Invalid token. {}"),
        errors.AuthorizationRefused: ("ModelArts.0203", "Invalid token. {}"),
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
