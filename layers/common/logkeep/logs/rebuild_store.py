"""Heads and packs made again from the bucket alone, or brought up to date in a table that was restored from earlier.

A pack says in the header of its object what it holds and of which log (packs.py). A log that the table has adopts packs
one by one, as a packer commits them, also while it is written. For one that it does not have, items are written first
and the head last. Both can be killed and repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby, islice
from typing import Any, Final, NamedTuple

from isal import isal_zlib

from logkeep.aws.dynamo import attempts, encode, query, transact
from logkeep.errors import Busy, Conflict, Corrupt
from logkeep.extents import ObjectRange
from logkeep.logid import LogId
from logkeep.logs import activity, activity_store
from logkeep.logs.activity import Sighting
from logkeep.logs.fragment import combine_crc32
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.items import objects_prefix
from logkeep.logs.listing_store import BY_ID
from logkeep.logs.pack_store import commit, puts
from logkeep.logs.packs import HEADER_MAX, Pack, fragments_of, head_before, read_header, state_after
from logkeep.logs.project_store import note_project
from logkeep.logs.store import LogStore
from logkeep.logs.sums import NOTHING, Sums

_PACK: Final = ".pack.gz"


class Outcome(StrEnum):
    """What a rebuild does with a log."""

    SAME = "same"
    MADE = "made"  # the table did not have it
    ADOPTED = "adopted"  # packs that its head did not know
    DROPPED = "dropped"  # its objects are gone
    DAMAGED = "damaged"  # some objects are gone, or rows and packs differ; nothing more is changed
    BUSY = "busy"  # it was written or packed meanwhile: repeat
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
    packs: dict[str, int] = field(default_factory=dict)  # keys and sizes
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
            made, head, first = self._attempt(folder)
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
        sizes = ((each["Key"], each["Size"]) for page in pages for each in page.get("Contents", []))
        for name, of_log in groupby(sizes, lambda each: each[0][len(prefix) :].rpartition("/")[0]):
            log_id, _, birth = name.rpartition("@")
            folder = _Folder(log_id, birth)
            for key, size in of_log:
                if key.endswith(_PACK):
                    folder.packs[key] = size
                else:
                    folder.appends.append(key)
            yield folder

    def _attempt(self, folder: _Folder) -> tuple[Rebuilt, Head | None, int]:
        try:
            return self._rebuild(folder)
        except Corrupt as error:
            return Rebuilt(folder.log_id, Outcome.DAMAGED, 0, why=str(error)), None, 0
        except (Conflict, Busy) as error:
            return Rebuilt(folder.log_id, Outcome.BUSY, 0, why=f"{error}; repeat the command"), None, 0

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
        found = [each for key, size in folder.packs.items() if (each := self._read(key, size))]
        if there:
            return self._adopt(there, found, {*folder.packs, *folder.appends}), None, 0
        if chain := longest(found):
            return self._make(folder, chain)
        why = f"{len(folder.appends)} objects of appends, in no pack; zcat reads them, in the order of their names"
        return Rebuilt(folder.log_id, Outcome.UNKNOWN, 0, why=why), None, 0

    def _read(self, key: str, size: int) -> _Found | None:
        try:
            first = b"".join(self._logs.bucket.read([ObjectRange(key, 0, min(size, HEADER_MAX))]))
        except Corrupt:  # it is gone by now
            return None
        header = read_header(first)
        if header is None:
            return None
        start, about, table = header
        before = Sums(about["offset"], *about["before"])
        return _Found(Pack(key, start, before, Sums.of_stored(about)), about, table)

    def _make(self, folder: _Folder, chain: list[_Found]) -> tuple[Rebuilt, Head | None, int]:
        """A log that the table does not have, from all its packs."""
        logs = self._logs
        grown = [*_growing(chain)]
        head, _ = grown[-1]
        lost = max(0, chain[-1].about["end"] - head.end)
        why = [f"of its last {lost} bytes no pack was made yet"] if lost else []
        if folder.appends:
            why.append(f"{len(folder.appends)} objects of appends are left")
        if self._writes:
            self._see(row for _, rows in grown for row in rows)
            for each in chain:
                transact(logs.dynamodb, puts(logs, head, each.pack, each.table))
            if transact(logs.dynamodb, [{"Put": logs.put_of_head(None, head)}]).refused:
                raise Conflict("it was written meanwhile")
        first = fragments_of(chain[0].table, Sums())[0].received_at
        return Rebuilt(folder.log_id, Outcome.MADE, head.end, lost, "; ".join(why)), head, first

    def _adopt(self, there: Head, found: list[_Found], keys: set[str]) -> Rebuilt:
        """A log that the table has, with the packs after its mark."""
        new = longest(found, there.mark)
        if not new:
            return self._checked(there, keys)
        known = {pack.key for pack in self._logs.packs(there)}
        before = sorted((each for each in found if each.pack.key in known), key=lambda each: each.pack.offset)
        head = there
        for each, (made, sightings) in zip(new, islice(_growing([*before, *new]), len(before), None), strict=True):
            if not self._writes:
                head = self._with(head, each, made)
                continue
            if head.end < each.pack.end:
                self._see(sightings)
            head = self._commit(head, each, made)
        lost = max(0, new[-1].about["end"] - head.end)
        why = f"of its last {lost} bytes no pack was made yet" if lost else ""
        return Rebuilt(str(head.log_id), Outcome.ADOPTED, head.end, lost, why)

    def _commit(self, head: Head, found: _Found, made: Head) -> Head:
        """Adopt a pack, after writers who were faster."""
        for _ in attempts():
            after = self._with(head, found, made)
            if commit(self._logs, head, after, found.pack, found.table):
                return replace(after, version=after.version + 1)
            now = self._logs.find(head.log_id)
            if now is None or (now.birth, now.mark) != (head.birth, head.mark):
                raise Conflict("it was packed or deleted meanwhile")
            head = now
        raise Busy("it is written too fast", retry_after=1)

    def _with(self, head: Head, found: _Found, made: Head) -> Head:
        """The head with a pack, which reaches beyond what it holds or takes the place of rows.

        `made` is the head as the packs up to there have it. Raises Corrupt if rows and pack are not of one text.
        """
        pack = found.pack
        if head.end < pack.end:
            if self._crc32_to(found, head.end) != head.crc32:
                raise Corrupt("the packs and the rows are not of one text")
            return replace(made, version=head.version, followed_until=head.followed_until)
        sums, row = self._logs.sums_to(head, pack.end)
        if row or sums.crc32 != (pack.before + pack.sums).crc32:
            raise Corrupt("the packs and the rows are not of one text")
        return head.with_pack(pack.sums, sums.rest(head.mark))

    def _crc32_to(self, found: _Found, end: int) -> int:
        """The CRC-32 of the text up to an offset in a pack."""
        crc = found.pack.before.crc32
        for row in found.pack.rows(fragments_of(found.table, found.pack.before)):
            each = row.fragment
            if each.end > end:
                return isal_zlib.crc32(self._logs.text(row)[: max(0, end - each.offset)], crc)
            crc = combine_crc32(crc, each.crc32, each.raw)
        return crc

    def _see(self, sightings: Iterable[Sighting]) -> None:
        logs = self._logs
        for row in sightings:
            transact(logs.dynamodb, [activity_store.put(logs.table, logs.project, row)])
        note_project(logs.dynamodb, logs.table, logs.project)

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
                try:
                    made = self._checked(head, set())
                except Conflict as error:
                    made = Rebuilt(str(head.log_id), Outcome.BUSY, head.end, why=str(error))
                if made.outcome is not Outcome.SAME:
                    yield made

    def _checked(self, head: Head, there: set[str]) -> Rebuilt:
        """Whether the objects that a head needs are there. Without any, the log was deleted."""
        needed = {pack.key for pack in self._logs.packs(head)}
        for row in self._logs.unpacked_rows(head, head.mark.raw, head.end):
            if not isinstance(row.extent, bytes):
                needed.add(row.extent.key)
        # What was put since the bucket was listed is asked for.
        gone = {key for key in needed - there if self._logs.bucket.size(key) is None}
        if not gone:
            return Rebuilt(str(head.log_id), Outcome.SAME, head.end)
        if gone != needed:
            why = f"{len(gone)} of its {len(needed)} objects are gone, such as {min(gone)}"
            return Rebuilt(str(head.log_id), Outcome.DAMAGED, head.end, why=why)
        if self._writes:
            self._logs.drop(head)
        return Rebuilt(str(head.log_id), Outcome.DROPPED, 0, head.end, f"its {len(needed)} objects are gone")


def _growing(chain: Iterable[_Found]) -> Iterator[tuple[Head, list[Sighting]]]:
    """The head of a log after each of its packs, and the rows of its activity that the pack adds."""
    head: Head | None = None
    for each in chain:
        about, sightings = each.about, list[Sighting]()
        fragments = fragments_of(each.table, each.pack.before)
        head = (head or head_before(about)).with_packed(fragments, state_after(about))
        for fragment in fragments:
            head, rows = activity.noted(head, [fragment], fragment.received_at)
            sightings += rows
        # The days on which parts of a fragment had arrived are not known any more: so its times are said for all days.
        if head.least_time is not None and head.greatest_time is not None:
            head = replace(head, odd=activity.widened(head.odd, (head.least_time, head.greatest_time)))
        odd = [Sighting(head.log_id, head.birth, head.labels, None, head.odd)] if head.odd else []
        expected = about.get("expected")
        totals = None if expected is None else Totals.of_stored(expected)
        state = State(about["state"])
        if state is State.SEALED and head.end < about["end"]:
            # What was sealed with more than is left is short of it.
            state, totals = State.TRUNCATED, Totals.of_stored({**(expected or {}), "bytes": about["end"]})
        yield replace(head, state=state, expected=totals), [*sightings, *odd]


def longest(packs: Iterable[_Found], sums: Sums = NOTHING) -> list[_Found]:
    """The packs in a row after text with these sums that reach furthest. Others are of packers that were too late."""
    following: dict[Sums, list[_Found]] = {}
    reach: dict[str, int] = {}
    for each in sorted(packs, key=lambda found: found.pack.offset, reverse=True):
        after = following.get(each.pack.before + each.pack.sums, [])
        reach[each.pack.key] = max((reach[found.pack.key] for found in after), default=each.pack.end)
        following.setdefault(each.pack.before, []).append(each)
    chain = list[_Found]()
    while candidates := following.get(sums):
        chain.append(max(candidates, key=lambda found: reach[found.pack.key]))
        sums = chain[-1].pack.before + chain[-1].pack.sums
    return chain
