"""Makes projects, one after another, until its input ends; says of each whether it was acknowledged.

A process of its own: ``AEN_TEST_DATABASE_URL`` names its database.
"""

import sys
import threading


def main() -> None:
    import django
    from django.core.management import call_command
    from django.db import Error, close_old_connections

    django.setup()
    call_command("migrate", verbosity=0)
    from accounts.actions import create_user
    from datacenters.actions import ensure_data_center
    from projects.actions import create_project

    ensure_data_center("north", by=None)
    mira = create_user("mira", by=None)
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    number = 0
    while not ended.is_set():
        name = f"p-{(number := number + 1)}"
        try:
            create_project(mira, name)
        except Error:
            print("refused", name, flush=True)
            close_old_connections()  # as a server does after each request
            ended.wait(0.05)
        else:
            print("made", name, flush=True)


ended = threading.Event()

if __name__ == "__main__":
    main()
