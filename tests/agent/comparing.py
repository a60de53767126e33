"""Compares a log with what producers wrote, line by line."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.agent.producer import Producer, Text
from tests.examples import LONG

_CUT = re.compile(r"LOST: (\S+) was truncated, .* what was written after byte (\d+), which")
_DOUBT = re.compile(r"LOST: unless \S+ is a copy of it, .*")
_GONE = re.compile(r"LOST: (\S+) is gone or was overwritten, .* what it held beyond byte (\d+) of the log")


def compare(producer: Producer, held: bytes, said: str) -> Counter[str]:
    """Assert that a log holds each line once and in order, or that what it lacks was named. Counts of lines and bytes.

    In order means: in that in which the lines were written, but late lines come after what was sent already.
    """
    texts = producer.texts
    # The lines of a log: a file that ends within a line is ended in the log.
    expected = [line.removesuffix(b"\n") for text in texts for line in text.lines]
    found = held.replace(b" EDITED ", b" plain ").split(b"\n")
    if found[-1] == b"":
        found.pop()
    lost, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    counts = Counter({"bytes": len(held), "lines": len(expected), "lost": lost.total(), "doubled": more.total()})
    if any(text.is_emptied for text in texts):
        counts["lost and named"] = _check_lost(texts, held, said)
        counts["lost"] = counts["doubled"] = 0
        return counts
    assert not lost + more, f"lost {list(lost)[:5]}, doubled {list(more)[:5]}: {dict(counts)}\n{said[-5000:]}"
    if LONG:  # one that was killed in the middle of its look may say it once although nothing is missing
        assert "LOST" not in _DOUBT.sub("", said), said[-5000:]
    if producer.counts["lines written late"]:
        of = {line.removesuffix(b"\n"): number for number, text in enumerate(texts) for line in text.lines}
        by_text = sorted(found, key=lambda line: of[line])  # which keeps the order of those of the same file
        assert by_text == expected, said
    else:
        assert found == expected, said
    return counts


def check_days(producer: Producer, held: Mapping[str, bytes]) -> None:
    """Assert that each line is in the log of the day on which it was written, or of a later one on which others were.

    The key of a log has its day (2026-11-22) in it.
    """
    written = {
        line.removesuffix(b"\n"): day
        for text in producer.texts
        for line, day in zip(text.lines, text.days, strict=True)
    }
    known = set(written.values())
    for log_id, text in held.items():
        if not text:  # the file was empty on that day
            continue
        (day,) = re.findall(r"\d{4}-\d\d-\d\d", log_id)
        assert day in known
        for line in text.replace(b" EDITED ", b" plain ").splitlines():
            assert written[line] <= day, (line, day)


def _check_lost(texts: Sequence[Text], held: bytes, said: str) -> int:
    """Assert that the log has all of each text, or its beginning, if it was emptied. The number of lines it lacks.

    The agent must have named where such a beginning ends, by its place in the file or in the log. It knows nothing of
    what was written and emptied while it did not look.
    """
    in_file = {int(number) for _, number in _CUT.findall(said)}
    in_log = {int(number) for _, number in _GONE.findall(said)}
    at = lost = 0
    for text in texts:
        begin = at
        for number, line in enumerate(text.lines):
            if held.startswith(line, at):
                at += len(line)
                continue
            assert text.is_emptied, f"the log has {held[at:][:100]!r} where {line!r} should be:\n{said[-5000:]}"
            lost += len(text.lines) - number
            half, end, _ = held[at : at + len(line)].partition(b"\n")
            if end and half and line.startswith(half):
                at += len(half)
            named = at - begin in in_file or at in in_log
            assert named or at == begin, f"it is not named that the log lacks {line!r} at byte {at}:\n{said[-5000:]}"
            break
        if at > begin and not held.endswith(b"\n", 0, at) and held.startswith(b"\n", at):
            at += 1
    assert at == len(held), f"the log has {held[at:][:100]!r} once more:\n{said[-5000:]}"
    return lost
