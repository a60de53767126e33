"""GET /v3/projects: the caller's project. The vendors' SDKs look it up by the name of a region."""

from logkeep.apis.keystone.codes import IAM
from logkeep.identity.keystone import ProjectList, ProjectQuery, project_list
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(IAM, "list_projects")


@app.get("/v3/projects")
def list_projects() -> Answer[ProjectList]:
    return app.answer_document(project_list(app.caller, app.query(ProjectQuery), app.base_url))


lambda_handler = entrypoint(app)
