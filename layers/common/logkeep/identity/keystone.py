"""The part of Keystone's identity API, version 3, that password clients and the vendors' SDKs use.

There is one domain, and a credential belongs to one project. Any name that a client gives them is accepted, since
clouds name projects after regions. A project id must be the credential's own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from logkeep.errors import LoginRefused
from logkeep.identity.credentials import Caller, user_id
from logkeep.identity.tokens import Claims

# The base URL of each service type in an OpenStack catalog.
_CATALOG: Final = {
    "identity": "{base}/v3",
    "css": "{base}/v1.0/{project}",
    "modelarts": "{base}/v1/{project}",
    "modelartsv1": "{base}/v1/{project}",
    "modelartsv2": "{base}/v2/{project}",
}

type Name = Annotated[str, Field(min_length=1, max_length=255)]


class Named(TypedDict):
    id: str
    name: str


class _TokenUser(Named):
    domain: Named


class _Endpoint(TypedDict):
    id: str
    interface: str
    region: str
    region_id: str
    url: str


class _CatalogEntry(Named):
    type: str
    endpoints: list[_Endpoint]


class _Token(TypedDict):
    methods: list[str]
    issued_at: str
    expires_at: str
    user: _TokenUser
    project: _TokenUser
    roles: list[Named]
    catalog: list[_CatalogEntry]


class TokenDocument(TypedDict):
    """The body of a login's answer. The token itself is in the header X-Subject-Token."""

    token: _Token


class _SelfLink(TypedDict):
    self: str


class _ListLinks(_SelfLink):
    previous: None
    next: None


class _ProjectShown(Named):
    domain_id: str
    parent_id: str
    is_domain: bool
    enabled: bool
    description: str
    links: _SelfLink


class ProjectList(TypedDict):
    """The caller's one project."""

    projects: list[_ProjectShown]
    links: _ListLinks


class _VersionLink(TypedDict):
    rel: str
    href: str


class _MediaType(TypedDict):
    base: str
    type: str


_Version = TypedDict(
    "_Version", {"id": str, "status": str, "updated": str, "media-types": list[_MediaType], "links": list[_VersionLink]}
)


class VersionDocument(TypedDict):
    version: _Version


class _Versions(TypedDict):
    values: list[_Version]


class VersionList(TypedDict):
    versions: _Versions


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Domain(_Request):
    id: Name | None = None
    name: Name | None = None


class _User(_Request):
    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("id", "name")]
        },
    )

    id: Name | None = None
    name: Name | None = None
    domain: _Domain = _Domain()
    password: Annotated[str, Field(max_length=1024)]

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if self.id is None and self.name is None:
            raise ValueError("needs a name or an id")
        return self


class _Password(_Request):
    user: _User


class _Identity(_Request):
    methods: Annotated[list[Literal["password"]], Field(min_length=1, max_length=1)]
    password: _Password


class _Project(_Request):
    id: Name | None = None
    name: Name | None = None
    domain: _Domain = _Domain()


class _Scope(_Request):
    model_config = ConfigDict(frozen=True, extra="forbid")

    project: _Project


class _Auth(_Request):
    identity: _Identity
    # A login without a scope is for the user's project too.
    scope: Annotated[_Scope | None, BeforeValidator(lambda scope: None if scope == "unscoped" else scope)] = None


class Login(_Request):
    """The body of `POST /v3/auth/tokens`: a password, and the project that the token is for."""

    auth: _Auth

    @property
    def user_id(self) -> str:
        user = self.auth.identity.password.user
        return user.id or user_id(user.name or "")

    @property
    def password(self) -> str:
        return self.auth.identity.password.user.password

    @property
    def project(self) -> _Project:
        return self.auth.scope.project if self.auth.scope else _Project()

    def check_project(self, project: str) -> None:
        """Raises LoginRefused if the login is for a project other than the user's."""
        if self.project.id not in {None, project}:
            raise LoginRefused("The user has no such project.")


class ProjectQuery(_Request):
    """The query of `GET /v3/projects`."""

    name: Name | None = None


def token_document(login: Login, claims: Claims, user_name: str, base: str, region: str) -> TokenDocument:
    """The body of a login's answer. Its catalog places every service at `base`, a URL without a path."""
    user, project = login.auth.identity.password.user, login.project
    name = project.name or claims.project
    # Clients name projects `{region}` or `{region}_{name}`, and look for endpoints in that region.
    regions = sorted({region, name.partition("_")[0]})
    return {
        "token": {
            "methods": ["password"],
            "issued_at": _time(claims.issued_at),
            "expires_at": _time(claims.expires_at),
            "user": {"id": login.user_id, "name": user_name, "domain": _domain(user.domain)},
            "project": {"id": claims.project, "name": name, "domain": _domain(project.domain)},
            "roles": [{"id": scope, "name": scope} for scope in sorted(claims.scopes)],
            "catalog": [_service(kind, base, claims.project, regions) for kind in _CATALOG],
        }
    }


def project_list(caller: Caller, query: ProjectQuery, base: str) -> ProjectList:
    """The body of `GET /v3/projects`: the caller's one project, with the name in the query."""
    project: _ProjectShown = {
        "id": caller.project,
        "name": query.name or caller.project,
        "domain_id": "default",
        "parent_id": "default",
        "is_domain": False,
        "enabled": True,
        "description": "",
        "links": {"self": f"{base}/v3/projects/{caller.project}"},
    }
    return {"projects": [project], "links": {"self": f"{base}/v3/projects", "previous": None, "next": None}}


def version_document(base: str) -> VersionDocument:
    """The body of `GET /v3`."""
    media_type: _MediaType = {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}
    return {
        "version": {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "media-types": [media_type],
            "links": [{"rel": "self", "href": f"{base}/v3/"}],
        }
    }


def version_list(base: str) -> VersionList:
    """The body of `GET /`, sent with status 300."""
    return {"versions": {"values": [version_document(base)["version"]]}}


def _service(kind: str, base: str, project: str, regions: Sequence[str]) -> _CatalogEntry:
    url = _CATALOG[kind].format(base=base, project=project)
    endpoints: list[_Endpoint] = [
        {"id": f"{kind}-{region}", "interface": "public", "region": region, "region_id": region, "url": url}
        for region in regions
    ]
    return {"id": kind, "name": kind, "type": kind, "endpoints": endpoints}


def _domain(domain: _Domain) -> Named:
    return {"id": domain.id or "default", "name": domain.name or "Default"}


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
