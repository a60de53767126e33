"""The log store against the emulator: races, kills between two steps, and what lies in the bucket."""

import gzip
import json
import random
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.faults import answer_with
from logkeep.aws import clients
from logkeep.aws.dynamo import encode
from logkeep.errors import Busy, Conflict, Corrupt, LogNotFound, OffsetBeyondEnd
from logkeep.limits import INLINE_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Certificate, Totals
from logkeep.logs.items import head_key, rows_key
from logkeep.logs.listing import Selection
from logkeep.logs.listing_store import listing
from logkeep.logs.store import LogStore, log_store
from tests.calls import OTHER_PROJECT, PROJECT
from tests.faults import Killed, at_once, counted, killed

pytestmark = pytest.mark.usefixtures("aws")
LOG = LogId.parse("build/record/stage1")
NOISE = random.Random(1)


@pytest.fixture
def store(aws) -> LogStore:
    return log_store(PROJECT)


def put(store: LogStore, body: bytes, offset: int | None = 0):
    return store.append(LOG, lambda: iter((body,) if body else ()), offset)


def text(store: LogStore) -> bytes:
    return b"".join(store.texts(store.head(LOG)))


def noise(size: int) -> bytes:
    return NOISE.randbytes(size // 2).hex().encode()


def check_whole(store: LogStore, expected: bytes) -> None:
    """The text, the sums of the head and the rows all agree."""
    head = store.head(LOG)
    rows = list(store.rows(head))
    assert text(store) == expected
    assert (head.end, head.crc32, head.lines) == (len(expected), zlib.crc32(expected), expected.count(b"\n"))
    assert [row.fragment.offset for row in rows] == [0, *[row.fragment.end for row in rows]][: len(rows)]
    assert sum(row.fragment.packed for row in rows) == head.packed
    assert len(rows) == head.fragments


def test_small_appends_lie_in_their_rows_and_large_ones_in_gz_objects(store, objects) -> None:
    put(store, b"small\n" * 10)
    assert objects.keys("logs/") == []
    large = noise(5 * INLINE_MAX)
    put(store, large, 60)
    (key,) = objects.keys("logs/")
    assert key.startswith(f"logs/{PROJECT}/{LOG}@{store.head(LOG).birth}/0000000000000060-")
    assert gzip.decompress(objects.read(key)) == large
    check_whole(store, b"small\n" * 10 + large)


def test_an_append_costs_a_read_a_put_and_a_transaction(store) -> None:
    put(store, b"first\n")
    with counted() as requests:
        put(store, noise(100_000), 6)
    assert requests == {"GetItem": 1, "PutObject": 1, "TransactWriteItems": 1}
    with counted() as requests:
        put(store, b"more\n", 100_006)
    assert requests == {"GetItem": 1, "TransactWriteItems": 1}


def test_fragments_of_one_object_are_read_with_one_request(store) -> None:
    body = noise(3 << 20)
    put(store, body)
    assert len(list(store.rows(store.head(LOG)))) > 2
    with counted() as requests:
        assert text(store) == body
    assert requests["GetObject"] == 1


def test_two_writers_at_one_offset_with_equal_bytes_store_them_once(store, objects) -> None:
    for round_number in range(10):
        body = noise(20_000)
        offset = round_number * 20_000
        results = at_once(*[lambda body=body, offset=offset: put(store, body, offset) for _ in range(4)])
        assert sorted(grew for _, grew in results) == [False, False, False, True]
    assert store.head(LOG).end == 200_000
    assert len(objects.keys("logs/")) == 10, "the losers' objects are removed"


def test_two_writers_at_one_offset_with_other_bytes_have_one_winner(store) -> None:
    def attempt(body: bytes) -> bytes | None:
        try:
            put(store, body, 0)
        except Conflict:
            return None
        return body

    bodies = [bytes([65 + n]) * 9000 for n in range(4)]
    winners = [body for body in at_once(*[lambda body=body: attempt(body) for body in bodies]) if body]
    assert len(winners) == 1
    check_whole(store, winners[0])


def test_writers_at_the_end_lose_and_double_nothing(store) -> None:
    def write(writer: int) -> None:
        for number in range(10):
            put(store, f"writer {writer} line {number}\n".encode() * (1 if number % 3 else 400), None)

    at_once(*[lambda writer=writer: write(writer) for writer in range(4)])
    lines = text(store).splitlines()
    for writer in range(4):
        own = [line for line in lines if line.startswith(b"writer %d " % writer)]
        expected = [b"writer %d line %d" % (writer, n) for n in range(10) for _ in range(1 if n % 3 else 400)]
        assert own == expected
    check_whole(store, text(store))


STEPS = [("s3", "PutObject", False), ("s3", "PutObject", True), ("dynamodb", "TransactWriteItems", False),
         ("dynamodb", "TransactWriteItems", True)]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "after"), STEPS)
