"""A table of logs made again from the bucket, and one that was restored from an earlier time."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from logkeep.apis.logs.worker import tend_logs
from logkeep.aws import clients
from logkeep.clock import DAY, now_ms
from logkeep.errors import LogNotFound
from logkeep.logid import LogId
from logkeep.logs import pack_store
from logkeep.logs.head import Certificate, Head, State, Totals
from logkeep.logs.items import objects_prefix
from logkeep.logs.pack_store import Packer, commit
from logkeep.logs.rebuild_store import Outcome, Rebuilding, Rebuilt
from logkeep.logs.registration import Registration
from logkeep.logs.store import LogStore, _note_project, log_store
from tests.calls import PROJECT
from tests.examples import LONG
from tests.faults import STEP, Killed, at_once, killed_at
from tests.logs.test_packing import LOG, check, line, noise, pack, packer_of, write

pytestmark = pytest.mark.usefixtures("aws")
BUILD = LogId.parse("build/record/stage1")


@pytest.fixture
def store(aws) -> LogStore:
    _note_project.cache_clear()  # the table is new in each test
    return log_store(PROJECT)


def items() -> list[dict[str, Any]]:
    pages = clients.dynamodb().get_paginator("scan").paginate(TableName=os.environ["LOGS_TABLE"])
    return [item for page in pages for item in page["Items"]]


def empty() -> None:
    for item in items():
        key = {name: item[name] for name in ("pk", "sk")}
        clients.dynamodb().delete_item(TableName=os.environ["LOGS_TABLE"], Key=key)


def bring_back(earlier: list[dict[str, Any]]) -> None:
    """The table as it was, as PITR restores it."""
    empty()
    for item in earlier:
        clients.dynamodb().put_item(TableName=os.environ["LOGS_TABLE"], Item=item)


def rebuild(store: LogStore, *, writes: bool = True) -> dict[str, Rebuilt]:
    return {each.log_id: each for each in Rebuilding(store, writes=writes).run()}


def rebuild_killed_everywhere(store: LogStore, check_after: Callable[[], None]) -> None:
    """Kill a rebuild at one call after the other, until one ends. `check_after` is called after each kill."""
    passing = 0
    while True:
        try:
            with killed_at(passing, after=True):
                rebuild(store)
        except Killed:
            passing += STEP
            check_after()
        else:
            break
    assert passing > 4


def comparable(head: Head) -> Head:
    """Without what is not of the text: writes, and the times that a rebuild says for all days."""
    return replace(head, version=0, odd=None)


def tend(store: LogStore) -> None:
    tend_logs(now_ms() + DAY + 60_000)


def test_a_lost_table_comes_back_from_the_bucket_but_for_what_was_not_packed(store) -> None:
    text = write(store, *map(line, range(12)), noise(20_000))
    pack(store)
    text += write(store, *map(line, range(12)), b"half a line")
    pack(store)
    store.append(BUILD, (b"compiling\n",).__iter__, None, Registration("job", "7"), "Asia/Shanghai")
    store.append(BUILD, (b"done\n",).__iter__, None)
    store.seal(BUILD, Totals())
    packed = store.head(LOG)
    packer_of(BUILD)
    sealed = store.head(BUILD)
    write(store, line(1))  # in the table alone
    empty()
    assert {each.outcome for each in rebuild(store, writes=False).values()} == {Outcome.MADE}
    with pytest.raises(LogNotFound):
        store.head(LOG)
    found = rebuild(store)
    assert found[str(LOG)].outcome is found[str(BUILD)].outcome is Outcome.MADE
    assert comparable(store.head(LOG)) == comparable(packed)
    assert comparable(store.head(BUILD)) == comparable(sealed)
    assert Certificate.of(store.head(BUILD)).state is State.SEALED
    assert store.registrations.record(Registration("job", "7")) == "record"
    check(store, text)
    assert store.expiry.read().paused, "nothing expires before someone has looked at it"
    assert {each.outcome for each in rebuild(store).values()} == {Outcome.SAME}
    more = write(store, line(2))
    check(store, text + more)


def test_bytes_that_a_pack_knows_of_and_none_holds_are_named_and_a_seal_of_them_is_not_taken_back(store) -> None:
    write(store, *map(line, range(9)))
    head = store.head(LOG)
    write(store, line(9))
    store.seal(LOG, Totals())
    Packer(store)._pack_next(store.head(LOG), head.end, lambda: False)
    empty()
    found = rebuild(store)[str(LOG)]
    assert (found.outcome, found.end, found.lost) == (Outcome.MADE, head.end, len(line(9)))
    assert found.why == f"of its last {len(line(9))} bytes no pack was made yet"
    assert Certificate.of(store.head(LOG)).state is State.TRUNCATED
    assert Certificate.of(store.head(LOG)).missing == {"bytes": len(line(9))}


def test_a_table_from_before_a_packing_adopts_the_pack(store) -> None:
    text = write(store, noise(20_000), *map(line, range(9)))
    pack(store)
    text += write(store, noise(20_000), *map(line, range(9)))
    earlier = items()
    text += write(store, line(9))
    pack(store)
    tend(store)  # what the older table names is gone
    bring_back(earlier)
    assert rebuild(store)[str(LOG)].outcome is Outcome.ADOPTED
    check(store, text)


def test_packs_that_end_before_the_rows_of_an_older_table_are_adopted_too(store) -> None:
    text = write(store, *map(line, range(9)))
    short = store.head(LOG)
    text += write(store, *map(line, range(5)))
    earlier = items()
    Packer(store).pack(replace(store.head(LOG), end=short.end), float("inf"))
    bring_back(earlier)
    assert rebuild(store)[str(LOG)].outcome is Outcome.ADOPTED
    head = store.head(LOG)
    assert (head.mark.raw, head.end) == (short.end, len(text))
    check(store, text)


def test_a_log_that_was_deleted_after_the_time_of_the_table_is_dropped(store, objects) -> None:
    write(store, noise(20_000), *map(line, range(9)))
    pack(store)
    store.append(BUILD, (b"in the table alone\n",).__iter__, None)
    for key in objects.keys(objects_prefix(PROJECT, store.head(LOG))):
        clients.s3().delete_object(Bucket=os.environ["BUCKET"], Key=key)
    found = rebuild(store)
    assert {name: each.outcome for name, each in found.items()} == {str(LOG): Outcome.DROPPED}
    assert not [item for item in items() if str(LOG) in item["pk"]["S"]]
    assert store.head(BUILD).end > 0


def test_a_log_that_lacks_some_objects_is_named_and_left(store, objects) -> None:
    write(store, noise(20_000), line(1), noise(20_000))
    key, _ = objects.keys(objects_prefix(PROJECT, store.head(LOG)))
    clients.s3().delete_object(Bucket=os.environ["BUCKET"], Key=key)
    found = rebuild(store)[str(LOG)]
    assert (found.outcome, found.why) == (Outcome.DAMAGED, f"1 of its 2 objects are gone, such as {key}")
    assert store.head(LOG)


def test_packs_of_packers_that_were_too_late_are_passed_over(store, objects) -> None:
    text = write(store, *map(line, range(9)))
    pack(store)
    (key,) = objects.keys("logs/")
    for left in ("0" * 32, "f" * 32):  # as one that was killed before it removed its object
        clients.s3().put_object(
            Bucket=os.environ["BUCKET"], Key=f"{key.rpartition('-')[0]}-{left}.pack.gz", Body=objects.read(key)
        )
    text += write(store, *map(line, range(3)))
    pack(store)
    empty()
    assert rebuild(store)[str(LOG)].outcome is Outcome.MADE
    check(store, text)


def test_a_rebuild_killed_at_any_call_is_repeated(store) -> None:
    text = write(store, *map(line, range(9)))
    pack(store)
    text += write(store, *map(line, range(9)))
    pack(store)
    empty()
    rebuild_killed_everywhere(store, lambda: None)
    rebuild(store)
    check(store, text)


def test_an_older_table_that_adopts_packs_is_killed_at_any_call_and_repeated(store) -> None:
    text = write(store, *map(line, range(9)))
    earlier = items()
    text += write(store, *map(line, range(9)))
    for _ in range(2):
        pack(store)
        text += write(store, noise(20_000), *map(line, range(9)))
    pack(store)
    bring_back(earlier)
    rebuild_killed_everywhere(store, lambda: check(store, text[: store.head(LOG).end]))
    assert rebuild(store)[str(LOG)].outcome is Outcome.SAME
    check(store, text)
    tend(store)
    check(store, text)
    assert [item for item in items() if "/frag/" in f"/{item['sk']['S']}"] == [], "what the packs replaced is gone"


def test_a_packer_whose_object_a_rebuild_made_the_log_s_keeps_it(store, monkeypatch) -> None:
    text = write(store, *map(line, range(9)))
    outcomes = []

    def late(*arguments: Any) -> bool:
        monkeypatch.setattr(pack_store, "commit", commit)
        outcomes.append(rebuild(store)[str(LOG)].outcome)
        return commit(*arguments)

    monkeypatch.setattr(pack_store, "commit", late)
    after = pack(store)
    assert outcomes == [Outcome.ADOPTED]
    assert after == store.head(LOG)
    check(store, text)


@pytest.mark.parametrize("_", range(30 if LONG else 6))
def test_logs_are_written_and_packed_while_an_older_table_adopts_their_packs(store, _: int) -> None:
    text = write(store, *map(line, range(9)), noise(20_000), *map(line, range(20)))
    earlier = items()
    for end in (9 * len(line(1)), len(text) // 2, len(text)):
        head = store.head(LOG)
        row = next(row for row in store.rows(head, end - 1))
        Packer(store).pack(replace(head, end=row.fragment.end), float("inf"))
    bring_back(earlier)
    more = [*map(line, range(5))]
    at_once(lambda: write(store, *more), lambda: rebuild(store), lambda: pack(store), lambda: rebuild(store))
    assert rebuild(store)[str(LOG)].outcome in {Outcome.SAME, Outcome.ADOPTED}
    check(store, text + b"".join(more))
    pack(store)
    tend(store)
    check(store, text + b"".join(more))


def test_a_log_that_was_continued_otherwise_since_the_older_table_is_named_and_left(store) -> None:
    text = write(store, *map(line, range(9)))
    earlier = items()
    write(store, *map(line, range(9)))
    pack(store)
    bring_back(earlier)
    text += write(store, *map(line, range(20, 25)))
    found = rebuild(store)[str(LOG)]
    assert (found.outcome, found.why) == (Outcome.DAMAGED, "the packs and the rows are not of one text")
    check(store, text)


def test_what_is_put_while_the_bucket_is_listed_is_not_taken_for_gone(store) -> None:
    text = write(store, noise(20_000), *map(line, range(9)))
    folder = next(Rebuilding(store, writes=True)._folders())
    pack(store)
    tend(store)
    made, _, _ = Rebuilding(store, writes=True)._rebuild(folder)
    assert made.outcome is Outcome.SAME
    check(store, text)
