"""The error codes of CodeArts Check."""

from typing import Final

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.error_bodies import Service

CHECK: Final = Service(
    "codeartscheck",
    {
        errors.Invalid: (
            "CC.00070400.400",
            "Verify request parameter failed. Check whether the request parameters are correct. {}",
        ),
        # The published text, to the letter.
        errors.TokenMissing: ("CC.00000003", "Authentication information expired."),
        errors.TokenInvalid: ("CC.00000003", "Authentication information expired."),
        errors.TokenDisabled: ("CC.00000003", "Authentication information expired. {}"),
        errors.TokenExpired: ("CC.00000003", "Authentication information expired."),
        errors.AuthorizationRefused: ("CC.00000003", "Authentication information expired. {}"),
        errors.Forbidden: ("CC.00070400.403", "{}"),
        errors.NotFound: ("CC.00070400.404", "{}"),
        errors.TooLarge: ("CC.00070400.413", "{}"),
        errors.Busy: ("CC.00000000", "Network busy, try again later. {}"),
        LogkeepError: ("CC.00070400.500", "Internal error."),
    },
)
