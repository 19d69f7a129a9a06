"""Errors that are the user's to mend: one line that says what was found, where, and what to do."""


class InputError(ValueError):
    """Bad input; the command line prints the message alone and exits with ``exit_status``."""

    exit_status = 2


class ItemError(InputError):
    """Some items (clips, files) failed while the rest was fine."""

    exit_status = 3


def one_line(error: BaseException) -> str:
    """Flatten an error's message to one line, also when it comes with a worker process's traceback.

    Example:
        >>> one_line(InputError("clip 7:\\n  no frames"))
        'clip 7: no frames'
    """
    text = str(error)
    if "Original Traceback" in text:  # torch wraps what a loader's worker raised
        text = text.strip().rsplit(f"{type(error).__name__}: ", 1)[-1]
    return " ".join(text.split()) or type(error).__name__
