"""logkeep-admin: credentials and costs of a service, on AWS or local, for those who operate it. Never deployed."""


class Refused(Exception):
    """The command cannot be carried out; the message is for the person at the terminal."""
