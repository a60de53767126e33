"""The administration of credentials: create, rotate, disable, enable, delete.

Credentials of one kind, project and name belong to one client. During a rotation there are two: the one in use and the
one that the client changes to. More than two that work at the same time are refused. A user's name is unique in the
whole stack, because a user logs in without a project.
"""

import secrets
import string
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from admin import Refused
from logkeep.aws.dynamo import attempts
from logkeep.errors import TokenDisabled, TokenExpired
from logkeep.identity.credential_store import CredentialStore
from logkeep.identity.credentials import (
    USER_SLOTS,
    Credential,
    Kind,
    access_key_place,
    token_place,
    user_id,
    user_place,
)
from logkeep.identity.passwords import hash_password

ACTIVE_MAX: Final = 2
_ACCESS_KEY_LETTERS: Final = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Placed:
    place: str
    credential: Credential


@dataclass(frozen=True, slots=True)
class Made:
    """A new credential with its secrets, which are not stored anywhere in readable form."""

    place: str
    credential: Credential
    secrets: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        return {**document(self.credential), **self.secrets}


class Credentials:
    """The credentials of a service."""

    def __init__(self, store: CredentialStore, kms_key: str) -> None:
        self._store = store
        self._kms_key = kms_key

    def all(self) -> list[Credential]:
        return sorted((each for _, each in self._store.all()), key=lambda it: (it.project, it.kind, it.name, it.id))

    def create(self, wanted: Credential) -> Made:
        """Make a credential like `wanted`, which has no id yet. Without a name, the id is its name.

        Raises Refused if the client has a credential already.
        """
        made = self._make(wanted)

        def add(group: "_Group") -> bool:
            if group.members:
                other = group.members[0].credential
                raise Refused(
                    f"{other.id} is the {other.kind} {other.name!r} of project {other.project}; "
                    "rotate it, or choose another name"
                )
            return self._store.add(made.place, made.credential, None, group.guard)

        self._under_guard(made.credential, add)
        return made

    def rotate(self, id: str) -> Made:
        """Make a second credential for the client of one. Both work until one is disabled or deleted.

        Raises Refused if there is no credential with the id, or if two of its client work already.
        """
        rotated = self._find(id)
        made = self._make(_renewed(rotated.credential))

        def add(group: "_Group") -> bool:
            group.need_room()
            place, replaced = group.slot(rotated) if made.credential.kind is Kind.USER else (made.place, None)
            return self._store.add(place, made.credential, replaced, group.guard)

        self._under_guard(rotated.credential, add)
        return made

    def disable(self, id: str) -> None:
        """Raises Refused if there is no credential with the id."""
        found = self._find(id)
        if not self._store.disable(found.place, id):
            raise _unknown(id)

    def enable(self, id: str) -> None:
        """Raises Refused if there is no credential with the id, or if two others of its client work already."""
        found = self._find(id)
        if not found.credential.disabled:
            return

        def enable(group: "_Group") -> bool:
            group.need_room()
            return self._store.enable(found.place, id, group.guard)

        self._under_guard(found.credential, enable)

    def delete(self, id: str) -> None:
        """Raises Refused if there is no credential with the id."""
        found = self._find(id)
        if not self._store.delete(found.place, id):
            raise _unknown(id)

    def _find(self, id: str) -> Placed:
        found = [Placed(place, each) for place, each in self._store.all() if each.id == id]
        if not found:
            raise _unknown(id)
        if len(found) > 1:
            raise Refused(f"{len(found)} credentials have the id {id}: {', '.join(each.place for each in found)}")
        return found[0]

    def _under_guard(self, credential: Credential, change: Callable[["_Group"], bool]) -> None:
        """Make a change that depends on all credentials of a client; retry it if others change them meanwhile.

        `change` returns whether it was made. Raises Refused if every try fails.
        """
        name = _group_of(credential)
        for _ in attempts():
            guard = name, self._store.guard(name)
            members = [Placed(place, each) for place, each in self._store.all() if _group_of(each) == name]
            if change(_Group(guard, members)):
                return
        raise Refused(f"others are changing {credential.name!r} at the same time; try again")

    def _make(self, like: Credential) -> Made:
        kept: bytes | None = None
        match like.kind:
            case Kind.ACCESS_KEY:
                id = "LK" + "".join(secrets.choice(_ACCESS_KEY_LETTERS) for _ in range(18))
                secret = secrets.token_urlsafe(30)
                place, kept = access_key_place(id), self._store.seal(id, secret, self._kms_key)
                shown = {"access_key": id, "secret_key": secret}
            case Kind.USER:
                id, secret = _new_id(like.kind), secrets.token_urlsafe(24)
                place, kept = user_place(user_id(like.name), USER_SLOTS[0]), hash_password(secret).encode()
                shown = {"password": secret}
            case Kind.TOKEN | Kind.KUSCIA_TOKEN:
                id, secret = _new_id(like.kind), secrets.token_urlsafe(32)
                place = token_place(like.kind, secret)
                shown = {"token": secret}
        return Made(place, replace(like, id=id, name=like.name or id, secret=kept), shown)


