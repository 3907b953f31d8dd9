"""What is raised for a problem that the user can mend."""

import os


class UserError(ValueError):
    """Its message is one line: what is wrong, where, what to do. Commands print it and exit with `status`."""

    status = 1


class TryAgainError(UserError):
    """Nothing is wrong with what was asked for: the same command may do next time."""

    status = os.EX_TEMPFAIL
