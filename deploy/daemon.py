"""Supervisor that goes on where its logs cannot be written: ``-m deploy.daemon``, with its own options.

By itself it ends when neither a log nor standard error can be written to, as on a full disk, and the
whole site with it; nobody would start it again once there is room.
"""

from supervisor import loggers, supervisord


def main() -> None:
    loggers.Handler.handleError = _lose_the_line
    supervisord.main()


def _lose_the_line(handler: loggers.Handler) -> None:
    """Do nothing: the next line is tried again."""


if __name__ == "__main__":
    main()
