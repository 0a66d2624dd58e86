"""Doing things at the same time, each on a connection to the database of its own."""

import threading

from django.db import connection


def at_once(*works):
    """Run the works in threads of their own, released together; return what each gave or raised."""
    results, start = [None] * len(works), threading.Barrier(len(works))

    def run(index, work):
        start.wait()
        try:
            results[index] = work()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
