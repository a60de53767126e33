"""Every route that no other function has: a 404 in the shape that the vendors' SDKs understand."""

from logkeep.web.app import App, entrypoint
from logkeep.web.error_bodies import LOGKEEP

lambda_handler = entrypoint(App(LOGKEEP, "reject_unknown"))
