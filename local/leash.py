"""`python leash.py MODULE`: runs a module as a program that ends with its parent, however the parent ends."""

import os
import runpy
import signal
import sys
import threading


def _leave_with_parent() -> None:
    # Standard input is a pipe to which nothing is ever written; it ends when the parent is gone. It is not read through
    # sys.stdin, because a thread must not hold the lock of that while the interpreter ends.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
