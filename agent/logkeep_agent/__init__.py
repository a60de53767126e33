"""The agent of Logkeep: ships files that grow, with nothing but Python's standard library."""


class Refused(Exception):
    """It cannot go on, and the message tells a person why."""
