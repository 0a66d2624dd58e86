"""What an action raises when it will not do what was asked.

Pages show ``detail`` where the person is looking; the REST API answers with ``code`` and ``detail``.
"""


class ActionError(Exception):
    """Base of all refusals. ``detail`` is one sentence for the person, naming the mend."""

    status = 400
    code = "refused"

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Invalid(ActionError):
    """Bad input in ``field``."""

    status = 422
    code = "invalid"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail, field)


class Forbidden(ActionError):
    """The person sees it but may not do this."""

    status = 403
    code = "forbidden"


class NotThere(ActionError):
    """What was named is not there, as the one who knows said."""

    status = 404
    code = "not_found"


class Conflict(ActionError):
    """It clashes with what is there already."""

    status = 409
    code = "conflict"


class Unavailable(ActionError):
    """What has to answer is known to be away."""

    status = 503
    code = "unavailable"


class NoAnswer(ActionError):
    """What has to answer did not, in time."""

    status = 504
    code = "no_answer"
