"""Who is calling: a credential, its project, and what it may do."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from logkeep.errors import OtherProject, ScopeMissing, TokenExpired, TokenInvalid


class Scope(StrEnum):
    LOGS_READ = "logs:read"
    LOGS_WRITE = "logs:write"
    EVENTS_WRITE = "events:write"
    BACKUPS_MANAGE = "backups:manage"


# What a caller must hold to use a function; None is for everyone. A function that is not named here serves nobody.
NEEDED_SCOPE: Final[Mapping[str, Scope | None]] = {
    "query_task_log": Scope.LOGS_READ,
    "list_service_events": Scope.LOGS_READ,
    "download_build_log": Scope.LOGS_READ,
    "page_build_log": Scope.LOGS_READ,
    "list_backup_records": Scope.LOGS_READ,
    "download_check_logs": Scope.LOGS_READ,
    "show_check_log": Scope.LOGS_READ,
    "put_service_events": Scope.EVENTS_WRITE,
    "append_log": Scope.LOGS_WRITE,
    "seal_log": Scope.LOGS_WRITE,
    "read_log": Scope.LOGS_READ,
    "list_logs": Scope.LOGS_READ,
    "reject_unknown": None,
}


class TokenKind(StrEnum):
    """Which header a token comes in; one kind is no good in the other's place."""

    AUTH = "auth"  # X-Auth-Token
    KUSCIA = "kuscia"  # Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    project: str
    scopes: frozenset[str]
    expires_at: int | None = None  # epoch seconds
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """A proved credential: acts in its project and in no other."""

    project: str
    scopes: frozenset[str]

    def need_scope(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise ScopeMissing(f"the credential lacks the scope {scope}")

    def need_project(self, project: str) -> None:
        if project != self.project:
            raise OtherProject("the project in the path is not the credential's")


def token_hash(kind: TokenKind, token: str) -> str:
    """The only form in which a token is stored."""
    return hashlib.sha256(f"{kind}:{token}".encode(errors="surrogateescape")).hexdigest()


def prove(credential: Credential | None, now: float) -> Caller:
    """The caller whom a looked-up credential stands for; now in epoch seconds."""
    if credential is None or credential.disabled:
        raise TokenInvalid("the token is not known")
    if credential.expires_at is not None and credential.expires_at <= now:
        raise TokenExpired(f"expires_at: {credential.expires_at}")
    return Caller(credential.project, credential.scopes)
