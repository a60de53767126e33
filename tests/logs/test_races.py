"""Writers in processes of their own, at once on one log and on one service."""

import random
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.calls import SERVICE, seal
from tests.conftest import Objects
from tests.soak.checks import check_events, stored_text, unreferenced
from tests.soak.known import batch, known
from tests.soak.processes import LONG, Life, live
from tests.soak.producers import bid, produce, put_batches, write_at_end

WRITERS = 8 if LONG else 4
TIMES = 60 if LONG else 3

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]


def together(work: Callable[..., None], arguments: list[tuple[Any, ...]]) -> list[Life]:
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(lambda each: live(work, *each), arguments))


def test_writers_at_the_end_keep_their_order_and_interrupt_nobody(a_log_id: str, objects: Objects) -> None:
    lives = together(write_at_end, [(writer, a_log_id, TIMES) for writer in range(WRITERS)])
    text = stored_text(a_log_id, objects)
    assert len(text) == sum(life.told["bytes"] for life in lives)
    found = [tuple(map(int, line.split()[1::2])) for line in text.splitlines()]
    appends = [(writer, number) for writer, number, line in found if line == 0]
    assert found == [(*each, line) for each in appends for line in range(300 if each[1] % 4 else 1)]
    assert sorted(appends) == [(writer, number) for writer in range(WRITERS) for number in range(TIMES)]
    for writer in range(WRITERS):
        assert [number for name, number in appends if name == writer] == list(range(TIMES))
    print(f"\n{WRITERS} writers at the end: {len(text)} bytes, {unreferenced(a_log_id, text, objects)} unreferenced")


def test_writers_that_bid_for_an_offset_have_one_winner_each_time(a_log_id: str, objects: Objects) -> None:
    lives = together(bid, [(writer, a_log_id, TIMES) for writer in range(WRITERS)])
    text = stored_text(a_log_id, objects)
    lines = text.splitlines(keepends=True)
    for writer in range(WRITERS):
        own = [line for line in lines if line.startswith(b"writer %d " % writer)]
        assert own == [b"writer %d bid %d\n" % (writer, n) for n in range(TIMES) for _ in range(1 if n % 3 else 500)]
    assert len(lines) == WRITERS * sum(1 if n % 3 else 500 for n in range(TIMES))
    print(f"\n{WRITERS} bidders: {WRITERS * TIMES} won, {sum(life.told['lost'] for life in lives)} lost")


@pytest.mark.parametrize("seed", range(20) if LONG else [1])
def test_writers_of_one_text_cut_differently_write_it_once(seed: int, a_log_id: str, objects: Objects) -> None:
    expected = known(seed)
    together(produce, [(seed, f"{seed} {writer}", a_log_id, SERVICE, 0, 0) for writer in range(WRITERS if LONG else 2)])
    assert stored_text(a_log_id, objects) == expected.text
    sealed = seal(a_log_id, bytes=len(expected.text), crc32=f"{zlib.crc32(expected.text):08x}")
    assert (sealed.status, sealed.json["levels"]) == (200, expected.levels)
    check_events(SERVICE, [event for batch in expected.batches for event in batch])


def test_writers_of_one_service_count_every_event_once(objects: Objects) -> None:
    """Every batch is put by two writers, as by a client that did not wait for its answer."""
    lives = together(put_batches, [(writer // 2, SERVICE, TIMES) for writer in range(WRITERS)])
    expected = []
    for writer in range(WRITERS // 2):
        chance = random.Random(writer)
        expected += [event for number in range(TIMES) for event in batch(chance, f"{writer} {number}")]
    check_events(SERVICE, expected)
    assert sum(life.told["accepted"] for life in lives) == len(expected), "of two equal puts one is told it was new"
