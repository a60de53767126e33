"""Logging in, as far as it needs the stores."""

import time
from http import HTTPStatus

from logkeep.aws import clients
from logkeep.errors import LoginRefused, TokenExpired, TokenInvalid
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import USER_SLOTS, Caller, Credential
from logkeep.identity.keystone import Login, token_document
from logkeep.identity.limiter_store import address_limiter, guess_limiter, user_limiter
from logkeep.identity.passwords import match_nobody, matches
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import claims_for, issue
from logkeep.web.app import Answer, App


def answer_login(app: App) -> Answer:
    """A token for a user's password; its document is the body, the token itself the header X-Subject-Token."""
    login = app.json_body(Login)
    address = app.raw["requestContext"]["http"]["sourceIp"]
    address_limiter().take(address)
    guess_limiter().take(f"{login.user_id}/{address}")
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
