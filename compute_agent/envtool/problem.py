"""What people are told when something can't be done."""


class Problem(Exception):
    """``cause`` says why, ``mend`` what would help; both are sentences."""

    def __init__(self, cause: str, mend: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.mend = mend
