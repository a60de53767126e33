"""Texts and events that producer and test both know: functions of a number, counted while they are made."""

import random
from dataclasses import dataclass
from typing import Any

NOON = 1_795_348_800_000
_TRACE = b"java.lang.IllegalStateException: no shard\n\tat com.example.Store.read(Store.java:42)\n\n"


@dataclass(frozen=True)
class Known:
    """A log's text and its levels, and a service's batches of events."""

    text: bytes
    levels: dict[str, int]
    batches: list[list[dict[str, Any]]]


def known(seed: int) -> Known:
    chance = random.Random(seed)
    lines: list[bytes] = []
    counts = dict.fromkeys(("DEBUG", "INFO", "WARN", "ERROR"), 0)
    size, wanted = 0, chance.choice([3_000, 200_000, 600_000, 1_200_000])
    while size < wanted:
        level = chance.choice(list(counts))
        counts[level] += 1
        noise = chance.randbytes(chance.choice([4, 20, 200, 2_000])).hex()
        line = f"2026-11-22 00:00:{len(lines) % 60:02d},000 {level} 日志 {len(lines)} {noise}\n".encode()
        lines.append(line + (_TRACE if chance.random() < 0.05 else b""))
        size += len(lines[-1])
    text = b"".join(lines)
    if chance.random() < 0.5:
        text = text.rstrip(b"\n")
    levels = {level: count for level, count in counts.items() if count}
    return Known(text, levels, [batch(chance, f"{seed} {number}") for number in range(16)])


def batch(chance: random.Random, label: str) -> list[dict[str, Any]]:
    """Events of up to two hours; each has a text that no other has."""
    spread = chance.choice([1, 60_000, 7_200_000])
    return [
        {
            "occur_time": NOON + chance.randrange(spread),
            "event_type": chance.choice(["normal", "abnormal"]),
            "event_info": f"{label} event {number}",
        }
        for number in range(chance.choice([1, 20, 150]))
    ]
