"""Conda channels made by hand: packages of a few files, and a Python that is this machine's own."""

import bz2
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

#: What packages are built for, in place of a prefix nobody knows yet: 255 characters.
PLACEHOLDER = ("/opt/placehold" * 19)[:255]
SUBDIR = "linux-64" if os.uname().machine == "x86_64" else f"linux-{os.uname().machine}"
_BLOCK = 128 * 1024


def kept(cache, name, fill):
    """Return a channel that ``fill(channel)`` made, kept in ``cache`` for later runs of the tests.

    ``fill`` says false where there can be none; then this returns ``None``.
    """
    sources = [Path(__file__), Path(fill.__code__.co_filename)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
    place = cache / f"channel-{name}-{digest}"
    if not place.exists():
        for old in cache.glob(f"channel-{name}-*"):
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = Path(folder, "channel")
            if not fill(Channel(made)):
                return None
            with contextlib.suppress(OSError):  # another run was faster
                made.rename(place)
    return Channel(place)


class Channel:
    """A directory that conda clients read as ``file://…``; the packages that are added are real."""

    def __init__(self, place: Path):
        self.place = place
        self._records = {SUBDIR: {}, "noarch": {}}
        for subdir in self._records:
            if not (place / subdir).exists():
                (place / subdir).mkdir(parents=True)
                self._write_index(subdir)

    @property
    def url(self):
        return f"file://{self.place}"

    def add(self, name, version, files, *, depends=(), noarch=None, build="0", old=False,
            entry_points=(), modes=None, prefixed=None, links=None):  # fmt: skip
        """Add a package of ``files`` (path → bytes, or a Path to read).

        ``prefixed`` maps paths to ``text`` or ``binary``; they hold ``PLACEHOLDER``. ``old`` makes
        a ``.tar.bz2``.
        """
        subdir = "noarch" if noarch else SUBDIR
        index = {
            "name": name, "version": version, "build": build, "build_number": 0,
            "depends": list(depends), "subdir": subdir, "timestamp": 1_700_000_000_000,
        } | ({"noarch": noarch} if noarch else {})  # fmt: skip
        paths = [
            _path(path, content, (prefixed or {}).get(path)) for path, content in files.items()
        ]
        paths += [{"_path": path, "path_type": "softlink"} for path in links or {}]
        info = {
            "info/index.json": _json(index),
            "info/paths.json": _json({"paths": paths, "paths_version": 1}),
            "info/files": "\n".join(files).encode(),
        }
        if noarch == "python":
            link = {"noarch": {"type": "python", "entry_points": list(entry_points)},
                    "package_metadata_version": 1}  # fmt: skip
            info["info/link.json"] = _json(link)
        file = f"{name}-{version}-{build}" + (".tar.bz2" if old else ".conda")
        make = _tar_bz2 if old else _conda
        data = make(file, info, files, modes or {}, links or {})
        (self.place / subdir / file).write_bytes(data)
        self._records[subdir][file] = index | {
            "md5": hashlib.md5(data).hexdigest(), "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }  # fmt: skip
        self._write_index(subdir)

    def _write_index(self, subdir):
        records = self._records[subdir]
        new = {name: r for name, r in records.items() if name.endswith(".conda")}
        old = {name: r for name, r in records.items() if not name.endswith(".conda")}
        index = {"info": {"subdir": subdir}, "packages": old, "packages.conda": new,
                 "repodata_version": 1}  # fmt: skip
        (self.place / subdir / "repodata.json").write_bytes(_json(index))


def add_python(channel):
    """Add this machine's own Python as a package; return its version, or ``None`` without one.

    It must be one that finds its library by where it lies, as conda's does; Debian's does not.
    """
    base = Path(sys.base_prefix)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = base / f"lib/python{version}"
    if base == Path("/usr") or not (library / "os.py").exists():
        return None
    left_out = {"test", "tests", "site-packages", "__pycache__", "idlelib", "ensurepip",
                "lib2to3", "tkinter", "turtledemo"}  # fmt: skip
    files = {}
    for folder, names, found in os.walk(library):
        names[:] = [n for n in names if n not in left_out and not n.startswith("config-")]
        for file in found:
            path = Path(folder, file)
            files[str(path.relative_to(base))] = path
    for path in base.glob("lib/libpython3*.so*"):
        if not path.is_symlink():
            files[str(path.relative_to(base))] = path
    interpreter = f"bin/python{version}"
    files[interpreter] = _found_from_origin((base / interpreter).read_bytes(), base)
    files["lib/where.txt"] = f"{PLACEHOLDER}/lib".encode()
    channel.add(
        "python", sys.version.split()[0], files, modes={interpreter: 0o755},
        prefixed={"lib/where.txt": "text"},
        links={"bin/python": f"python{version}", "bin/python3": f"python{version}"},
    )  # fmt: skip
    return version


def add_ipykernel(channel, site_packages, version, whole=False):
    """Add what a kernel needs of an environment's packages, or all, as one named ``ipykernel``."""
    files = {}
    heavy = ["__pycache__"]
    if not whole:
        heavy += ["numpy", "pandas", "matplotlib", "PIL", "pillow", "fontTools", "pip", "contourpy",
                  "mpl_toolkits", "kiwisolver", "tests"]  # fmt: skip
    for folder, names, found in os.walk(site_packages):
        names[:] = [name for name in names if name.split(".")[0] not in heavy]
        for file in found:
            path = Path(folder, file)
            inside = path.relative_to(site_packages)
            files[f"lib/python{version}/site-packages/{inside}"] = path
    channel.add("ipykernel", "7.0", files, depends=[f"python {version}.*"])


def _found_from_origin(program, base):
    """Make a program find its libraries beside itself, as conda's programs do."""
    built_in = f"{base}/lib\0".encode()
    own = b"$ORIGIN/../lib\0"
    return program.replace(built_in, own + b"\0" * (len(built_in) - len(own)))


def _path(path, content, mode):
    data = _bytes(content)
    entry = {"_path": path, "path_type": "hardlink", "size_in_bytes": len(data),
             "sha256": hashlib.sha256(data).hexdigest()}  # fmt: skip
    return entry | ({"file_mode": mode, "prefix_placeholder": PLACEHOLDER} if mode else {})


def _bytes(content):
    return content.read_bytes() if isinstance(content, Path) else content


def _json(value):
    return json.dumps(value).encode()


def _tar(files, modes, links=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            data = _bytes(content)
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(data), modes.get(path, 0o644), 1_700_000_000
            entry.uid = entry.gid = 12345
            tar.addfile(entry, io.BytesIO(data))
        for path, target in (links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return buffer.getvalue()


def _conda(file, info, files, modes, links):
    buffer = io.BytesIO()
    stem = file.removesuffix(".conda")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{stem}.tar.zst", _zstd(_tar(files, modes, links)))
        archive.writestr(f"info-{stem}.tar.zst", _zstd(_tar(info, {})))
    return buffer.getvalue()


def _tar_bz2(file, info, files, modes, links):
    return bz2.compress(_tar(info | files, modes, links), 1)


def _zstd(data):
    """Return ``data`` as a Zstandard frame whose blocks are not compressed."""
    frame = bytearray(b"\x28\xb5\x2f\xfd\x00\x38")  # a window of one block, no length
    blocks = [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)] or [b""]
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        frame += (len(block) << 3 | last).to_bytes(3, "little") + block
    return bytes(frame)
