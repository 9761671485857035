"""What can go wrong in the lab, sorted by what the reader has to do about it."""


class LabError(Exception):
    """Something failed; the message is one that a person can act on (it names the log to read, where there is one)."""


class RequirementMissingError(LabError):
    """This machine lacks something the lab needs; the message names it and says what still runs without it."""


class NotAvailableError(LabError):
    """The lab has no hands here: with ``CONTEXTS`` the clusters are the user's own and are not cut, killed or fed."""


class DeadlineError(LabError):
    """A condition did not come true in time; the message says which one, after how long, and which log to read."""
