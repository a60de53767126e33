"""`make run`: the whole service on loopback, with sample data, until Ctrl-C."""

import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn

from local import DATA
from local.emulator import Emulator, EmulatorRuns, PortTaken
from local.gateway import Gateway
from local.queues import Queues
from local.sandbox import Sandboxes
from local.template import Template

PORT = 8787
EMULATOR_PORT = 4566


def main() -> None:
    # Raised wherever the program is, so that everything started so far is stopped in order.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: sys.exit(0))
    logging.basicConfig(format="%(message)s")
    logging.getLogger("local").setLevel(logging.INFO)
    port, emulator_port = _port("PORT", PORT), _port("EMULATOR_PORT", EMULATOR_PORT)
    directory = Path(os.environ.get("LOGKEEP_DATA", DATA))
    with ExitStack() as running:
        try:
            listening = running.enter_context(_listen(port))
            _say(f"Starting the AWS emulator on 127.0.0.1:{emulator_port}, data in {directory.name}/")
            emulator = running.enter_context(Emulator(directory, emulator_port))
        except PortTaken as error:
            name = "PORT" if error.port == port else "EMULATOR_PORT"
            sys.exit(f"Port {error.port} is taken. Choose another: {name}={error.port + 1} make run")
        except EmulatorRuns as error:
            sys.exit(f"Another run still holds {directory.name}/: its emulator has pid {error.pid}. End it: kill {error.pid}")
        _serve(running, emulator, listening, directory)
    _say("Stopped")


def _serve(running: ExitStack, emulator: Emulator, listening: socket.socket, directory: Path) -> None:
    template = Template.load()
    environment = emulator.create(template) | {"POWERTOOLS_LOG_LEVEL": os.environ.get("POWERTOOLS_LOG_LEVEL", "WARNING")}
    _say("Writing sample data")
    os.environ |= environment
    from local import sample  # the layer reads the environment

    sample.write_sample()
    host, port = listening.getsockname()
    demo = sample.demo(f"http://{host}:{port}")
    (directory / "demo.json").write_text(json.dumps(demo, indent=2) + "\n")

    sandboxes = Sandboxes(environment)
    running.enter_context(Queues(template, sandboxes, emulator.endpoint))
    running.enter_context(sandboxes)  # left before the queues, whose calls it cuts off
    server = uvicorn.Server(
        uvicorn.Config(
            Gateway(template, sandboxes),
            log_config=None,
            log_level="warning",
            lifespan="off",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    _say(examples(demo))
    _say("Ready")
    server.run(sockets=[listening])
