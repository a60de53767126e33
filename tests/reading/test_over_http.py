"""Followers over real HTTP: cut anywhere, late, and gone."""

import base64
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from tests.calls import a_build
from tests.conformance.kuscia_messages import QueryLogResponse, parse
from tests.examples import LONG
from tests.local.service import Service, eventually

CUTS: Final = 100 if LONG else 10


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as made:
        yield made


def url(service: Service, log_id: str, streamed: bool = True) -> str:
    demo = service.demo
    return f"{demo['streams' if streamed else 'endpoint']}/v1/{demo['project_id']}/logs/{log_id}"


def append(client: httpx.Client, service: Service, log_id: str, text: bytes, offset: int) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    client.patch(
        url(service, log_id, False), params={"offset": offset}, content=text, headers=headers
    ).raise_for_status()


def seal(client: httpx.Client, service: Service, log_id: str) -> None:
    client.put(url(service, log_id, False)).raise_for_status()


class Reader:
    """A client that keeps what it received, and the cursor behind it."""

    def __init__(self, service: Service, client: httpx.Client, log_id: str) -> None:
        self.text = b""
        self.cursor: str | None = None
        self.is_done = False
        self._client = client
        self._url = url(service, log_id)

    def read(self, bytes_max: float = float("inf"), seconds_max: float = 60) -> None:
        """One connection, which breaks so many bytes or seconds behind its first byte, wherever that is."""
        query = {"follow": "true"} | ({"cursor": self.cursor} if self.cursor else {})
        rest, received, until = b"", 0, float("inf")
        with self._client.stream("GET", self._url, params=query) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_raw():
                until = min(until, time.monotonic() + seconds_max)
                taken = chunk[: int(min(len(chunk), bytes_max - received))]
                received += len(taken)
                *lines, rest = (rest + taken).split(b"\n")
                for line in filter(None, lines):
                    self._take(json.loads(line))
                if received >= bytes_max or time.monotonic() > until:
                    return

    def _take(self, record: dict[str, Any]) -> None:
        assert record["offset"] == len(self.text)
        self.text += record["text"].encode() if "text" in record else base64.b64decode(record.get("data", ""))
        self.cursor = record["cursor"]
        self.is_done = record.get("end", False) and not record["more"]


def write(send: Callable[[bytes, int], None], until: threading.Event, seed: int) -> bytes:
    """Appends of all sizes, cut anywhere, some sent twice; what the log then holds."""
    chance, written = random.Random(seed), b""
    while not until.is_set():
        kinds = (
            f"日志 line {chance.getrandbits(30)}\n".encode() * chance.randrange(1, 20),
            chance.randbytes(chance.randrange(1, 60)),
            b"x" * chance.choice((1, 10, 5_000, 70_000)),
            b"\n\xe2\x80\xa8\n",
        )
        text = chance.choice(kinds)
        text = text[: chance.randrange(1, len(text) + 1)]
        for _ in range(chance.choice((1, 1, 1, 2))):
            send(text, len(written))
        written += text
        time.sleep(chance.uniform(0, 0.1))
    return written


@pytest.mark.soak
def test_a_reader_cut_at_random_again_and_again_has_the_log_byte_for_byte(service, client) -> None:
    log, chance = a_build("cut"), random.Random(11)
    append(client, service, log, b"", 0)
    enough, written = threading.Event(), []
    with service.client() as producer:

        def produce() -> None:
            written.append(write(lambda text, offset: append(producer, service, log, text, offset), enough, 12))
            seal(producer, service, log)

        thread = threading.Thread(target=produce)
        thread.start()
        try:
            reader = Reader(service, client, log)
            for _ in range(CUTS):
                reader.read(
                    chance.choice((chance.randrange(1, 400), chance.randrange(1, 200_000))), chance.uniform(0, 0.1)
                )
            was_cut = len(reader.text)
        finally:
            enough.set()
            thread.join(30)
        while not reader.is_done:
            reader.read()
    assert reader.text == written[0]
    assert was_cut > 10 * CUTS


def test_a_line_is_with_its_follower_within_a_second(service, client) -> None:
    log = a_build("latency")
    append(client, service, log, b"begin\n", 0)
    seen: list[float] = []

    def follow() -> None:
        with service.client() as other, other.stream("GET", url(service, log), params={"follow": "true"}) as answer:
            for line in answer.iter_lines():
                if '"text"' in line:
                    seen.append(time.monotonic())

    thread = threading.Thread(target=follow)
    thread.start()
    assert eventually(lambda: seen, 20)
    delays, offset = [], 6
    for number in range(8):
        sent = time.monotonic()
        append(client, service, log, b"line %d\n" % number, offset)
        offset += 7
        assert eventually(lambda count=number + 2: len(seen) >= count)
        delays.append(seen[-1] - sent)
        time.sleep(0.13 * number)
    seal(client, service, log)
    thread.join(10)
    assert not thread.is_alive()
    assert sorted(delays)[len(delays) // 2] < 1


def test_kuscias_client_sees_a_container_go_on_after_a_restart(service, client) -> None:
    first, second = "task/followed/0/server_main/0", "task/followed/0/server_main/1"
    append(client, service, first, b"one\ntw", 0)

    def produce() -> None:
        append(client, service, first, b"o\n", 6)
        seal(client, service, first)
        append(client, service, second, b"three\n", 0)
        append(client, service, second, b"four", 6)
        seal(client, service, second)

    query = {"task_id": "followed-server", "follow": True}
    headers = {"Token": service.demo["kuscia_token"]}
    logs: list[str] = []
    with (
        service.client(**headers) as other,
        other.stream("POST", f"{service.demo['streams']}/api/v1/log/task/query", json=query) as answer,
    ):
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        for line in filter(None, answer.iter_lines()):
            message = parse(line, QueryLogResponse)
            assert message.status.code == 0
            if not logs:
                threading.Thread(target=produce).start()
            logs.append(message.log)
    assert "\n".join(logs) == "one\ntwo\nthree\nfour"
