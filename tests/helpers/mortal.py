"""Stores whose process dies at a certain write."""

from skelray.store.store import Store


class Killed(BaseException):
    """What a SIGKILL is to a test in one process: no `except Exception` sees it."""


class Dies:
    """Of a store: its process dies at its write number ``at``, just before or just after it."""

    at, after = 0, False

    def write(self, name, content):
        self.at -= 1
        if self.at == 0 and not self.after:
            raise Killed
        super().write(name, content)
        if self.at == 0:
            raise Killed


class Mortal(Dies, Store):
    def __init__(self, root, at, after):
        super().__init__(root)
        self.at, self.after = at, after
