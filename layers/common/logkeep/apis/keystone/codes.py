"""The error codes of IAM."""

from typing import Final

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.error_bodies import Service

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
