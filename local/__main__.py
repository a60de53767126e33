"""`make run`: the whole service on loopback, with sample data, until Ctrl-C."""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn

from local import data_directory
from local.emulator import Emulator, EmulatorRuns, PortTaken, leave_account, values_of
from local.function_log import FunctionLog
from local.function_urls import RATE, FunctionUrls, Server
from local.gateway import Gateway
from local.invocations import Invocations
from local.sample import demo, write_sample
from local.sandbox import Sandboxes
from local.schedules import Schedules
from local.template import Template
from logkeep.aws import clients
from logkeep.errors import WrongFormat
from logkeep.logs.format_store import check_format

PORT = 8787
EMULATOR_PORT = 4566


def main() -> None:
    # Exit by an exception, so that everything that was started is stopped in order.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: sys.exit(0))
    leave_account()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("local").setLevel(logging.INFO)
    port, emulator_port = _port("PORT", PORT), _port("EMULATOR_PORT", EMULATOR_PORT)
    directory = data_directory()
    with ExitStack() as running:
        try:
            listening = running.enter_context(listen(port))
            streaming = running.enter_context(listen(port + 1))
            ordering = running.enter_context(listen(port + 2))
            _say(f"Starting the AWS emulator on 127.0.0.1:{emulator_port}")
            emulator = running.enter_context(Emulator(directory, emulator_port))
        except PortTaken as error:
            name = "EMULATOR_PORT" if error.port == emulator_port else "PORT"
            sys.exit(f"Port {error.port} is taken. Choose another: {name}={error.port + 1} make run")
        except EmulatorRuns as error:
            sys.exit(
                f"Another make run, or an emulator that it left running, uses {directory} (pid {error.pid}). "
                f"Stop it, or end it with: kill {error.pid}"
            )
        try:
            _serve(running, emulator, (listening, streaming, ordering), directory)
        finally:
            running.close()
            _say("Stopped")


def _serve(
    running: ExitStack, emulator: Emulator, sockets: tuple[socket.socket, socket.socket, socket.socket], directory: Path
) -> None:
    """Serve the API on the first socket, the function URLs on the second and Invoke on the third, until a signal."""
    template = Template.load(overrides=os.environ.get("LOGKEEP_PARAMETERS", ""))
    endpoint, streams, functions = ("http://{}:{}".format(*each.getsockname()) for each in sockets)
    environment = os.environ | emulator.create(template) | {"AWS_ENDPOINT_URL_LAMBDA": functions}
    os.environ |= environment
    try:
        check_format(clients.dynamodb(), os.environ["LOGS_TABLE"])
    except WrongFormat as error:
        sys.exit(f"{error}. To begin anew, stop everything and delete {directory}")
    _say("Writing sample data")
    write_sample(values_of(template, emulator.endpoint)["CredentialsKey"])
    values = demo(endpoint) | {"emulator": emulator.endpoint, "streams": streams}
    written = directory / "demo.json.new"
    written.write_text(json.dumps(values, indent=2) + "\n")
    written.replace(directory / "demo.json")  # which someone may read at this moment

    sandboxes = Sandboxes(environment, FunctionLog(directory))
    running.enter_context(Invocations(template, sandboxes, emulator, sockets[2]))
    running.enter_context(Schedules(template, sandboxes))
    running.enter_context(Server(FunctionUrls(template, sandboxes, _stream_rate()), sockets[1]))
    running.enter_context(sandboxes)  # closed before invocations and schedules, so that their calls end
    config = uvicorn.Config(
        Gateway(template, sandboxes),
        log_config=None,
        log_level="warning",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # what a client says in X-Forwarded-For is not its address
        timeout_graceful_shutdown=2,
        timeout_keep_alive=60,  # seconds, as an HTTP API
    )
    _say(_examples(values))
    if seed := os.environ.get("FAULTS"):
        _say(f"Requests to AWS meet faults. FAULTS={seed} gives the same ones, functions.log in {directory} names them")
    _say("Ready")
    server = uvicorn.Server(config)
    ended = threading.Event()
    threading.Thread(target=_end_with, args=(emulator, server, ended), daemon=True).start()
    server.run(sockets=[sockets[0]])
    if ended.is_set():
        sys.exit(f"The AWS emulator has ended. Its output is in {directory / 'emulator.log'}")


def _end_with(emulator: Emulator, server: uvicorn.Server, ended: threading.Event) -> None:
    """End the server when the emulator ends by itself."""
    if emulator.wait():
        ended.set()
        server.should_exit = True


def listen(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1. Raises PortTaken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError:
        listening.close()
        raise PortTaken(port) from None
    listening.listen(128)
    return listening


def _examples(values: Mapping[str, Any]) -> str:
    """A shell command for each of the five APIs."""
    url, project = values["endpoint"], values["project_id"]
    get = f"curl -sSL --compressed -H 'X-Auth-Token: {values['token']}'"
    post = f"curl -sS -H 'Token: {values['kuscia_token']}' -H 'Content-Type: application/json'"
    task = json.dumps({"task_id": values["task_id"], "container": values["container"]})
    cluster = f"/v1.0/{project}/clusters/{values['cluster_id']}/logs/records"
    return f"""
Kuscia task log
  {post} -d '{task}' {url}/api/v1/log/task/query
Service events
  {get} '{url}/v1/{project}/services/{values["service_id"]}/events?limit=5'
Build log
  {get} '{url}/v1/log/{values["record_id"]}/task-log?task_name={values["task_name"]}'
Check logs
  {get} -o check-logs.zip '{url}/v1/log-file?sub_job_id={",".join(values["sub_job_ids"])}'
Backup records
  {get} '{url}{cluster}?limit=5'
Streaming, on a port of its own
  curl -N{post.removeprefix("curl")} -d '{task}' {values["streams"]}/api/v1/log/task/query
"""


def _port(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or not 0 < int(value) < (1 << 16) - 2:  # streams and Invoke are on the next two
        sys.exit(f"{name}={value} is not a port")
    return int(value)


def _stream_rate() -> float:
    """Bytes per second of a stream after its first 6 MB."""
    value = os.environ.get("STREAM_RATE", "")
    if value and not value.isdecimal():
        sys.exit(f"STREAM_RATE={value} is no number of bytes per second")
    return float(value or RATE)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
