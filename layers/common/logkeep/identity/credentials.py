"""Credentials, the scopes that they hold, and the scope that each function needs."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from logkeep.errors import OtherProject, ScopeMissing, TokenDisabled, TokenExpired, TokenInvalid


class Scope(StrEnum):
    LOGS_READ = "logs:read"
    LOGS_WRITE = "logs:write"
    LOGS_DELETE = "logs:delete"
    EVENTS_WRITE = "events:write"
    BACKUPS_MANAGE = "backups:manage"


class Access(StrEnum):
    """The needs of functions without a scope."""

    PROVED = "proved"  # any valid credential
    EVERYONE = "everyone"  # none


class Kind(StrEnum):
    """How a credential is proved. A credential of one kind is not accepted as another kind."""

    ACCESS_KEY = "access-key"  # by a signature
    TOKEN = "token"  # noqa: S105 - not a secret: by X-Auth-Token, Bearer or Basic
    KUSCIA_TOKEN = "kuscia-token"  # noqa: S105 - not a secret: by Token, Bearer or Basic
    USER = "user"  # by a password, for a token


# What a function needs of its caller. A function that is missing here cannot start: see web/app.py.
NEEDED: Final[Mapping[str, Scope | Access]] = {
    # Kuscia
    "query_task_log": Scope.LOGS_READ,
    # ModelArts
    "list_service_events": Scope.LOGS_READ,
    "put_service_events": Scope.EVENTS_WRITE,
    # CodeArts Build
    "download_build_log": Scope.LOGS_READ,
    "page_build_log": Scope.LOGS_READ,
    # CodeArts Check
    "download_check_logs": Scope.LOGS_READ,
    "show_check_log": Scope.LOGS_READ,
    # CSS
    "change_log_policy": Scope.BACKUPS_MANAGE,
    "change_log_settings": Scope.BACKUPS_MANAGE,
    "check_log_connectivity": Scope.BACKUPS_MANAGE,
    "collect_logs": Scope.BACKUPS_MANAGE,
    "download_backup": Scope.LOGS_READ,
    "hold_backup": Scope.BACKUPS_MANAGE,
    "list_backup_records": Scope.LOGS_READ,
    "open_log_backup": Scope.BACKUPS_MANAGE,
    "restore_backup": Scope.BACKUPS_MANAGE,  # its code also requires logs:write
    "search_logs": Scope.LOGS_READ,
    "show_backup_record": Scope.LOGS_READ,
    "show_log_settings": Scope.LOGS_READ,
    "verify_backup": Scope.BACKUPS_MANAGE,
    # Logkeep's own API of logs
    "append_log": Scope.LOGS_WRITE,
    "change_retention": Scope.LOGS_DELETE,
    "delete_log": Scope.LOGS_DELETE,
    "hold_log": Scope.LOGS_DELETE,
    "list_deletions": Scope.LOGS_READ,
    "list_logs": Scope.LOGS_READ,
    "order_deletions": Scope.LOGS_DELETE,
    "read_log": Scope.LOGS_READ,
    "seal_log": Scope.LOGS_WRITE,
    "show_retention": Scope.LOGS_READ,
    # Keystone
    "issue_token": Access.EVERYONE,
    "list_projects": Access.PROVED,
    "show_api_versions": Access.EVERYONE,
    # all other routes
    "reject_unknown": Access.EVERYONE,
}
USER_SLOTS: Final = (1, 2)  # a user has up to two passwords, so that one can replace the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An item of the table Credentials."""

    id: str  # public: the audit log shows it
    kind: Kind
    name: str  # for people; a user logs in with it
    project: str
    scopes: frozenset[str]
    created_at: int = 0  # epoch seconds
    expires_at: int | None = None  # epoch seconds
    disabled: bool = False
    secret: bytes | None = None  # an access key's secret, encrypted, or a password's hash

    def check(self, now: float) -> None:
        """Raises TokenDisabled if it is disabled, TokenExpired if it has expired; now in epoch seconds."""
        if self.disabled:
            raise TokenDisabled("the credential is disabled")
        if self.expires_at is not None:
            check_expiry(self.expires_at, now)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, by a credential that was proved. It may act in its own project only."""

    project: str
    scopes: frozenset[str]
    credential: str  # its id

    def need(self, needed: Scope | Access) -> None:
        """Raises ScopeMissing if the caller lacks a scope."""
        if isinstance(needed, Scope) and needed not in self.scopes:
            raise ScopeMissing(f"the credential lacks the scope {needed}")

    def need_project(self, project: str) -> None:
        """Raises OtherProject if the project is not the caller's."""
        if project != self.project:
            raise OtherProject("the project in the path is not the credential's")


def prove(credential: Credential | None, now: float, scopes: Iterable[str] | None = None) -> Caller:
    """The caller with this credential, limited to `scopes` if they are given; now in epoch seconds.

    Raises TokenInvalid if the credential is None, TokenDisabled or TokenExpired.
    """
    if credential is None:
        raise TokenInvalid("the credential is not known")
    credential.check(now)
    held = credential.scopes if scopes is None else credential.scopes.intersection(scopes)
    return Caller(credential.project, held, credential.id)


def check_expiry(expires_at: int, now: float) -> None:
    """Raises TokenExpired from `expires_at` on; both in epoch seconds."""
    if expires_at <= now:
        raise TokenExpired(f"expires_at: {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}")


def token_place(kind: Kind, token: str) -> str:
    """The key of a token's item, which holds only its hash."""
    return f"{kind}/{hashlib.sha256(f'{kind}:{token}'.encode(errors='surrogatepass')).hexdigest()}"


def access_key_place(access_key: str) -> str:
    """The key of an access key's item."""
    return f"{Kind.ACCESS_KEY}/{access_key}"


def user_place(id: str, slot: int) -> str:
    """The key of the item of a user's password; slot is one of USER_SLOTS."""
    return f"{Kind.USER}/{id}/{slot}"


def user_id(name: str) -> str:
    """The id of a user, made of its name: 32 hex digits."""
    return hashlib.sha256(f"user:{name}".encode(errors="surrogatepass")).hexdigest()[:32]
