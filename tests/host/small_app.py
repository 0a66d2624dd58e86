"""A web app of a few lines: what the tests of the supervisor run instead of Jupyter.

Its arguments: the socket, the path prefix, and what else it is to do.
"""

import json
import os
import signal
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        facts = {
            "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "cwd": os.getcwd(),
            "umask": os.umask(0o777), "environment": dict(os.environ), "arguments": sys.argv,
            "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
            "no_new_privs": "NoNewPrivs:\t1" in open("/proc/self/status").read(),
            "session": os.getsid(0) == os.getpid(), "path": self.path,
            "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
            "temporary": sorted(os.listdir("/tmp") + os.listdir("/var/tmp")),
        }  # fmt: skip
        os.umask(facts["umask"])
        if "/print/" in self.path:
            print(self.path.rsplit("/", 1)[1], flush=True)
        if "/crash" in self.path:
            os.abort()
        if "/spin" in self.path:
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
        if "/eat/" in self.path:
            bytearray(int(self.path.rsplit("/", 1)[1]) << 20)
        if "/eat-below/" in self.path:
            eating = f"bytearray({self.path.rsplit('/', 1)[1]} << 20)"
            subprocess.run([sys.executable, "-c", eating])
        if "/keep/" in self.path:
            for place in ("/tmp", "/var/tmp", "/dev/shm"):
                open(f"{place}/{self.path.rsplit('/', 1)[1]}", "w").close()
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "peer"


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def double_fork():
    """Leave a process behind that belongs to nobody, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(SLEEPER[0], SLEEPER)
        os._exit(0)
    os.wait()


def main():
    path, _, *rest = sys.argv[1:]
    doing = rest[0] if rest else ""
    if doing == "fail":
        print("a line before", flush=True)
        raise ValueError("no such table: \x1b[31mweather\x1b[0m")
    if doing == "greedy":
        bytearray(1 << 30)
    if doing == "silent":
        time.sleep(600)
    if doing == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(SLEEPER)
        double_fork()
    Server(path, Handler).serve_forever()


main()
