"""What a restore brings back of logs that were deleted after the backup."""

import pytest

from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.logs.deletion_store import deleting
from logkeep.logs.store import log_store
from logkeep.restores.plan import RestoreRequest
from logkeep.restores.store import Restores, restores
from tests.calls import CLUSTER, PROJECT
from tests.restores.test_store import ASIDE, HERE, NEVER, append, back_up, held, log_id, restore

pytestmark = pytest.mark.usefixtures("aws")
GONE, KEPT, ANEW = (log_id(f"node-{number}/instance") for number in (1, 2, 3))
TEXT = b"2026-11-22 05:00:00 INFO first\n" * 300


@pytest.fixture
def restoring(aws) -> Restores:
    logs, store = log_store(PROJECT), backup_store(PROJECT, CLUSTER)
    store.enable()
    for each in (GONE, KEPT, ANEW):
        append(logs, each, TEXT)
    back_up(store, "r1")
    deleting(PROJECT).delete(GONE, "a")
    deleting(PROJECT).delete(ANEW, "a")
    append(logs, ANEW, b"another\n")
    return restores(PROJECT, CLUSTER)


def test_a_restore_leaves_out_what_was_deleted_after_its_cut(restoring) -> None:
    planned = restoring.planned("r1", RestoreRequest(dry_run=True), now_ms(), NEVER)
    done = restore(restoring, "r1", HERE)
    assert done.counts == planned.counts == {"deleted": 2, "held": 1}
    assert {name: text for name, (text, _) in held(log_store(PROJECT)).items()} == {
        KEPT.rest: TEXT,
        ANEW.rest: b"another\n",
    }
    assert restore(restoring, "r1", ASIDE).counts == {"deleted": 2, "new": 1}, "under a prefix as well"


def test_unless_it_is_told_to_bring_it_back(restoring) -> None:
    asked = RestoreRequest(deleted=True)
    done = restore(restoring, "r1", asked)
    assert done.counts == {"new": 1, "held": 1, "differs": 1}
    assert held(log_store(PROJECT))[GONE.rest][0] == TEXT


def test_a_backup_of_the_log_that_came_after_is_restored(restoring) -> None:
    back_up(backup_store(PROJECT, CLUSTER), "r2")
    planned = restoring.planned("r2", RestoreRequest(dry_run=True), now_ms(), NEVER)
    assert planned.counts == {"held": 2}
    assert restore(restoring, "r2", ASIDE).counts == {"new": 2}


def test_what_is_deleted_while_it_is_restored_stays_deleted(restoring, monkeypatch) -> None:
    seal = Restores._seal

    def delete_first(self: Restores, target) -> None:
        if target.log_id == KEPT:
            deleting(PROJECT).delete(KEPT, "a")
        seal(self, target)

    monkeypatch.setattr(Restores, "_seal", delete_first)
    assert restore(restoring, "r1", HERE).counts == {"deleted": 3}
