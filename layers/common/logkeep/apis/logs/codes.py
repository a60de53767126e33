"""The error codes of Logkeep's own API."""

from typing import Final

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.error_bodies import Service

LOGKEEP: Final = Service(
    "logkeep",
    {
        errors.Invalid: ("LOGKEEP.0400", "{}"),
        errors.Forbidden: ("LOGKEEP.0403", "{}"),
        errors.NotFound: ("LOGKEEP.0404", "{}"),
        errors.Conflict: ("LOGKEEP.0409", "{}"),
        errors.LogDeleted: ("LOGKEEP.0410", "{}"),
        errors.TooLarge: ("LOGKEEP.0413", "{}"),
        errors.UnsupportedBody: ("LOGKEEP.0415", "{}"),
        errors.OffsetBeyondEnd: ("LOGKEEP.0416", "{}"),
        errors.Throttled: ("LOGKEEP.0429", "Too many requests. {}"),
        errors.Busy: ("LOGKEEP.0503", "{}"),
        LogkeepError: ("LOGKEEP.0500", "Internal error."),
    },
)
