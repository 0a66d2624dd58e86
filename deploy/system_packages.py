"""Programs that the tests need from the system's packages: ``-m deploy.system_packages``.

Installs what is missing where it may (root, apt-get); otherwise says what will be skipped.
"""

import os
import shutil
import subprocess

from deploy.say import step

#: Program to Debian package, and what is skipped without it.
NEEDED = {
    "sudo": ("sudo", "tests of the shipped rule for sudo"),
    "setfacl": ("acl", "tests that compare with setfacl"),
    "nft": ("nftables", "tests of apps that know a port only"),
    # The server itself lies outside PATH.
    "pg_createcluster": ("postgresql", "tests on PostgreSQL"),
    "certutil": ("libnss3-tools", "tests in a browser by https"),
    "chromium": ("chromium", "tests in a browser"),
}


def main() -> None:
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if not missing:
        return
    packages = [NEEDED[program][0] for program in missing]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        step("System", f"installing {', '.join(packages)} with apt-get; this can take minutes")
        install(packages)
    for program in missing:
        if shutil.which(program) is None:
            package, skipped = NEEDED[program]
            step("System", f"no {program} here (package {package}): {skipped} are skipped")


def install(packages: list[str]) -> None:
    """Install Debian packages; a failure is told, and the tests that need them are skipped."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        command = ["apt-get", "-qq", *arguments]
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
            step("System", f"apt-get {arguments[0]} failed: {last[0]}")


if __name__ == "__main__":
    main()
