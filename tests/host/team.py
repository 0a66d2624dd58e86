"""A project of a team on this machine, what its members may do with it, and its state."""

import contextlib
import hashlib
import os
import pwd
import subprocess

from node_client import as_user

from compute_agent.host import acl
from compute_agent.host.permissions import Override, Rules, secure


class Team:
    """A project directory with its owner Mira, the editor Edda, the viewer Vera; Otto is none."""

    def __init__(self, accounts, place):
        self.mira, self.edda, self.vera, self.otto = accounts
        self.uids = {name: pwd.getpwnam(name).pw_uid for name in
                     (self.mira, self.edda, self.vera, self.otto)}  # fmt: skip
        self.place = place
        self.path = place / "p"
        self.path.mkdir()
        owner = pwd.getpwnam(self.mira)
        os.chown(self.path, owner.pw_uid, owner.pw_gid)
        members = acl.named([(self.uids[self.edda], 7), (self.uids[self.vera], 5)])
        self.rules = Rules(owner.pw_uid, owner.pw_gid, members, frozenset({0}))

    def secure(self, known=None, **changes):
        with self.opened() as fd:
            return secure(fd, self.rules._replace(**changes), known=known)

    @contextlib.contextmanager
    def opened(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def override(self, path, who, rights):
        """Return ``rights`` as ``ls`` shows them, set for ``who`` on ``path``."""
        bits = sum(bit for bit, letter in zip((4, 2, 1), rights, strict=True) if letter != "-")
        number = hashlib.sha256(f"{path} {who}".encode()).hexdigest()[:32]
        return Override(number, str(path), self.uids[who], bits)

    def make(self, name, text="x", owner=None, mode=0o600):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        uid = self.uids[owner or self.mira]
        for made in (path, *path.relative_to(self.path).parents):
            if str(made) != ".":
                os.chown(self.path / made, uid, uid)
        return path

    def may(self, who, do, path):
        return as_user(who, *{
            "read": ["cat", path], "list": ["ls", path], "enter": ["ls", "-d", f"{path}/."],
            "write": ["sh", "-c", 'echo more >> "$1"', "sh", path],
            "make": ["sh", "-c", 'echo new > "$1"', "sh", path], "run": [path],
        }[do])[0] == 0  # fmt: skip


def does(name, function, *arguments):
    """Call a function as an account, in a process of its own; say whether it raised nothing."""
    entry = pwd.getpwnam(name)
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(os.getgrouplist(name, entry.pw_gid))
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
            function(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def getfacl(path):
    done = subprocess.run(
        ["getfacl", "-cp", "-n", path], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def snapshot(path):
    """All that a pass could change, for every entry."""
    found = {}
    for directory, directories, files in os.walk(path):
        for name in [".", *directories, *files]:
            entry = os.path.join(directory, name)
            info = os.lstat(entry)
            attributes = {key: os.getxattr(entry, key, follow_symlinks=False)
                          for key in os.listxattr(entry, follow_symlinks=False)}  # fmt: skip
            found[entry] = (info.st_mode, info.st_uid, info.st_gid, info.st_ctime_ns, attributes)
    return found
