"""Errors that are the user's to mend: one line that says what was found, where, and what to do."""


class InputError(ValueError):
    """Bad input; the command line prints the message alone and exits with ``exit_status``."""

    exit_status = 2


class ItemError(InputError):
    """Some items (clips, files) failed while the rest was fine."""

    exit_status = 3
