"""Registrations against the emulator: once, at once, and killed between two steps."""

from collections.abc import Callable
from functools import partial

import pytest

from logkeep.aws import clients
from logkeep.errors import Conflict, LogkeepError, LogNotFound, TooLarge
from logkeep.limits import SUB_JOBS_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head, Totals
from logkeep.logs.listing import Selection
from logkeep.logs.listing_store import listing
from logkeep.logs.registration import Registration
from logkeep.logs.store import LogStore, log_store
from tests.calls import OTHER_PROJECT, PROJECT
from tests.faults import Killed, at_once, counted, killed

pytestmark = pytest.mark.usefixtures("aws")
BUILD = Registration("j" * 32, "7")


@pytest.fixture
def store(aws) -> LogStore:
    return log_store(PROJECT)


def put(
    store: LogStore, log_id: str, registration: Registration | None, body: bytes = b"one\n", offset: int | None = 0
):
    return store.append(LogId.parse(log_id), partial(iter, (body,) if body else ()), offset, registration)


def head(store: LogStore, log_id: str) -> Head:
    return store.head(LogId.parse(log_id))


def items() -> int:
    pages = clients.dynamodb().get_paginator("scan").paginate(TableName=log_store(PROJECT).table)
    return sum(page["Count"] for page in pages)


def test_a_build_names_its_record(store) -> None:
    put(store, "build/r/stage1", BUILD)
    put(store, "build/r/stage2", BUILD)
    assert store.registrations.record(BUILD) == "r"
    assert head(store, "build/r/stage2").registration == BUILD
    with pytest.raises(LogNotFound):
        store.registrations.record(Registration("j" * 32, "8"))


def test_the_record_that_was_registered_last_for_the_first_time_is_the_builds(store) -> None:
    put(store, "build/a/stage1", BUILD)
    put(store, "build/b/stage1", BUILD)
    put(store, "build/a/stage2", BUILD)
    assert store.registrations.record(BUILD) == "b"


def test_the_latest_execution_is_the_one_that_was_registered_last_for_the_first_time(store) -> None:
    for sub_job, execution in (("s1", "e1"), ("s2", "e2"), ("s3", "e1")):
        put(store, f"check/{sub_job}", Registration("task", execution))
    assert store.registrations.sub_jobs("task") == ["s2"]
    assert store.registrations.sub_jobs("task", "e1") == ["s1", "s3"]
    for unknown in (("task", "e3"), ("other", None), ("other", "e1")):
        with pytest.raises(LogNotFound):
            store.registrations.sub_jobs(*unknown)


def test_files_of_one_sub_job_are_one_sub_job_of_the_execution(store) -> None:
    for file in ("a.log", "b.log"):
        put(store, f"check/s/{file}", Registration("task", "e"))
    assert store.registrations.sub_jobs("task", "e") == ["s"]


def test_an_execution_of_too_many_sub_jobs_is_told(store) -> None:
    for number in range(SUB_JOBS_MAX + 1):
        if number in {1, 2, SUB_JOBS_MAX}:
            assert len(store.registrations.sub_jobs("task")) == number
        put(store, f"check/s{number:03d}", Registration("task", "e"), b"")
    with pytest.raises(TooLarge):
        store.registrations.sub_jobs("task", "e")


def test_a_registration_may_come_without_new_bytes_and_after_the_seal(store) -> None:
    put(store, "build/r/stage1", None)
    store.seal(LogId.parse("build/r/stage1"), Totals(bytes=4))
    after, grew = put(store, "build/r/stage1", BUILD)
    assert (after.end, after.registration, grew) == (4, BUILD, True)
    assert put(store, "build/r/stage1", BUILD)[1] is False
    assert store.registrations.record(BUILD) == "r"
    _, grew = put(store, "build/empty/stage1", Registration("j" * 32, "9"), b"")
    assert grew
    assert store.registrations.record(Registration("j" * 32, "9")) == "empty"


def test_another_registration_is_a_conflict_and_nothing_is_written(store) -> None:
    put(store, "build/r/stage1", BUILD)
    before = items()
    with pytest.raises(Conflict):
        put(store, "build/r/stage1", Registration("j" * 32, "8"), b"one\ntwo\n")
    assert (items(), head(store, "build/r/stage1").end) == (before, 4)
    put(store, "build/r/stage1", None, b"two\n", 4)
    assert head(store, "build/r/stage1").registration == BUILD, "told once, it stays"


@pytest.mark.parametrize(("first", "second"), [("build/r/stage1", "build/r/stage2"), ("check/s", "check/s/pmd.log")])
def test_all_logs_of_a_record_or_sub_job_are_registered_under_the_same(store, first, second) -> None:
    put(store, first, BUILD)
    with pytest.raises(Conflict, match="is registered under"):
        put(store, second, Registration(BUILD.group, "8"))
    with pytest.raises(LogNotFound):
        head(store, second)


