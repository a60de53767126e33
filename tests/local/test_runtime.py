"""The runtime of the streaming functions, against a Runtime API that sees each chunk as it is sent."""

import asyncio
import base64
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import ROOT
from local.emulator import free_port
from local.runtime_api import Invocation, InvocationFailed, RuntimeApi
from tests.local.service import eventually
from tests.other_days import clock

WRAPPER = ROOT / "layers" / "common" / "stream-runtime"
PAUSE = 0.2  # seconds between two chunks of a handler
HANDLERS = f"""
import os
import time
from logkeep_runtime import Streamed

closed = 0
kept = []  # what nobody refers to would be closed by Python itself

def told(chunks):
    global closed
    try:
        yield from chunks
    finally:
        closed += 1

def pauses():
    for n in range(4):
        yield b"%d\\n" % n
        time.sleep({PAUSE})

def breaks():
    yield b"so far\\n"
    raise ValueError("it broke\\nin the middle")

def hears():
    for n in range(1000):
        yield b"" if n % 2 else b"."
        time.sleep(0.01)

def waits():
    yield b"."
    for n in range(400):
        yield b""
        time.sleep(0.02)

def large():
    for n in range(40):
        yield bytes(1 << 20)

def handler(event, context):
    kind = event["kind"]
    if kind == "raises":
        raise KeyError("no handler")
    if kind == "dict":
        return {{"statusCode": 200, "body": "plain"}}
    if kind == "context":
        return {{
            "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
            "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(),
            "trace": os.environ["_X_AMZN_TRACE_ID"], "closed": closed,
        }}
    headers = {{"Content-Type": "text/plain", "content-length": "5", "Transfer-Encoding": "chunked"}}
    if kind == "none":
        return Streamed(200, {{"Content-Type": "text/plain", "Content-Length": "0"}}, iter(()))
    if kind == "held":
        return Streamed(304, {{"ETag": "x"}}, iter(()))
    made = {{each.__name__: each for each in (pauses, breaks, hears, waits, large)}} | {{"empty": lambda: iter(())}}
    kept.append(told(made[kind]()))
    return Streamed(201, headers, kept[-1])
"""
PRELUDE = b'{"statusCode": 201, "headers": {"Content-Type": "text/plain"}}' + bytes(8)


class Runtime:
    """The runtime as a process of its own, as the wrapper starts it."""

    def __init__(self, api: RuntimeApi, process: asyncio.subprocess.Process) -> None:
        self.api = api
        self.process = process

    def invoke(self, kind: str) -> Invocation:
        return self.api.invoke({"kind": kind}, 10)

    async def answer(self, kind: str) -> bytes:
        return b"".join([chunk async for chunk in self.invoke(kind).chunks()])


