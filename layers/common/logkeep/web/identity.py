"""Logging in, as far as it needs the stores."""

import time
from http import HTTPStatus
from typing import Final

from logkeep.aws import clients
from logkeep.aws.credentials import credential_store
from logkeep.aws.limits import address_limiter, user_limiter
from logkeep.aws.token_keys import token_keys
from logkeep.errors import LoginRefused, TokenExpired, TokenInvalid
from logkeep.identity import USER_SLOTS, Caller, Credential
from logkeep.keystone import Login, token_document
from logkeep.passwords import match_nobody, matches
from logkeep.tokens import claims_for, issue
from logkeep.web.http import Answer, App

BODY_MAX: Final = 16 * 1024


def answer_login(app: App) -> Answer:
    """A token for a user's password; its document is the body, the token itself the header X-Subject-Token."""
    login = app.json_body(Login, BODY_MAX)
    address_limiter().take(app.raw["requestContext"]["http"]["sourceIp"])
    user_limiter().take(login.user_id)
    now = time.time()
    place, credential = _prove_password(login, now)
    app.outcome.caller = Caller(credential.project, credential.scopes, credential.id)
    login.check_project(credential.project)
    claims = claims_for(credential, place, now)
    document = token_document(login, claims, credential.name, app.base_url, clients.region())
    headers = {"X-Subject-Token": issue(claims, token_keys().current()), "Vary": "X-Auth-Token"}
    return app.answer_document(document, HTTPStatus.CREATED, headers)


def _prove_password(login: Login, now: float) -> tuple[str, Credential]:
    found = [(place, each) for place, each in credential_store().user(login.user_id) if _in_force(each, now)]
    for place, each in found:
        if matches(login.password, (each.secret or b"").decode()):
            return place, each
    # A wrong one is tried as often as a user can have passwords: the time tells nobody which users there are.
    for _ in USER_SLOTS[len(found) :]:
        match_nobody(login.password)
    raise LoginRefused("")


def _in_force(credential: Credential, now: float) -> bool:
    try:
        credential.check(now)
    except (TokenInvalid, TokenExpired):
        return False
    return True
