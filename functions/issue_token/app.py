"""POST /v3/auth/tokens: log in with a password; the answer is a token."""

from logkeep.apis.keystone.codes import IAM
from logkeep.apis.keystone.http import answer_login
from logkeep.identity.keystone import TokenDocument
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(IAM, "issue_token")


@app.post("/v3/auth/tokens")
def issue_token() -> Answer[TokenDocument]:
    return answer_login(app)


lambda_handler = entrypoint(app)
