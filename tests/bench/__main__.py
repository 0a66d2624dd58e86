"""``python -m tests.bench [name …]``: every benchmark, or those named, one after the other."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = {
    "start": "start_time.py",
    "gateway": "gateway_rate.py",
    "haproxy": "gateway_haproxy.py",
    "flood": "gateway_flood.py",
    "revocation": "gateway_revocation.py",
    "soak": "gateway_soak.py",
    "environments": "environments.py",
    "permissions": "permission_pass.py",
    "team": "team_change.py",
    "scale": "node_scale.py",
    "databases": "databases.py",
}
#: Run when named only.
LONG = ("soak",)


def main(names):
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        raise SystemExit(f"No such benchmark: {unknown[0]}. There are: {', '.join(BENCHMARKS)}.")
    for name in names or (one for one in BENCHMARKS if one not in LONG):
        print(f"\n== {name} ==", flush=True)
        subprocess.run([sys.executable, str(HERE / BENCHMARKS[name])], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
