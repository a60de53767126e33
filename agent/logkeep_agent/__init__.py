"""Logkeep's agent: ships growing files. It needs only Python's standard library."""


class Refused(Exception):
    """The agent cannot continue; the message is for the person who runs it."""
