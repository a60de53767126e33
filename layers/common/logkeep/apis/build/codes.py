"""The error codes of CodeArts Build."""

from typing import Final

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.error_bodies import Service

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
