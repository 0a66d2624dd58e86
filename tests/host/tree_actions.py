"""What people and their tools do to the files of a project between two passes.

Each function is run by an ``Acting`` account in its own process, with paths as bytes.
"""

import contextlib
import os
import random
import shutil
import subprocess

_GIT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    **{f"GIT_{who}_{what}": "somebody@here"
       for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}  # fmt: skip


def write(path, mode):
    """Make a file, or write to it: ``mode`` as under a umask of 077, 027 or 022."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    os.write(fd, b"#!/bin/sh\n")
    os.close(fd)


def edit(path):
    """Save as an editor does: a new file beside the old one, of the same mode, then a rename."""
    folder, name = os.path.split(path)
    new = os.path.join(folder, name[:200] + b".swp")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchmod(fd, os.stat(path).st_mode & 0o777)
    os.close(fd)
    os.rename(new, path)


def copy(path, target):
    _run("cp", "-p", "-P", "--", path, target)


def copy_tree(path, target):
    """Copy a folder with all that is in it, its rights kept as far as may be."""
    _run("cp", "-R", "-p", "-P", "--", path, target)


def move(path, target):
    os.rename(path, target)


def link(path, target):
    os.link(path, target, follow_symlinks=False)


def point(path, target):
    os.symlink(path, target)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


def chmod(path, mode):
    if not os.path.islink(path):
        os.chmod(path, mode)


def strip(path):
    """Drop the access lists, as a tool does that knows nothing of them."""
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        with contextlib.suppress(OSError):
            os.removexattr(path, name, follow_symlinks=False)


def grant(path, uid, rights):
    if not os.path.islink(path):
        _run("setfacl", "-m", f"u:{uid}:{rights}", path)


def git(folder):
    """Begin a repository or go on with one, commit, and check a branch out and back."""
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"],
                    ["checkout", "-q", "-b", "other"], ["checkout", "-q", "main"]):  # fmt: skip
        _run("git", "-C", folder, *command)


def _run(*command):
    subprocess.run(command, env=_GIT, cwd="/", capture_output=True, check=False)


def storm(root, uid, seed):
    """Change a tree at random as the account ``uid``, as fast as can be, until this is killed."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    chance = random.Random(seed)
    while True:
        places = _all_below(root)
        for _ in range(50):
            entry, folder = chance.choice(places), chance.choice(places)
            target = os.path.join(folder, chance.choice([b"a", b"b", b"f", b"public"]))
            action = chance.choice([move, move, move, swap, link, edit, write_private, strip])
            with contextlib.suppress(OSError):
                action(entry, target) if action in (move, swap, link) else action(entry)


def swap(path, target):
    """Put a link in the place of an entry, and then the entry back."""
    aside = path + b".aside"
    os.rename(path, aside)
    try:
        os.symlink(os.path.dirname(target), path)
        os.unlink(path)
    finally:
        os.rename(aside, path)


def write_private(path):
    os.chmod(path, 0o700)


def _all_below(root):
    found = [root]
    for folder, folders, files in os.walk(root):
        found += [os.path.join(folder, name) for name in folders + files]
    return found
