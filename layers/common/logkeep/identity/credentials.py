"""Who is calling: a credential, its project, and what it may do."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from logkeep.errors import OtherProject, ScopeMissing, TokenExpired, TokenInvalid


class Scope(StrEnum):
    LOGS_READ = "logs:read"
    LOGS_WRITE = "logs:write"
    EVENTS_WRITE = "events:write"
    BACKUPS_MANAGE = "backups:manage"


class Access(StrEnum):
    """Where no scope is needed."""

    PROVED = "proved"  # whoever holds a credential
    EVERYONE = "everyone"


# What a caller needs to use a function. One that is not named here serves nobody.
NEEDED: Final[Mapping[str, Scope | Access]] = {
    "query_task_log": Scope.LOGS_READ,
    "list_service_events": Scope.LOGS_READ,
    "download_build_log": Scope.LOGS_READ,
    "page_build_log": Scope.LOGS_READ,
    "list_backup_records": Scope.LOGS_READ,
    "open_log_backup": Scope.BACKUPS_MANAGE,
    "show_log_settings": Scope.LOGS_READ,
    "change_log_settings": Scope.BACKUPS_MANAGE,
    "change_log_policy": Scope.BACKUPS_MANAGE,
    "collect_logs": Scope.BACKUPS_MANAGE,
    "hold_backup": Scope.BACKUPS_MANAGE,
    "check_log_connectivity": Scope.BACKUPS_MANAGE,
    "search_logs": Scope.LOGS_READ,
    "show_backup_record": Scope.LOGS_READ,
    "download_backup": Scope.LOGS_READ,
    "verify_backup": Scope.BACKUPS_MANAGE,
    "restore_backup": Scope.BACKUPS_MANAGE,  # and logs:write, which its code asks for
    "download_check_logs": Scope.LOGS_READ,
    "show_check_log": Scope.LOGS_READ,
    "put_service_events": Scope.EVENTS_WRITE,
    "append_log": Scope.LOGS_WRITE,
    "seal_log": Scope.LOGS_WRITE,
    "read_log": Scope.LOGS_READ,
    "list_logs": Scope.LOGS_READ,
    "list_projects": Access.PROVED,
    "issue_token": Access.EVERYONE,
    "show_api_versions": Access.EVERYONE,
    "reject_unknown": Access.EVERYONE,
}


class Kind(StrEnum):
    """How a credential is proved; one kind is no good in another's place."""

    ACCESS_KEY = "access-key"  # a signature
    TOKEN = "token"  # noqa: S105 - a name, sent as X-Auth-Token
    KUSCIA_TOKEN = "kuscia-token"  # noqa: S105 - a name, sent as Token
    USER = "user"  # a password, for a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A row of table Credentials. `secret` is the ciphertext of an access key's secret, or a password's hash."""

    id: str  # public: audit lines name it
    kind: Kind
    name: str  # whose it is, for people; of a user, what it logs in as
    project: str
    scopes: frozenset[str]
    created_at: int = 0  # epoch seconds
    expires_at: int | None = None
    disabled: bool = False
    secret: bytes | None = None

    def check(self, now: float) -> None:
        """Raise TokenInvalid or TokenExpired unless it is in force; now in epoch seconds."""
        if self.disabled:
            raise TokenInvalid("the credential is not known")
        if self.expires_at is not None:
            check_expiry(self.expires_at, now)


@dataclass(frozen=True, slots=True)
class Caller:
    """A proved credential: acts in its project and in no other."""

    project: str
    scopes: frozenset[str]
    credential: str  # its id

    def need(self, needed: Scope | Access) -> None:
        if isinstance(needed, Scope) and needed not in self.scopes:
            raise ScopeMissing(f"the credential lacks the scope {needed}")

    def need_project(self, project: str) -> None:
        if project != self.project:
            raise OtherProject("the project in the path is not the credential's")


def prove(credential: Credential | None, now: float, scopes: Iterable[str] | None = None) -> Caller:
    """The caller whom a looked-up credential stands for, with no more than these scopes; now in epoch seconds."""
    if credential is None:
        raise TokenInvalid("the credential is not known")
    credential.check(now)
    held = credential.scopes if scopes is None else credential.scopes.intersection(scopes)
    return Caller(credential.project, held, credential.id)


def check_expiry(expires_at: int, now: float) -> None:
    if expires_at <= now:
        raise TokenExpired(f"expires_at: {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}")


# Where a credential is kept: the key of its row.


def token_place(kind: Kind, token: str) -> str:
    """Of a token that is known only as its hash."""
    return f"{kind}/{hashlib.sha256(f'{kind}:{token}'.encode(errors='surrogatepass')).hexdigest()}"


def access_key_place(access_key: str) -> str:
    return f"{Kind.ACCESS_KEY}/{access_key}"


USER_SLOTS: Final = (1, 2)  # a user has as many passwords while one replaces the other


def user_id(name: str) -> str:
    """What a user is called where a client asks for an id: 32 hex digits."""
    return hashlib.sha256(f"user:{name}".encode(errors="surrogatepass")).hexdigest()[:32]


def user_place(id: str, slot: int) -> str:
    return f"{Kind.USER}/{id}/{slot}"
