"""Runs a module as a program that ends when its parent does, however that ends: `python leash.py MODULE`."""

import os
import runpy
import signal
import sys
import threading


def _leave_with_parent() -> None:
    # Nothing is ever written: the pipe ends when the parent is gone. Not by sys.stdin, whose lock a thread may not hold
    # while the interpreter ends.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
