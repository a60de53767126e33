"""Producers that are killed, over and over, and their successors: nothing is lost, doubled or left half."""

import random
import uuid
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.calls import read, seal
from tests.conftest import Objects
from tests.soak.checks import check_events, check_prefix, stored_text, unreferenced
from tests.soak.known import known
from tests.soak.processes import LONG, Life, Moment, live
from tests.soak.producers import produce

KILLS = 200 if LONG else 3
KILLS_OF_A_CHAIN = 5

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]


def test_killed_producers_and_their_successors_write_every_byte_and_event_once(objects: Objects) -> None:
    counts: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    while counts["kills"] < KILLS:
        seed = 1000 + counts["rounds"]
        log_id, service = f"build/{uuid.uuid4()}/stage1", str(uuid.uuid4())
        producers = 1 + seed % 2
        with ThreadPoolExecutor(producers) as pool:
            chains = [pool.submit(_chain, 10 * seed + chain, seed, log_id, service) for chain in range(producers)]
        for life in (life for chain in chains for life in chain.result()):
            counts += Counter(life.told) - Counter(offset=life.told["offset"], batches=life.told["batches"])
            counts["processes"] += 1
            if life.killed:
                counts["kills"] += 1
                steps[life.last_step] += 1
        counts["rounds"] += 1
        counts["rounds of two producers"] += producers == 2
        counts += _check(seed, log_id, service, objects)
    print(f"\n{dict(counts)}\nkilled after: {dict(steps.most_common())}")


def _chain(chance_of: int, seed: int, log_id: str, service: str) -> list[Life]:
    """Producers of one log and service, each the successor of one that was killed; the last is left alone."""
    chance = random.Random(chance_of)
    lives: list[Life] = []
    offset = batches = 0
    for kill in range(KILLS_OF_A_CHAIN + 1):
        until = Moment.drawn(chance) if kill < KILLS_OF_A_CHAIN else None
        life = live(produce, seed, chance.random(), log_id, service, offset, batches, until=until)
        lives.append(life)
        if not life.killed:
            break
        offset, batches = life.latest.get("offset", offset), life.latest.get("batches", batches)
        check_prefix(log_id, known(seed).text, offset)
    return lives


def _check(seed: int, log_id: str, service: str, objects: Objects) -> Counter[str]:
    expected = known(seed)
    text = expected.text
    crc32 = f"{zlib.crc32(text):08x}"
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    sealed = seal(log_id, bytes=len(text), lines=lines, crc32=crc32)
    assert sealed.status == 200, sealed
    told = sealed.json
    assert (told["state"], told["missing"]) == ("sealed", None)
    assert (told["bytes"], told["lines"], told["crc32"]) == (len(text), lines, crc32)
    assert told["levels"] == expected.levels
    assert read(log_id).body == text
    assert stored_text(log_id, objects) == text
    check_events(service, [event for batch in expected.batches for event in batch])
    return Counter(
        {
            "unreferenced objects": unreferenced(log_id, text, objects),
            "bytes of the logs": len(text),
            "events": sum(map(len, expected.batches)),
        }
    )