def wrapped(code: Path, address: str, handler: str) -> tuple[list[str], dict[str, str]]:
    """The command and environment of a streaming function."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": address,
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(code),
        "LAMBDA_RUNTIME_DIR": "/nowhere",
        **clock(ROOT / "layers" / "common"),
        "AWS_LAMBDA_FUNCTION_NAME": "Streams",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    }
    return [
        str(ROOT / "layers" / "common" / "stream-runtime"),
        sys.executable,
        "/var/runtime/bootstrap.py",
    ], environment


@asynccontextmanager
async def running(tmp_path: Path, handler: str) -> AsyncIterator[Runtime]:
    (tmp_path / "streaming.py").write_text(HANDLERS)
    api = RuntimeApi("Streams")
    command, environment = wrapped(tmp_path, await api.start(), handler)
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Runtime(api, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        api.stop()


def with_runtime(
    scenario: Callable[[Runtime], Coroutine[Any, Any, None]], tmp_path: Path, handler: str = "streaming.handler"
):
    async def run() -> None:
        async with asyncio.timeout(10), running(tmp_path, handler) as runtime:
            await scenario(runtime)

    asyncio.run(run())


def test_each_chunk_arrives_when_it_is_made_and_behind_the_prelude(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        invocation = runtime.invoke("pauses")
        arrived = [(chunk, time.monotonic()) async for chunk in invocation.chunks()]
        assert [chunk for chunk, _ in arrived] == [PRELUDE, b"0\n", b"1\n", b"2\n", b"3\n"]
        gaps = [after - before for (_, before), (_, after) in pairwise(arrived[1:])]
        assert all(gap > PAUSE / 2 for gap in gaps), gaps
        assert invocation.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert invocation.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        assert invocation.headers["transfer-encoding"] == "chunked"

    with_runtime(scenario, tmp_path)


def test_a_failure_in_mid_stream_is_told_in_the_trailers_and_the_next_invocation_is_served(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        invocation = runtime.invoke("breaks")
        chunks = invocation.chunks()
        assert [await anext(chunks), await anext(chunks)] == [PRELUDE, b"so far\n"]
        declared = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        assert invocation.headers["trailer"] == declared, "a trailer that was not declared may be dropped"
        with pytest.raises(InvocationFailed) as failure:
            await anext(chunks)
        assert failure.value.error["errorType"] == "ValueError"
        assert failure.value.error["errorMessage"] == "it broke\nin the middle"
        assert "in breaks" in "".join(failure.value.error["stackTrace"])
        assert (await runtime.answer("pauses")).startswith(PRELUDE)

    with_runtime(scenario, tmp_path)


def test_a_client_that_leaves_ends_the_generator_and_the_next_invocation_is_served(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        for kind in ("hears", "large"):
            invocation = runtime.invoke(kind)
            async for chunk in invocation.chunks():
                if chunk != PRELUDE:
                    break
            invocation.leave()
        assert json.loads(await runtime.answer("context"))["closed"] == 2
        assert await runtime.answer("pauses") == PRELUDE + b"0\n1\n2\n3\n"

    with_runtime(scenario, tmp_path)


def test_a_generator_is_left_at_an_empty_chunk_too(tmp_path: Path) -> None:
    """It made nothing to be sent, so no write failed."""

    async def scenario(runtime: Runtime) -> None:
        invocation = runtime.invoke("waits")
        async for chunk in invocation.chunks():
            if chunk != PRELUDE:
                break
        left = time.monotonic()
        invocation.leave()
        await runtime.answer("context")
        assert time.monotonic() - left < 4, "it would wait for eight seconds"

    with_runtime(scenario, tmp_path)


def test_an_answer_without_a_byte_has_its_prelude(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        assert await runtime.answer("empty") == PRELUDE

    with_runtime(scenario, tmp_path)


def test_a_client_is_not_left_waiting_for_a_body_that_does_not_come(tmp_path: Path) -> None:
    """Its length says that there is none; after a 304 nobody waits. No byte follows either prelude."""

    async def scenario(runtime: Runtime) -> None:
        head = b'{"statusCode": 200, "headers": {"Content-Type": "text/plain", "Content-Length": "0"}}'
        assert await runtime.answer("none") == head + bytes(8)
        assert await runtime.answer("held") == b'{"statusCode": 304, "headers": {"ETag": "x"}}' + bytes(8)
        assert await runtime.answer("pauses") == PRELUDE + b"0\n1\n2\n3\n"

    with_runtime(scenario, tmp_path)


def test_an_ordinary_answer_is_posted_as_json_and_an_error_as_an_error(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        assert json.loads(await runtime.answer("dict")) == {"statusCode": 200, "body": "plain"}
        with pytest.raises(InvocationFailed, match="KeyError: 'no handler'"):
            await runtime.answer("raises")
        assert runtime.process.stdout
        line = json.loads(await runtime.process.stdout.readline())
        assert (line["level"], line["errorType"]) == ("ERROR", "KeyError"), "one event of the log"
        assert json.loads(await runtime.answer("dict"))

    with_runtime(scenario, tmp_path)


def test_a_handler_knows_its_invocation(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        invocation = runtime.invoke("context")
        (told,) = [json.loads(chunk) async for chunk in invocation.chunks()]
        assert told["id"] == invocation.id
        assert told["arn"].endswith(":function:Streams")
        assert (told["name"], told["memory"]) == ("Streams", 512)
        assert 5000 < told["left"] <= 10_000
        assert told["trace"] == f"Root=1-{invocation.id};Sampled=0"

    with_runtime(scenario, tmp_path)


def test_a_handler_that_cannot_be_loaded_is_an_error_of_the_start(tmp_path: Path) -> None:
    async def scenario(runtime: Runtime) -> None:
        assert await runtime.process.wait() == 1
        assert runtime.api.init_error
        assert runtime.api.init_error["errorType"] == "ModuleNotFoundError"

    with_runtime(scenario, tmp_path, "nothing.handler")


def test_a_runtime_api_that_refuses_ends_the_runtime(tmp_path: Path) -> None:
    """Else it would ask again and again, as fast as it is refused."""
    asked = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def run() -> None:
        (tmp_path / "streaming.py").write_text(HANDLERS)
        async with asyncio.timeout(10), await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            address = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
            command, environment = wrapped(tmp_path, address, "streaming.handler")
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            printed, _ = await process.communicate()
            assert process.returncode == 1
            assert b"answers 500" in printed

    asyncio.run(run())
    assert asked == 1


def emulator_of(root: Path, tmp_path: Path) -> Path:
    """Lambda's Runtime Interface Emulator, out of sam."""
    name = "aws-lambda-rie-" + {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    (found,) = (root / ".venv-sam").glob(f"lib/*/site-packages/samcli/local/rapid/{name}")
    emulator = tmp_path / "rie"
    shutil.copy(found, emulator)
    emulator.chmod(0o755)
    return emulator


def invoke_in_emulator(root: Path, tmp_path: Path, *kinds: str, **environment: str) -> list[bytes]:
    """What Lambda's emulator answers to invocations of those kinds, one after the other."""
    (tmp_path / "streaming.py").write_text(HANDLERS)
    front, api = free_port(), f"127.0.0.1:{free_port()}"
    command, variables = wrapped(tmp_path, api, "streaming.handler")
    command = [
        str(emulator_of(root, tmp_path)), "--log-level", "error",
        "--runtime-interface-emulator-address", f"127.0.0.1:{front}", "--runtime-api-address", api, *command,
    ]  # fmt: skip
    url = f"http://127.0.0.1:{front}/2015-03-31/functions/function/invocations"
    process = subprocess.Popen(command, env=variables | environment, cwd=tmp_path, stdout=subprocess.DEVNULL)  # noqa: S603 - Lambda's emulator
    try:
        assert eventually(lambda: listens(front))
        return [httpx.post(url, json={"kind": kind}, trust_env=False, timeout=10).content for kind in kinds]
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_lambdas_own_emulator_takes_the_framing(root: Path, tmp_path: Path) -> None:
    answers = invoke_in_emulator(root, tmp_path, "pauses", "empty", "dict", "pauses")
    assert answers == [
        PRELUDE + b"0\n1\n2\n3\n",
        PRELUDE,
        b'{"statusCode": 200, "body": "plain"}',
        PRELUDE + b"0\n1\n2\n3\n",
    ]


def test_lambdas_own_emulator_goes_on_behind_failures(root: Path, tmp_path: Path) -> None:
    answers = invoke_in_emulator(root, tmp_path, "breaks", "raises", "pauses")
    assert answers[0] == PRELUDE + b"so far\n"
    assert json.loads(answers[1])["errorType"] == "KeyError"
    assert answers[2] == PRELUDE + b"0\n1\n2\n3\n"


def test_sam_local_is_answered_in_json(root: Path, tmp_path: Path) -> None:
    told_as = {"_HANDLER": "", "AWS_LAMBDA_FUNCTION_HANDLER": "streaming.handler"}
    (answer,) = invoke_in_emulator(root, tmp_path, "pauses", AWS_SAM_LOCAL="true", **told_as)
    told = json.loads(answer)
    assert (told["statusCode"], base64.b64decode(told["body"])) == (201, b"0\n1\n2\n3\n")
