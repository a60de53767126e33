"""POST /v3/auth/tokens: a token for a user's password, as Keystone's clients ask for one."""

from logkeep.apis.keystone.codes import IAM
from logkeep.apis.keystone.http import answer_login
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(IAM, "issue_token")


@app.post("/v3/auth/tokens")
def issue_token() -> Answer:
    return answer_login(app)


lambda_handler = entrypoint(app)
