"""GET / and GET /v3: the version of the identity API, which clients ask for before they log in."""

from http import HTTPStatus

from logkeep.apis.keystone.codes import IAM
from logkeep.identity.keystone import VersionDocument, VersionList, version_document, version_list
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(IAM, "show_api_versions")


@app.get("/")
def list_versions() -> Answer[VersionList]:
    """The versions of the identity API."""
    return app.answer_document(version_list(app.base_url), HTTPStatus.MULTIPLE_CHOICES)


@app.get("/v3")
def show_version() -> Answer[VersionDocument]:
    """The version of the identity API."""
    return app.answer_document(version_document(app.base_url))


lambda_handler = entrypoint(app)
