"""Plans of renders that take long: the heads from which a file is made (docs/formats.md#renders).

A log may grow or be packed while its file is built. Polls and workers continue from the heads of the first request, so
that the build ends. A plan lies at renders/{project}/plans/{hash of the file}.json until its file is handed out.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from logkeep.aws import clients
from logkeep.aws.objects import Bucket
from logkeep.downloads.files import File
from logkeep.downloads.rendition import Rendition
from logkeep.errors import LogNotFound
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.items import head_item, head_of
from logkeep.logs.store import LogStore
from logkeep.settings import settings

# What packs replaced after the plan was made stays for a day. A build that takes longer begins anew.
_LIVES: Final = timedelta(hours=12)


class Noting(LogStore):
    """Reads logs and notes the heads that it gave."""

    def __init__(self, of: LogStore) -> None:
        super().__init__(of.dynamodb, of.bucket, of.table, of.project)
        self.given: dict[LogId, Head] = {}

    def head(self, log_id: LogId) -> Head:
        return self._note(super().head(log_id))

    def heads(self, owner: str, rest: str = "") -> Iterator[Head]:
        return map(self._note, super().heads(owner, rest))

    def check(self) -> None:
        """Raises LogNotFound if a log was deleted, or has expired, since its head was given."""
        by_owner = defaultdict[str, list[Head]](list)
        for head in self.given.values():
            by_owner[head.log_id.owner].append(head)
        for owner, given in by_owner.items():
            rest = given[0].log_id.rest if len(given) == 1 else ""
            births = {head.log_id: head.birth for head in super().heads(owner, rest)}
            for head in given:
                if births.get(head.log_id) != head.birth:
                    raise LogNotFound(f"{head.log_id} was deleted meanwhile")

    def _note(self, head: Head) -> Head:
        self.given[head.log_id] = head
        return head


class _Planned(LogStore):
    """Reads logs as they were when a plan was made."""

    def __init__(self, of: LogStore, heads: dict[LogId, Head]) -> None:
        super().__init__(of.dynamodb, of.bucket, of.table, of.project)
        self._heads = heads

    def head(self, log_id: LogId) -> Head:
        if log_id not in self._heads:
            raise LogNotFound(f"no log {log_id}")
        return self._heads[log_id]

    def heads(self, owner: str, rest: str = "") -> Iterator[Head]:
        return (head for name, head in self._heads.items() if name.owner == owner and name.rest.startswith(rest))


class Plans:
    """The plans of one project's renders."""

    def __init__(self, bucket: Bucket, project: str) -> None:
        self._bucket = bucket
        self._project = project

    def find(self, file: File, logs: Noting, *, gzip: bool) -> Rendition | None:
        """The file as it was planned; None if it was not, or long ago, or if other logs bear the names of its logs now.

        `logs` has given the heads of now.
        """
        stored = self._bucket.whole(self._key(file, gzip=gzip))
        if stored is None or datetime.now(UTC) - stored.modified > _LIVES:
            return None
        items = json.loads(stored.content, object_hook=_bytes)
        heads = {head.log_id: head for head in map(head_of, items)}
        if not heads:
            return None
        now = {log_id: logs.given[log_id].birth for log_id in heads if log_id in logs.given}
        if now != {log_id: head.birth for log_id, head in heads.items()}:
            return None
        return file.rendition(_Planned(logs, heads), gzip=gzip)

    def put(self, file: File, logs: Noting, *, gzip: bool) -> None:
        """Plan to make the file from the heads that `logs` has given."""
        items = [head_item(self._project, logs.given[log_id]) for log_id in sorted(logs.given)]
        kept = [{name: value for name, value in item.items() if value is not None} for item in items]
        body = json.dumps(kept, default=lambda data: {"base64": base64.b64encode(data).decode()}).encode()
        key = self._key(file, gzip=gzip)
        note_owners(self._bucket, self._project, key, logs.given)
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=body)

    def drop(self, file: File, *, gzip: bool) -> None:
        """The next request is for the logs as they are then."""
        # Functions may write renders, but delete none.
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=self._key(file, gzip=gzip), Body=b"[]")

    def _key(self, file: File, *, gzip: bool) -> str:
        name = hashlib.sha256(f"{gzip} {file.model_dump_json()}".encode()).hexdigest()[:40]
        return f"renders/{self._project}/plans/{name}.json"


def owners_folder(project: str, owner: str) -> str:
    """Where it is noted which renders and plans are of logs of an owner."""
    return f"renders/{project}/of/{hashlib.sha256(owner.encode()).hexdigest()[:40]}/"


def note_owners(bucket: Bucket, project: str, key: str, logs: Iterable[LogId]) -> None:
    """Note of whose logs a render or a plan will be, before it is made: who deletes one of them finds it."""
    for owner in {log_id.owner for log_id in logs}:
        name = key.removeprefix(f"renders/{project}/").replace("/", "~")
        bucket.s3.put_object(Bucket=bucket.name, Key=owners_folder(project, owner) + name, Body=b"")


def plans(project: str) -> Plans:
    """The plans of a project in this deployment."""
    return Plans(Bucket(clients.s3(), settings().bucket), project)


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value