@pytest.mark.parametrize("cut", [0, 1, 30_000, 59_999])
def test_a_kill_between_two_steps_leaves_a_log_that_the_retry_completes(store, service, operation, after, cut) -> None:
    before, body = noise(10_000), noise(60_000)
    put(store, before)
    client = getattr(clients, service)()
    with killed(client, operation, after=after), pytest.raises(Killed):
        put(store, body, 10_000)
    head = store.head(LOG)
    assert head.end in {10_000, 70_000}, "all of the append or nothing of it"
    check_whole(store, (before + body)[: head.end])
    # The producer re-cuts its pieces: one that overlaps what was stored before, and the rest.
    put(store, before[9_000:] + body[:cut], 9_000)
    put(store, body[cut:], 10_000 + cut)
    check_whole(store, before + body)


def test_an_object_without_rows_is_never_read(store, objects) -> None:
    with killed(clients.dynamodb(), "TransactWriteItems", after=False), pytest.raises(Killed):
        put(store, noise(60_000))
    assert len(objects.keys("logs/")) == 1
    put(store, b"other\n")
    check_whole(store, b"other\n")


def test_a_gap_is_refused(store) -> None:
    with pytest.raises(OffsetBeyondEnd) as caught:
        put(store, b"x", 1)
    assert caught.value.end == 0


def test_random_pieces_give_the_same_log_however_they_are_cut_and_repeated(store) -> None:
    whole = b"".join(
        b"2026-01-01 00:%02d:%02d %s number %d\n"
        % (n // 60 % 60, n % 60, NOISE.choice([b"INFO", b"DEBUG", b"ERROR"]), n)
        for n in range(4000)
    )
    rng = random.Random(5)
    position = 0
    while position < len(whole):
        start = max(0, position - rng.choice([0, 0, 100, 20_000]))
        end = min(len(whole), position + rng.choice([1, 50, 3000, 30_000]))
        put(store, whole[start:end], start)
        position = end
    check_whole(store, whole)
    levels = Certificate.of(store.head(LOG)).levels
    assert levels == {level: whole.count(level.encode() + b" ") for level in ("DEBUG", "INFO", "ERROR")}


def test_two_seals_at_once_agree(store) -> None:
    put(store, b"done\n")
    sealed = at_once(*[lambda: store.seal(LOG, Totals(bytes=5)) for _ in range(4)])
    assert len({str(Certificate.of(head)) for head in sealed}) == 1


def test_an_append_that_races_with_a_seal_is_in_the_log_or_refused(store) -> None:
    put(store, b"one\n")

    def late() -> bool:
        try:
            put(store, b"two\n", 4)
        except Conflict:
            return False
        return True

    _, appended = at_once(lambda: store.seal(LOG, Totals()), late)
    assert text(store) == (b"one\ntwo\n" if appended else b"one\n")
    assert store.head(LOG).state == "sealed"


def test_a_seal_that_was_answered_is_not_lost_to_an_append_that_began_before_it(store, monkeypatch) -> None:
    put(store, b"x" * 50)
    store.seal(LOG, Totals(bytes=100))
    commit = LogStore._commit

    def seal_first(self, *arguments):
        monkeypatch.undo()
        store.seal(LOG, Totals(bytes=60))
        return commit(self, *arguments)

    monkeypatch.setattr(LogStore, "_commit", seal_first)
    with pytest.raises(Conflict):
        put(store, b"x" * 40, 50)
    assert (store.head(LOG).end, store.head(LOG).expected) == (50, Totals(bytes=60))


def test_a_missing_object_is_told_and_not_skipped(store, objects) -> None:
    put(store, noise(60_000))
    objects.s3.delete_object(Bucket=objects.bucket, Key=objects.keys("logs/")[0])
    with pytest.raises(Corrupt):
        text(store)


def test_a_changed_object_is_told(store, objects) -> None:
    put(store, noise(60_000))
    (key,) = objects.keys("logs/")
    stored = bytearray(objects.read(key))
    stored[5000] ^= 1
    objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=bytes(stored))
    with pytest.raises(Corrupt):
        text(store)


