"""The login: a user's password for a token."""

import time
from http import HTTPStatus

from logkeep.aws import clients
from logkeep.errors import LoginRefused, TokenDisabled, TokenExpired
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import USER_SLOTS, Caller, Credential
from logkeep.identity.keystone import Login, TokenDocument, token_document
from logkeep.identity.limiter_store import address_limiter, guess_limiter, user_limiter
from logkeep.identity.passwords import match_nobody, matches
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import claims_for, issue
from logkeep.web.app import Answer, App


def answer_login(app: App) -> Answer[TokenDocument]:
    """Issue a token for a user's password: its document in the body, the token itself in the header X-Subject-Token.

    Raises LoginRefused, or Throttled after too many tries.
    """
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
    active = [(place, each) for place, each in credential_store().user(login.user_id) if _is_active(each, now)]
    for place, each in active:
        if matches(login.password, (each.secret or b"").decode()):
            return place, each
    # Always check as many passwords as a user can have, so that the time does not reveal which users exist.
    for _ in USER_SLOTS[len(active) :]:
        match_nobody(login.password)
    raise LoginRefused("")


def _is_active(credential: Credential, now: float) -> bool:
    try:
        credential.check(now)
    except (TokenDisabled, TokenExpired):
        return False
    return True
