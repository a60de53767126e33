"""The error codes of CSS."""

from typing import Final

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.error_bodies import Service

CSS: Final = Service(
    "css",
    {
        errors.Invalid: ("CSS.0001", "Incorrect parameters. {}"),
        errors.Forbidden: ("CSS.0015", "No resources are found or the access is denied. {}"),
        errors.ForeignBucket: ("CSS.0048", "{}"),
        errors.BackupInProgress: ("CSS.3004", "Backup is in progress. {}"),
        errors.ClusterNotFound: ("CSS.3027", "The cluster does not exist! {}"),
        errors.NotFound: ("CSS.0016", "Resource not found. {}"),
        errors.Conflict: ("CSS.0031", "{}"),
        errors.AlreadyClosed: ("CSS.0004", "Invalid operation. {}"),
        errors.NotEnabled: ("CSS.5090", "In this status, the current operation is not allowed. {}"),
        errors.TooLarge: ("CSS.0026", "The log size is too large. {}"),
        errors.UnsupportedBody: ("CSS.0001", "Incorrect parameters. {}"),
        errors.Busy: ("CSS.9999", "{}"),
        LogkeepError: ("CSS.0005", "Server error."),
    },
    css=True,
)