def test_a_missing_row_is_told(store) -> None:
    put(store, b"one\n")
    put(store, b"two\n", 4)
    clients.dynamodb().delete_item(
        TableName=store.table,
        Key={"pk": {"S": rows_key(PROJECT, store.head(LOG))}, "sk": {"S": f"frag/{4:016d}"}},
    )
    with pytest.raises(Corrupt):
        text(store)


def test_a_reader_that_meets_merged_rows_goes_on_with_the_row_that_covers_its_offset(store, objects) -> None:
    """Compaction swaps rows under a reader: here two rows become one after the reader has read the first."""
    pieces = [noise(30_000) for _ in range(3)]
    for number, piece in enumerate(pieces):
        put(store, piece, number * 30_000)
    head = store.head(LOG)
    reading = store.rows(head)
    first = next(reading)
    assert first.fragment.end == 30_000
    merged = log_store(PROJECT + "-copy")
    merged.append(LOG, lambda: iter((b"".join(pieces),)), 0)
    dynamodb = clients.dynamodb()
    pk = {"S": rows_key(PROJECT, head)}
    for offset in (0, 30_000, 60_000):
        dynamodb.delete_item(TableName=store.table, Key={"pk": pk, "sk": {"S": f"frag/{offset:016d}"}})
    row = dynamodb.get_item(
        TableName=store.table,
        Key={"pk": {"S": rows_key(f"{PROJECT}-copy", merged.head(LOG))}, "sk": {"S": f"frag/{0:016d}"}},
    )["Item"]
    dynamodb.put_item(TableName=store.table, Item={**row, "pk": pk})
    fresh = store.rows(head, 30_000)
    covering = next(fresh).fragment
    assert (covering.offset, covering.end) == (0, 90_000)
    assert b"".join(store.texts(head, 30_000)) == b"".join(pieces[1:])


def test_projects_have_logs_of_the_same_name_apart(store) -> None:
    put(store, b"mine\n")
    other = log_store(OTHER_PROJECT)
    other.append(LOG, lambda: iter((b"theirs\n",)), 0)
    assert text(store) == b"mine\n"
    assert b"".join(other.texts(other.head(LOG))) == b"theirs\n"


def test_a_note_of_a_follower_is_no_write_of_the_log_and_is_never_taken_back(store) -> None:
    put(store, b"one\n")
    before = store.head(LOG)
    store.note_follower(LOG, 5_000)
    store.note_follower(LOG, 4_000)
    noted = store.head(LOG)
    assert noted.followed_until == 5_000
    assert (noted, noted.version) == (before, before.version)
    assert put(store, b"one\n") == (before, False), "nothing is new"
    put(store, b"two\n", 4)
    sealed = store.seal(LOG, Totals())
    assert (sealed.followed_until, store.head(LOG).followed_until) == (5_000, 5_000), "writers keep it"
    check_whole(store, b"one\ntwo\n")


def test_a_log_that_is_not_there_does_not_begin_with_its_follower(store) -> None:
    store.note_follower(LOG, 5_000)
    assert listing(PROJECT).page(Selection(), "", 10, 0).heads == []
    with pytest.raises(LogNotFound):
        store.head(LOG)


