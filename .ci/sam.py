#!/usr/bin/env python3
"""sam for many commands in a row: `.ci/sam.py ARGUMENTS` is done by `.venv-sam/bin/python .ci/sam.py --serve`.

To load sam takes longer than most functions run. The server has loaded it and forks for each command, which is sam
itself from there on, but for three things: it reads templates by libyaml, builds the image of a layer once and not
again for each function, and does not wait until a container is removed. SAM_SOCKET is where the two meet.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def ask(address: str) -> int:
    """Have a command done, with our files, folder and environment; its exit status. What ends us ends it."""
    told = [str(Path.cwd()), str(len(sys.argv)), *sys.argv, *(f"{name}={value}" for name, value in os.environ.items())]
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"\0"], [0, 1, 2])
        server.sendall("\0".join(told).encode() + b"\0\0")
        pid = int(server.recv(16))
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, lambda number, _: os.kill(pid, number))
        return int(server.recv(16) or b"1")


def serve(address: str) -> None:
    """Do commands until a signal."""
    sam = loaded(Path(address).parent)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        while True:
            client, _ = listening.accept()
            with client:
                if not os.fork():
                    listening.close()
                    os._exit(attend(client, sam))


def loaded(marks: Path) -> Callable[[], Any]:
    """sam's main function, and what it would load when it has read its arguments."""
    import yaml

    yaml.SafeLoader = yaml.CSafeLoader

    import samcli.commands.build.command
    import samcli.commands.local.cli_common.invoke_context
    import samcli.commands.local.invoke.cli
    import samcli.commands.local.start_api.cli  # noqa: F401 - loaded before the forks, for their sake
    from samcli.cli.main import cli
    from samcli.local.docker.container import Container
    from samcli.local.docker.lambda_image import LambdaImage

    build, delete = LambdaImage._build_image, Container.delete

    def build_once(self: Any, base: str, tag: str, *arguments: Any, **named: Any) -> None:
        mark = marks / tag.replace("/", "-")
        if not mark.exists():
            build(self, base, tag, *arguments, **named)
            mark.touch()

    def delete_meanwhile(self: Any) -> None:
        if not os.fork():
            delete(self)
            os._exit(0)

    LambdaImage._build_image, Container.delete = build_once, delete_meanwhile
    return cli


def attend(client: socket.socket, sam: Callable[[], Any]) -> int:
    """Do a client's command in one more process, and tell the client its process id and how it ended."""
    _, files, _, _ = socket.recv_fds(client, 1, 3)
    text = b""
    while not text.endswith(b"\0\0"):
        text += client.recv(1 << 16)
    folder, count, *words = text.decode()[:-2].split("\0")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        client.sendall(str(pid).encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        client.sendall(str(status if status >= 0 else 128 - status).encode())
        return 0
    client.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(word.split("=", 1) for word in words[int(count) :])
    sys.argv = words[: int(count)]
    sys.exit(sam())


if __name__ == "__main__":
    where = os.environ["SAM_SOCKET"]
    sys.exit(serve(where) if sys.argv[1:] == ["--serve"] else ask(where))
