"""Run by file name, without the paths where packages of others lie."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Last, so that nothing of ours can stand in for a module of Python's own.
    sys.path.append(str(Path(__file__).parents[2]))

    from compute_agent.runner import namespaces, zygote

    if sys.argv[1:] == ["--try-namespaces"]:
        namespaces.try_out()
    else:
        zygote.main()