@pytest.mark.no_faults("a race near the ten attempts that each writer has")
def test_followers_and_writers_at_once_lose_neither_bytes_nor_notes(store) -> None:
    put(store, b"begin\n")

    def write(writer: int) -> None:
        for number in range(12):
            put(store, b"writer %d line %d\n" % (writer, number), None)

    def follow(follower: int) -> None:
        for number in range(25):
            until = 1_000 * number + follower
            store.note_follower(LOG, until)
            assert (store.head(LOG).followed_until or 0) >= until

    at_once(lambda: write(0), lambda: write(1), lambda: follow(0), lambda: follow(1))
    assert sorted(text(store).splitlines()) == sorted(
        [b"begin", *(b"writer %d line %d" % (writer, number) for writer in range(2) for number in range(12))]
    )
    assert store.head(LOG).followed_until == 24_001
    check_whole(store, text(store))


def test_a_note_made_while_an_append_is_under_way_is_kept(store, monkeypatch) -> None:
    put(store, b"one\n")
    commit = LogStore._commit

    def note_first(self, *arguments):
        monkeypatch.undo()
        store.note_follower(LOG, 5_000)
        return commit(self, *arguments)

    monkeypatch.setattr(LogStore, "_commit", note_first)
    put(store, b"two\n", 4)
    assert store.head(LOG).followed_until == 5_000
    check_whole(store, b"one\ntwo\n")


@pytest.mark.parametrize("refusals", [1, 99])
def test_a_note_that_meets_a_transaction_is_tried_again_and_in_the_end_left_out(store, monkeypatch, refusals) -> None:
    monkeypatch.setattr("logkeep.aws.dynamo.time.sleep", lambda seconds: None)
    put(store, b"one\n")
    real, left = clients.dynamodb().update_item, [refusals]

    def busy(**request):
        left[0] -= 1
        if left[0] >= 0:
            raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, "UpdateItem")
        return real(**request)

    monkeypatch.setattr(clients.dynamodb(), "update_item", busy)
    store.note_follower(LOG, 5_000)
    assert store.head(LOG).followed_until == (5_000 if refusals == 1 else None)


def test_an_append_that_read_a_head_which_was_deleted_since_goes_to_the_log_of_now(store) -> None:
    """The new log has the same version and the same end, but another birth."""
    put(store, b"one\n")
    put(store, b"two\n", 4)
    before = store.head(LOG)
    key = encode(head_key(PROJECT, LOG))

    def body():
        if store.head(LOG).birth == before.birth:
            clients.dynamodb().delete_item(TableName=store.table, Key=key)
            put(store, b"ONE\n")
            put(store, b"TWO\n", 4)
        return iter((b"three\n",))

    after, _ = store.append(LOG, body, None)
    assert after.birth != before.birth
    assert text(store) == b"ONE\nTWO\nthree\n"


@pytest.mark.no_faults("puts its own")
def test_heads_that_a_busy_table_leaves_out_are_asked_for_again(store, monkeypatch) -> None:
    put(store, b"a line\n")
    pauses: list[float] = []
    monkeypatch.setattr("logkeep.aws.dynamo.time.sleep", pauses.append)
    left = [3]

    def leave_all(request: Any, **_: Any) -> Any:
        left[0] -= 1
        body = {"Responses": {}, "UnprocessedKeys": json.loads(request.body)["RequestItems"]}
        answer = answer_with(200, request.url, json.dumps(body).encode(), "application/x-amz-json-1.0")
        return answer if left[0] >= 0 else None

    clients.dynamodb().meta.events.register("before-send.dynamodb.BatchGetItem", leave_all)
    (head,) = listing(PROJECT).page(Selection(), "", 10, 0).heads
    assert (head.log_id, len(pauses)) == (LOG, 3), "after growing pauses"
    left[0] = 1000
    with pytest.raises(Busy):
        listing(PROJECT).page(Selection(), "", 10, 0)
