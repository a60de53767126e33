"""Producers of logs and events, as the processes of tests/soak run them; they call the functions as Lambda does."""

import gzip
import random
import time
from typing import Any

import functions.append_log.app
import functions.put_service_events.app  # noqa: F401 - so that a process begins with both
from tests.calls import Answer, append, put_events
from tests.soak.known import batch, known
from tests.soak.processes import Tell

_PIECES = [1, 80, 3_000, 20_000, 120_000]
_BACK = [0, 0, 1, 700, 50_000]


def produce(tell: Tell, seed: int, cut: int, log_id: str, service: str, offset: int, batches: int) -> None:
    """Send what is missing of the known text and events, in pieces that `cut` decides.

    `offset` and `batches` say how far a predecessor was answered: the producer asks where the log ends, begins
    somewhere before, or too late.
    """
    text, chance = known(seed), random.Random(cut)
    start = chance.choice(["ask", "earlier", "earlier", "too late"])
    position = max(0, offset - chance.choice(_BACK))
    if start == "ask":
        position = _end(_settled(lambda: append(log_id, b"", 0)))
    elif start == "too late":
        position = min(len(text.text) - 1, offset + chance.choice(_BACK))
    number = max(0, batches - chance.choice([0, 1, 5]))
    while position < len(text.text) or number < len(text.batches):
        if number < len(text.batches) and (position == len(text.text) or chance.random() < 0.3):
            send = text.batches[number]
            answer = _settled(lambda send=send, number=number: put_events(send, service, f"{seed} {number}"))
            assert answer.status == 200, answer
            number += 1
            tell("batches", number)
            tell("events again", answer.json["duplicates"])
        else:
            piece = text.text[position : position + chance.choice(_PIECES)]
            position = _append(tell, log_id, piece, position, packed=chance.random() < 0.3)
            tell("offset", position)


def write_at_end(tell: Tell, writer: int, log_id: str, appends: int) -> None:
    """Append numbered lines to the end; an append is answered before the next begins."""
    for number in range(appends):
        body = b"".join(b"writer %d append %d line %d\n" % (writer, number, n) for n in range(300 if number % 4 else 1))
        answer = _settled(lambda body=body: append(log_id, body, None))
        assert answer.status == 202, answer
        tell("bytes", len(body))


def bid(tell: Tell, writer: int, log_id: str, bids: int) -> None:
    """Append bodies of one's own at the log's end by its offset; who is late tries again behind the winner."""
    won = end = 0
    while won < bids:
        body = b"writer %d bid %d\n" % (writer, won) * (1 if won % 3 else 500)
        answer = _settled(lambda body=body, end=end: append(log_id, body, end))
        if answer.status == 202:
            won += 1
            end = _end(answer)
            continue
        assert answer.status == 409, answer
        tell("lost", 1)
        end = _end(_settled(lambda: append(log_id, b"", 0)))


def put_batches(tell: Tell, writer: int, service: str, batches: int) -> None:
    """Put batches that every writer of the same number puts too."""
    chance = random.Random(writer)
    for number in range(batches):
        label = f"{writer} {number}"
        sent = batch(chance, label)
        answer = _settled(lambda sent=sent, label=label: put_events(sent, service, label))
        assert answer.status == 200, answer
        written = answer.json
        assert written["accepted"] + written["duplicates"] == len(sent)
        tell("accepted", written["accepted"])


def _append(tell: Tell, log_id: str, piece: bytes, offset: int, *, packed: bool) -> int:
    """Send a piece; where the next one begins."""
    body = gzip.compress(piece, 1) if packed else piece
    headers = {"content-encoding": "gzip"} if packed else {}
    answer = _settled(lambda: append(log_id, body, offset, headers))
    if answer.status == 416:
        tell("gaps", 1)
        end = _end(answer)
        assert end < offset
        return end
    assert answer.status in {200, 202}, answer
    assert _end(answer) >= offset + len(piece), answer
    tell("bytes", len(piece))
    tell("replays", int(answer.status == 200))
    return offset + len(piece)


def _settled(call: Any) -> Answer:
    """The first answer that does not ask to come again."""
    for _ in range(20):
        answer: Answer = call()
        if answer.status not in {429, 503}:
            return answer
        time.sleep(random.uniform(0, float(answer.headers["Retry-After"])))
    raise AssertionError(answer)


def _end(answer: Answer) -> int:
    assert "Range" in answer.headers, answer
    return int(answer.headers["Range"].removeprefix("bytes=0-"))
