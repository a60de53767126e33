"""Logs that expire, against the emulator: out of every answer at once, deleted days later, taken back until then."""

import pytest

from logkeep.apis.logs.worker import tend_logs
from logkeep.backups.lease_store import Leases
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import backup_store
from logkeep.clock import DAY, HOUR
from logkeep.errors import LogDeleted, LogNotFound
from logkeep.logid import LogId
from logkeep.logs.deletion_store import deleting
from logkeep.logs.listing import Selection
from logkeep.logs.listing_store import listing
from logkeep.logs.pack_store import packer
from logkeep.logs.rebuild_store import Rebuilding
from logkeep.logs.store import LogStore, _claim_format, _note_project, log_store
from logkeep.settings import settings
from tests.calls import CLUSTER, PROJECT
from tests.faults import STEP, Killed, killed_at
from tests.logs.test_deletion import TEXTS, about, everything, few_shards, write

pytestmark = pytest.mark.usefixtures("aws")
LOG, KEPT = LogId.parse("app/a"), LogId.parse("app/a/b")
NOW = 1_800_000_000_000 // DAY * DAY + 10 * HOUR


class Time:
    """A clock for everything that asks for the time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        rooms = {
            "logs": ("store", "retention_store", "deletion_store", "many_store", "pack_store"),
            "backups": ("store",),
        }
        for name in (f"{room}.{module}" for room, modules in rooms.items() for module in modules):
            patch.setattr(f"logkeep.{name}.now_ms", lambda: self.now)

    def tend(self, time: int) -> None:
        """What the schedule does at a time."""
        self.now = time
        tend_logs(time)


@pytest.fixture
def time(monkeypatch) -> Time:
    few_shards(monkeypatch, 12)
    return Time(monkeypatch)


@pytest.fixture
def store(aws, time) -> LogStore:
    _note_project.cache_clear()
    _claim_format.cache_clear()
    return log_store(PROJECT)


def found() -> set[str]:
    """The logs that readers find: by id, by owner, in listings."""
    store, names = log_store(PROJECT), {"app/a", "app/a/b"}
    listed = {str(head.log_id) for head in listing(PROJECT).page(Selection(prefix="app/"), "", 100, NOW).heads}
    owned = {str(head.log_id) for name in names for head in store.heads(name)}
    read = set()
    for name in names:
        try:
            read.add(str(store.head(LogId.parse(name)).log_id))
        except LogNotFound:
            continue
    assert listed == owned == read
    return read


def keep(days: int | None) -> None:
    log_store(PROJECT).expiry.set({}, {"app/a/": None, "app/a": days})


def test_a_log_expires_after_its_last_append_and_is_deleted_three_days_after_that_was_found(store, time) -> None:
    keep(5)
    write(store, KEPT, *TEXTS)
    write(store, LOG, *TEXTS)
    birth = store.head(LOG).birth
    for day in range(5):
        time.tend(NOW + day * DAY)
        assert found() == {"app/a", "app/a/b"}
    time.now = NOW + 5 * DAY
    assert found() == {"app/a/b"}, "at once, before any sweep"
    time.tend(NOW + 5 * DAY + HOUR)
    time.tend(NOW + 8 * DAY)
    assert store.find(LOG), "for three days since it was found"
    time.tend(NOW + 8 * DAY + 2 * HOUR)
    assert store.find(LOG) is None
    (deletion,) = store.deletions.of_log(LOG)
    assert (deletion.why, deletion.by) == ("retention", "")
    with pytest.raises(LogDeleted):
        store.append(LOG, (b"more\n",).__iter__, deletion.end)
    time.tend(NOW + 8 * DAY + 4 * HOUR)
    assert about(everything(), birth) == []
    assert found() == {"app/a/b"}
    assert [each for each in everything() if "/due/" in each and "forget" not in each] == []


def test_a_setting_that_was_mistyped_is_taken_back_after_two_days_and_loses_nothing(store, time) -> None:
    keep(300)
    write(store, LOG, *TEXTS)
    time.tend(NOW + 2 * DAY)
    time.now = NOW + 100 * DAY
    keep(3)
    assert found() == set()
    for hour in range(0, 48, 12):
        time.tend(NOW + 100 * DAY + hour * HOUR)
    keep(300)
    assert found() == {"app/a"}
    keep(3)
    time.tend(NOW + 103 * DAY + HOUR)
    keep(300)
    for day in range(104, 110):
        time.tend(NOW + day * DAY)
    assert b"".join(store.texts(log_store(PROJECT).head(LOG))) == b"".join(TEXTS)
    time.tend(NOW + 301 * DAY)
    assert found() == set()
    time.tend(NOW + 305 * DAY)
    assert store.find(LOG) is None, "it was filed for its day again"


def test_an_append_revives_an_expired_log_whole_and_so_does_a_replay(store, time) -> None:
    keep(3)
    write(store, LOG, *TEXTS)
    time.tend(NOW + 2 * DAY)
    time.tend(NOW + 4 * DAY)
    assert found() == set()
    store = log_store(PROJECT)
    store.append(LOG, (TEXTS[0],).__iter__, 0)
    assert found() == {"app/a"}
    time.tend(NOW + 8 * DAY)
    assert found() == set(), "for three days again"
    log_store(PROJECT).append(LOG, (b"more\n",).__iter__, None)
    time.tend(NOW + 10 * DAY)
    assert b"".join(store.texts(store.head(LOG))) == b"".join((*TEXTS, b"more\n"))
    for day in range(11, 17):
        time.tend(NOW + day * DAY)
    assert store.find(LOG) is None


def test_a_hold_brings_an_expired_log_back_and_its_end_lets_it_expire_again(store, time) -> None:
    keep(3)
    write(store, LOG, *TEXTS)
    time.tend(NOW + 2 * DAY)
    time.tend(NOW + 4 * DAY)
    store.hold(LOG, on=True)
    assert found() == {"app/a"}
    for day in (7, 8, 40):
        time.tend(NOW + day * DAY)
    assert found() == {"app/a"}
    store.hold(LOG, on=False)
    assert found() == set()
    time.tend(NOW + 40 * DAY + HOUR)
    time.tend(NOW + 42 * DAY)
    assert store.find(LOG)
    time.tend(NOW + 44 * DAY)
    assert store.find(LOG) is None


def test_a_sweep_that_was_down_for_a_week_makes_up_for_it(store, time) -> None:
    keep(2)
    time.tend(NOW)
    for number in range(3):
        time.now = NOW + number * DAY
        write(store, LogId.parse(f"app/a{number}"), b"x\n", retention=1)
    time.tend(NOW + 9 * DAY)
    time.tend(NOW + 9 * DAY + HOUR)
    time.tend(NOW + 13 * DAY)
    assert [str(each.log_id) for _, each in store.deletions.between(NOW, NOW + 14 * DAY, "")] == [
        "app/a0",
        "app/a1",
        "app/a2",
    ]


def test_a_log_that_never_had_text_expires_from_its_birth(store, time) -> None:
    keep(3)
    store.append(LOG, lambda: iter(()), 0)
    time.tend(NOW + 2 * DAY)
    assert found() == {"app/a"}
    time.tend(NOW + 4 * DAY)
    assert found() == set()
    time.tend(NOW + 8 * DAY)
    assert store.find(LOG) is None


def test_another_default_of_the_stack_files_what_exists(store, time, monkeypatch) -> None:
    write(store, LOG, *TEXTS)
    time.tend(NOW + 2 * DAY)
    time.tend(NOW + 10 * DAY)
    assert found() == {"app/a"}
    monkeypatch.setenv("LOG_RETENTION_DAYS", "5")
    settings.cache_clear()
    assert found() == set()
    time.tend(NOW + 11 * DAY)
    time.tend(NOW + 11 * DAY + HOUR)
    time.tend(NOW + 15 * DAY)
    assert store.find(LOG) is None


def test_after_a_rebuild_nothing_expires_until_the_settings_are_set_again(store, time) -> None:
    keep(3)
    write(store, LOG, *TEXTS)
    time.now = NOW + 4 * DAY
    assert found() == set()
    assert [each.outcome for each in Rebuilding(store, writes=True).run()] == ["same"]
    assert found() == {"app/a"}
    keep(3)
    assert found() == set()


def test_what_was_deleted_is_not_rebuilt_from_its_objects(store, time) -> None:
    write(store, LOG, *TEXTS)
    packer(PROJECT).pack(store.head(LOG), 1e12)
    deleting(PROJECT).delete(LOG, "a")
    why = "it was deleted, and its objects are not removed yet"
    assert [each.why for each in Rebuilding(store, writes=True).run()] == [why]
    assert store.find(LOG) is None


def test_a_backup_leaves_out_what_has_expired(store, time) -> None:
    log_id = LogId.parse(f"cluster/{CLUSTER}/node-1/instance")
    write(store, log_id, *TEXTS, retention=3)
    write(store, LogId.parse(f"cluster/{CLUSTER}/node-2/instance"), b"x\n")
    time.now = NOW + 4 * DAY
    backups = backup_store(PROJECT, CLUSTER)
    backups.enable()
    Leases(backups).start(backups.cluster(store).new_record("r", time.now, "Manual"), 0)
    backup_runs(PROJECT, CLUSTER).resume(900)
    cut = backup_runs(PROJECT, CLUSTER).cut_of("r")
    assert cut
    assert [each.log_id for each in cut.logs] == [f"cluster/{CLUSTER}/node-2/instance"]


def test_sweeps_killed_at_any_call_delete_what_has_expired_and_nothing_else(store, time) -> None:
    keep(3)
    write(store, KEPT, *TEXTS)
    write(store, LOG, *TEXTS)
    birth, passing, kills = store.head(LOG).birth, 0, 0
    for at in (NOW + 2 * DAY, NOW + 4 * DAY, NOW + 7 * DAY + HOUR, NOW + 7 * DAY + 3 * HOUR):
        passing = 0
        while True:
            try:
                with killed_at(passing, after=True):
                    time.tend(at)
            except Killed:
                kills += 1
                passing += 5 * STEP
            else:
                break
    assert kills > 5
    assert about(everything(), birth) == []
    assert found() == {"app/a/b"}
    assert b"".join(store.texts(store.head(KEPT))) == b"".join(TEXTS)
