"""Every way in which a request can fail: a status, a code for programs, one line for people."""

from typing import Any, Final

CODES: Final = {
    400: ("bad_host",),
    403: ("cross_site",),
    404: ("not_found",),
    405: ("bad_method",),
    408: ("slow",),
    409: ("id_taken",),
    413: ("too_large",),
    422: ("bad_option", "not_multipart", "bad_form", "no_video_field", "bad_video"),
    429: ("busy",),
    499: ("gone",),
    500: ("fault", "worker_died"),
    503: ("not_ready", "ending"),
    504: ("deadline",),
    507: ("no_room",),
}
"""The codes that come with each status. 499 is only counted: the client has left."""


class RequestError(Exception):
    """Ends a request with an error; ``retry_after`` is in seconds.

    Example:
        >>> RequestError(429, "busy", "two videos are being recognised", retry_after=3).headers
        {'Retry-After': '3'}
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        if code not in CODES[status]:
            raise ValueError(f"status {status} has no code {code!r}")
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    def to_dict(self) -> dict[str, Any]:
        """Give what the client reads."""
        return {"error": {"code": self.code, "message": self.message}}
