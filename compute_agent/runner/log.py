"""The app's output on disk."""

import os


class Log:
    """Two files that turn, so that they stay at about twice ``limit`` bytes."""

    def __init__(self, directory: int, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._open()

    def write(self, data: bytes) -> None:
        try:
            if self._size and self._size + len(data) > self._limit:
                self._turn()
            self._size += os.write(self._fd, data)
        except OSError:  # a full disk costs the app its log, not its life
            return

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._fd = os.open("log", flags, 0o600, dir_fd=self._directory)
        self._size = os.fstat(self._fd).st_size

    def _turn(self) -> None:
        try:
            place = {"src_dir_fd": self._directory, "dst_dir_fd": self._directory}
            os.rename("log", "log.1", **place)
        except FileNotFoundError:
            pass  # turned before, when there was no room for a new one
        old = self._fd
        self._open()
        os.close(old)
