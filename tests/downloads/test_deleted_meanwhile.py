"""Renders of logs that are deleted: none is handed out, and nothing of them stays."""

import random

import pytest

from logkeep.apis.build.files import BuildFile
from logkeep.apis.logs.worker import tend_logs
from logkeep.clock import HOUR
from logkeep.downloads.files import File, text_file
from logkeep.downloads.plan_store import Noting, plans
from logkeep.downloads.render_store import renders
from logkeep.errors import LogNotFound
from logkeep.logid import LogId
from logkeep.logs.deletion_store import deleting
from logkeep.logs.store import LogStore, _note_project, log_store
from tests.calls import PROJECT, RECORD

pytestmark = pytest.mark.usefixtures("aws")
STAGES = [LogId.parse(f"build/{RECORD}/stage{number}") for number in (1, 2)]
OTHER = LogId.parse(f"build/{RECORD.replace('5', '6')}/stage1")
BUILD = BuildFile(record_id=RECORD, filename="build.log", content_type="text/plain")
NEVER = float("inf")


@pytest.fixture
def store(aws, monkeypatch) -> LogStore:
    monkeypatch.setattr("logkeep.logs.tending_store._LOOKED_BACK", 0)
    _note_project.cache_clear()
    logs = log_store(PROJECT)
    for log_id in (*STAGES, OTHER):
        logs.append(log_id, (random.Random(1).randbytes(20_000).hex().encode(),).__iter__, 0)
    return logs


def made(store: LogStore, file: File) -> Noting:
    """Build and plan a file."""
    logs = Noting(store)
    rendition = file.rendition(logs, gzip=True)
    renders(PROJECT).build(rendition, NEVER, logs)
    plans(PROJECT).put(file, logs, gzip=True)
    return logs


@pytest.mark.parametrize("file", [text_file(STAGES[0]), BUILD], ids=["log", "build"])
def test_a_render_whose_log_was_deleted_meanwhile_is_not_finished(store, objects, file) -> None:
    logs = Noting(store)
    rendition = file.rendition(logs, gzip=True)
    deleting(PROJECT).delete(STAGES[0], "a")
    store.append(STAGES[0], (b"anew\n",).__iter__, 0)
    with pytest.raises(LogNotFound):
        renders(PROJECT).build(rendition, NEVER, logs)
    assert renders(PROJECT).find(rendition) is None
    assert not [key for key in objects.keys("renders/") if key.endswith(".json")]


def test_renders_and_plans_go_with_the_text_and_those_of_other_owners_stay(store, objects) -> None:
    made(store, text_file(OTHER))
    kept = objects.keys("renders/")
    logs = made(store, BUILD)
    made(store, text_file(STAGES[0]))
    logs.check()
    assert len(objects.keys("renders/")) > len(kept)
    deletion = deleting(PROJECT).delete(STAGES[0], "a")
    with pytest.raises(LogNotFound):
        logs.check()
    tend_logs(deletion.at + 2 * HOUR)
    assert objects.keys("renders/") == kept
    again = Noting(store)
    rendition = BUILD.rendition(again, gzip=True)
    assert renders(PROJECT).find(rendition) is None
    assert renders(PROJECT).build(rendition, NEVER, again), "of the stage that is left"