@dataclass(frozen=True, slots=True)
class _Group:
    """All credentials of one client: of one kind, project and name."""

    guard: tuple[str, int]
    members: Sequence[Placed]

    def need_room(self) -> None:
        """Raise Refused if ACTIVE_MAX of them work already."""
        active = [each.credential for each in self.members if is_active(each.credential)]
        if len(active) >= ACTIVE_MAX:
            ids = " and ".join(each.id for each in active)
            raise Refused(f"{ids} both work already; disable or delete one of them first")

    def slot(self, rotated: Placed) -> tuple[str, Credential | None]:
        """The place for a user's next password, and the credential there that no longer works, if any."""
        taken = {each.place: each.credential for each in self.members}
        free = [
            place
            for place in (user_place(user_id(rotated.credential.name), slot) for slot in USER_SLOTS)
            if place not in taken or not is_active(taken[place])
        ]
        # Prefer an empty place. Of two that no longer work, do not replace the one that is rotated.
        place = min(free, key=lambda place: (place in taken, place == rotated.place))
        return place, taken.get(place)


def state(credential: Credential) -> str:
    """`active`, `disabled` or `expired`."""
    try:
        credential.check(time.time())
    except TokenDisabled:
        return "disabled"
    except TokenExpired:
        return "expired"
    return "active"


def is_active(credential: Credential) -> bool:
    return state(credential) == "active"


def document(credential: Credential) -> dict[str, Any]:
    """What may be shown of a credential: no secret, hash or ciphertext, and no place, which contains a hash."""
    return {
        "id": credential.id,
        "kind": credential.kind.value,
        "name": credential.name,
        "project": credential.project,
        "scopes": sorted(credential.scopes),
        "created": _time(credential.created_at or None),
        "expires": _time(credential.expires_at),
        "state": state(credential),
    }


def _renewed(credential: Credential) -> Credential:
    """The same credential as if made now, with the same lifetime."""
    now, expires_at = int(time.time()), credential.expires_at
    if expires_at is not None and credential.created_at:
        expires_at = now + expires_at - credential.created_at
    return replace(credential, created_at=now, expires_at=expires_at, disabled=False)


def _group_of(credential: Credential) -> str:
    """The name of the client's group. A user logs in with the name alone, so its project is not in it."""
    scope = "" if credential.kind is Kind.USER else f"{credential.project}/"
    return f"{credential.kind}/{scope}{credential.name}"


def _new_id(kind: Kind) -> str:
    return f"{kind}-{secrets.token_hex(6)}"


def _unknown(id: str) -> Refused:
    return Refused(f"there is no credential {id}; see: logkeep-admin list")


def _time(seconds: int | None) -> str | None:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else None
