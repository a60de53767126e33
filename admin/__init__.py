"""logkeep-admin: credentials and costs of a deployed or a local service, for who runs it. Never deployed."""


class Refused(Exception):
    """What was asked cannot be done; the message is for the person at the terminal."""