def test_two_logs_of_a_record_that_register_under_others_at_once_leave_one(store) -> None:
    def register(stage: int) -> bool:
        try:
            put(store, f"build/r/stage{stage}", Registration(BUILD.group, str(stage)))
        except Conflict:
            return False
        return True

    assert sorted(at_once(*(partial(register, stage) for stage in range(1, 5)))) == [False, False, False, True]


def test_bytes_that_conflict_register_nothing(store) -> None:
    put(store, "build/r/stage1", None)
    with pytest.raises(Conflict):
        put(store, "build/r/stage1", BUILD, b"ONE\n")
    with pytest.raises(LogNotFound):
        store.registrations.record(BUILD)


def test_later_appends_cost_nothing_more(store) -> None:
    put(store, "check/s", Registration("task", "e"))
    with counted() as requests:
        put(store, "check/s", Registration("task", "e"), b"two\n", 4)
    assert requests == {"GetItem": 1, "TransactWriteItems": 1}


def test_stages_that_register_at_once_are_all_registered(store) -> None:
    logs = [f"build/r/stage{number}" for number in range(1, 7)]
    work: list[Callable[[], tuple[Head, bool]]] = [partial(put, store, log, BUILD) for log in logs]
    assert [grew for _, grew in at_once(*work)] == [True] * 6
    assert {head(store, log).registration for log in logs} == {BUILD}
    assert store.registrations.record(BUILD) == "r"


def test_one_log_that_registers_twice_at_once_is_registered_once(store) -> None:
    assert sorted(grew for _, grew in at_once(*[partial(put, store, "build/r/stage1", BUILD)] * 4)) == [False] * 3 + [
        True
    ]
    assert store.registrations.record(BUILD) == "r"


def test_of_two_builds_for_one_log_at_once_one_wins(store) -> None:
    builds = [Registration("j" * 32, str(number)) for number in range(1, 5)]

    def register(build: Registration) -> Registration | None:
        try:
            put(store, "build/r/stage1", build)
        except Conflict:
            return None
        return build

    (winner,) = [build for build in at_once(*[partial(register, build) for build in builds]) if build]
    assert head(store, "build/r/stage1").registration == winner
    for build in builds:
        if build != winner:
            with pytest.raises(LogNotFound):
                store.registrations.record(build)


def test_two_executions_that_register_at_once_leave_one_latest_that_exists(store) -> None:
    pairs = [(f"s{number}", f"e{number}") for number in range(4)]
    at_once(*[partial(put, store, f"check/{sub_job}", Registration("task", execution)) for sub_job, execution in pairs])
    assert store.registrations.sub_jobs("task") in [[sub_job] for sub_job, _ in pairs]
    for sub_job, execution in pairs:
        assert store.registrations.sub_jobs("task", execution) == [sub_job]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("body", [b"", b"small\n", bytes(range(256)) * 400])
@pytest.mark.parametrize(
    ("log_id", "registration"), [("build/r/stage1", BUILD), ("check/s/a.log", Registration("task", "e"))]
)
def test_a_kill_leaves_all_of_a_registration_or_nothing_and_the_retry_completes_it(
    store, log_id, registration, body, after
) -> None:
    def registered() -> bool:
        try:
            if log_id.startswith("build"):
                return store.registrations.record(registration) == "r"
            return store.registrations.sub_jobs("task") == ["s"]
        except LogkeepError:
            return False

    with killed(clients.dynamodb(), "TransactWriteItems", after=after), pytest.raises(Killed):
        put(store, log_id, registration, body)
    assert registered() == after
    put(store, log_id, registration, body)
    assert registered()
    assert (head(store, log_id).registration, head(store, log_id).end) == (registration, len(body))


def test_an_append_of_the_most_fragments_and_a_registration_is_one_transaction(store) -> None:
    put(store, "check/s", Registration("task", "e"), b"x" * (32 << 20))
    assert head(store, "check/s").fragments == 32
    assert store.registrations.sub_jobs("task") == ["s"]


def test_projects_have_builds_and_tasks_of_one_name_apart(store) -> None:
    put(store, "build/r/stage1", BUILD)
    put(store, "check/s", Registration("task", "e"))
    other = log_store(OTHER_PROJECT)
    for look_up in (partial(other.registrations.record, BUILD), partial(other.registrations.sub_jobs, "task", "e")):
        with pytest.raises(LogNotFound):
            look_up()


def test_look_ups_are_neither_logs_nor_of_an_owner(store) -> None:
    put(store, "build/r/stage1", BUILD)
    put(store, "check/s", Registration("task", "e"))
    assert [str(each.log_id) for each in listing(PROJECT).page(Selection(), "", 10, 0).heads] == [
        "build/r/stage1",
        "check/s",
    ]
    assert [str(each.log_id) for owner in ("build/r", "check/s") for each in store.heads(owner)] == [
        "build/r/stage1",
        "check/s",
    ]
