"""What is raised for a problem that the user can mend."""


class UserError(ValueError):
    """Its message is one line: what is wrong, where, what to do. Commands print it and exit 1."""
