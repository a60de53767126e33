"""All other routes: a 404 in the form that the vendors' SDKs understand."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.web.app import App
from logkeep.web.entrypoints import entrypoint

lambda_handler = entrypoint(App(LOGKEEP, "reject_unknown"))
