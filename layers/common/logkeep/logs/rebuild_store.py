"""Heads and packs made again from the bucket alone, or brought up to date in a table that was restored from earlier.

A pack says in the header of its object what it holds and of which log (packs.py). Items are written first and the head
last, on a condition, so that it can be killed and repeated. Nothing may be written or packed meanwhile: a packer that
commits between the items and the head would find its own items overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from logkeep.aws.dynamo import encode, put, query, transact
from logkeep.aws.objects import is_absent
from logkeep.errors import Conflict, Corrupt
from logkeep.logid import LogId
from logkeep.logs import activity, activity_store
from logkeep.logs.activity import Sighting
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.items import TABLE, objects_prefix
from logkeep.logs.listing_store import BY_ID
from logkeep.logs.packs import HEADER_MAX, Pack, fragments_of, head_before, pack_item, read_header, state_after
from logkeep.logs.project_store import note_project
from logkeep.logs.store import LogStore
from logkeep.logs.sums import Sums

_PACK: Final = ".pack.gz"


class Outcome(StrEnum):
    """What a rebuild does with a log."""

    SAME = "same"
    MADE = "made"  # the table did not have it
    ADOPTED = "adopted"  # packs that its head did not know
    DROPPED = "dropped"  # its objects are gone
    DAMAGED = "damaged"  # some objects are gone; nothing is changed
    UNKNOWN = "unknown"  # no pack tells of it; nothing is changed


class Rebuilt(NamedTuple):
    """The outcome for one log. Sizes are in bytes."""

    log_id: str
    outcome: Outcome
    end: int  # what it holds afterwards
    lost: int = 0  # what it is known to have held besides
    why: str = ""


@dataclass(slots=True)
class _Folder:
    """The objects of one log in the bucket."""

    log_id: str
    birth: str
    packs: list[str] = field(default_factory=list)  # keys
    appends: list[str] = field(default_factory=list)


class _Found(NamedTuple):
    """A pack as its object describes it."""

    pack: Pack
    about: Mapping[str, Any]
    table: bytes


class Rebuilding:
    """Rebuilds the logs of one project. Without `writes` it only says what it would do."""

    def __init__(self, logs: LogStore, *, writes: bool) -> None:
        self._logs = logs
        self._writes = writes

    def run(self) -> Iterator[Rebuilt]:
        """The outcome for each log, as it comes."""
        if self._writes:
            # A head that is made again may be older than it was. So nothing expires until somebody says so.
            self._logs.expiry.pause()
        registered: list[tuple[int, Head]] = []
        for folder in self._folders():
            made, head, first = self._rebuild(folder)
            if made.outcome is Outcome.MADE and head and head.registration:
                registered.append((first, head))
            yield made
        # In the order in which the logs began, so that the last one is the latest again.
        for _, head in sorted(registered, key=lambda each: (each[0], str(each[1].log_id))):
            self._register(head)
        yield from self._without_objects()

    # From the bucket

    def _folders(self) -> Iterator[_Folder]:
        bucket, prefix = self._logs.bucket, f"logs/{self._logs.project}/"
        pages = bucket.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
        keys = (each["Key"] for page in pages for each in page.get("Contents", []))
        for name, of_log in groupby(keys, lambda key: key[len(prefix) :].rpartition("/")[0]):
            log_id, _, birth = name.rpartition("@")
            folder = _Folder(log_id, birth)
            for key in of_log:
                (folder.packs if key.endswith(_PACK) else folder.appends).append(key)
            yield folder

    def _rebuild(self, folder: _Folder) -> tuple[Rebuilt, Head | None, int]:
        """The outcome, the head, and when the log began (epoch ms)."""
        log_id = LogId.parse(folder.log_id)
        there = self._logs.find(log_id)
        if there is None and any(each.birth == folder.birth for each in self._logs.deletions.of_log(log_id)):
            why = "it was deleted, and its objects are not removed yet"
            return Rebuilt(folder.log_id, Outcome.SAME, 0, why=why), None, 0
        if there and there.birth != folder.birth:
            why = f"another log has its name now; objects of the one of before: birth {folder.birth}"
            return Rebuilt(folder.log_id, Outcome.UNKNOWN, there.end, why=why), None, 0
        chain = longest(found for key in folder.packs if (found := self._read(key)))
        if there and there.mark.raw >= (chain[-1].pack.end if chain else 0):
            return self._checked(there, {*folder.packs, *folder.appends}), None, 0
        if not chain:
            why = f"{len(folder.appends)} objects of appends, in no pack; zcat reads them, in the order of their names"
            return Rebuilt(folder.log_id, Outcome.UNKNOWN, 0, why=why), None, 0
        head, first, sightings = self._head_of(chain)
        if there and there.end > head.end:
            head = self._adopted(there, head)
        after = chain[-1].about["end"]
        lost = max(0, after - head.end)
        why = f"of its last {lost} bytes no pack was made yet" if lost else ""
        if there is None and folder.appends:
            why += f"; {len(folder.appends)} objects of appends are left"
        if self._writes:
            self._write(there, head, chain, sightings if there is None else [])
        outcome = Outcome.ADOPTED if there else Outcome.MADE
        return Rebuilt(folder.log_id, outcome, head.end, lost, why.removeprefix("; ")), head, first

    def _read(self, key: str) -> _Found | None:
        bucket = self._logs.bucket
        try:
            answer = bucket.s3.get_object(Bucket=bucket.name, Key=key, Range=f"bytes=0-{HEADER_MAX - 1}")
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        header = read_header(answer["Body"].read())
        if header is None:
            return None
        start, about, table = header
        before = Sums(about["offset"], *about["before"])
        return _Found(Pack(key, start, before, Sums.of_stored(about)), about, table)

    def _head_of(self, chain: list[_Found]) -> tuple[Head, int, list[Sighting]]:
        """The head of a log that is all in packs, when it began (epoch ms), and the rows of its activity."""
        about = chain[-1].about
        head, first, sightings = head_before(about), None, list[Sighting]()
        for each in chain:
            fragments = fragments_of(each.table, each.pack.before)
            first = fragments[0].received_at if first is None else first
            head = head.with_packed(fragments, state_after(each.about))
            for fragment in fragments:
                head, rows = activity.noted(head, [fragment], fragment.received_at)
                sightings += rows
        expected = about.get("expected")
        totals = None if expected is None else Totals.of_stored(expected)
        state = State(about["state"])
        if state is State.SEALED and head.end < about["end"]:
            # What was sealed with more than is left is short of it.
            state, totals = State.TRUNCATED, Totals.of_stored({**(expected or {}), "bytes": about["end"]})
        # The days on which parts of a fragment had arrived are not known any more: so its times are said for all days.
        if head.least_time is not None and head.greatest_time is not None:
            head = replace(head, odd=activity.widened(head.odd, (head.least_time, head.greatest_time)))
            sightings.append(Sighting(head.log_id, head.birth, head.labels, None, head.odd or (0, 0)))
        return replace(head, state=state, expected=totals), first or 0, sightings

    def _adopted(self, there: Head, packed: Head) -> Head:
        """The head of a log that has rows beyond its packs."""
        sums, row = self._logs.sums_to(there, packed.end)
        if row or (sums.raw, sums.crc32) != (packed.end, packed.crc32):
            raise Corrupt(f"the packs and the rows of {there.log_id} are not of one text")
        return there.with_pack(packed.mark.rest(there.mark), sums.rest(there.mark))

    def _write(self, there: Head | None, head: Head, chain: Iterable[_Found], sightings: Iterable[Sighting]) -> None:
        logs = self._logs
        for row in sightings:
            transact(logs.dynamodb, [activity_store.put(logs.table, logs.project, row)])
        note_project(logs.dynamodb, logs.table, logs.project)
        for pack, _, table in chain:
            put(logs.dynamodb, TableName=logs.table, Item=encode(pack_item(logs.project, head, pack)))
            item = pack_item(logs.project, head, pack, TABLE) | {"table": table}
            put(logs.dynamodb, TableName=logs.table, Item=encode(item))
        if there:
            head = replace(head, version=there.version)
        if transact(logs.dynamodb, [{"Put": logs.put_of_head(there, head)}]).refused:
            raise Conflict(f"{head.log_id} was written meanwhile; repeat the command")

    def _register(self, head: Head) -> None:
        if self._writes and head.registration:
            items = self._logs.registrations.puts(head.log_id, head.birth, head.registration)
            if items:
                transact(self._logs.dynamodb, items)

    # From the table

    def _without_objects(self) -> Iterator[Rebuilt]:
        """The logs whose objects are gone, as after a table was restored from before they were deleted."""
        keys = query(
            self._logs.dynamodb,
            TableName=self._logs.table,
            IndexName=BY_ID,
            ConsistentRead=False,
            KeyConditionExpression="#project = :project",
            ExpressionAttributeNames={"#project": "project"},
            ExpressionAttributeValues=encode({":project": self._logs.project}),
        )
        for key in keys:
            head = self._logs.find(LogId.parse(key["log_id"]))
            if head and not self._logs.bucket.sizes(objects_prefix(self._logs.project, head)):
                made = self._checked(head, set())
                if made.outcome is not Outcome.SAME:
                    yield made

    def _checked(self, head: Head, there: set[str]) -> Rebuilt:
        """Whether the objects that a head needs are there. Without any, the log was deleted."""
        needed = {pack.key for pack in self._logs.packs(head)}
        for row in self._logs.unpacked_rows(head, head.mark.raw, head.end):
            if not isinstance(row.extent, bytes):
                needed.add(row.extent.key)
        if needed <= there:
            return Rebuilt(str(head.log_id), Outcome.SAME, head.end)
        if needed & there:
            why = f"{len(needed - there)} of its {len(needed)} objects are gone, such as {min(needed - there)}"
            return Rebuilt(str(head.log_id), Outcome.DAMAGED, head.end, why=why)
        if self._writes:
            self._logs.drop(head)
        return Rebuilt(str(head.log_id), Outcome.DROPPED, 0, head.end, f"its {len(needed)} objects are gone")


def longest(packs: Iterable[_Found]) -> list[_Found]:
    """The packs in a row from the first byte that reach furthest. Others are of packers that were too late."""
    following: dict[Sums, list[_Found]] = {}
    reach: dict[str, int] = {}
    for each in sorted(packs, key=lambda found: found.pack.offset, reverse=True):
        after = following.get(each.pack.before + each.pack.sums, [])
        reach[each.pack.key] = max((reach[found.pack.key] for found in after), default=each.pack.end)
        following.setdefault(each.pack.before, []).append(each)
    chain, sums = list[_Found](), Sums()
    while candidates := following.get(sums):
        chain.append(max(candidates, key=lambda found: reach[found.pack.key]))
        sums = chain[-1].pack.before + chain[-1].pack.sums
    return chain
