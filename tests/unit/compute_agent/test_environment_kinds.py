"""What an environment is, from what lies in it; and the kernels that follow."""

import subprocess
import sys

import pytest

from compute_agent import jupyter
from compute_agent.environments import listing
from compute_agent.envtool import kinds
from compute_agent.envtool.conda import read_file
from compute_agent.host.directories import opened
from compute_agent.host.errors import HostError


@pytest.fixture
def project(tmp_path):
    """A function that makes environments of files, and the open project."""

    def make(name, **files):
        for path, text in files.items():
            place = tmp_path / "envs" / name / path.replace("__", "/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    with opened(tmp_path) as fd:
        yield make, fd


META = "conda-meta/python-3.12.4-h1_0.json"


def conda(*records):
    return {f"conda-meta/{record}.json": "{}" for record in records}


def test_a_venv_is_known_by_its_file(project):
    make, fd = project
    make("a", **{"pyvenv.cfg": "home = /usr/bin\nversion_info = 3.11.7\n"})
    make("b", **{"pyvenv.cfg": "version = 3.12.1\n"})
    assert listing.kind(fd, "a") == kinds.Kind("uv", "3.11")
    assert listing.kind(fd, "b") == kinds.Kind("uv", "3.12")


def test_conda_packages_are_known_by_their_records(project):
    make, fd = project
    make("c", **conda("python-3.12.4-h1_0", "python-dateutil-2.9-py_0", "r-base-4.4.1-0"))
    assert listing.kind(fd, "c") == kinds.Kind("conda", "3.12", "4.4", False)


def test_each_language_of_an_environment_is_a_kernel(project):
    make, fd = project
    make("both", **conda("python-3.12.4-0", "r-base-4.4.1-0", "r-irkernel-1.3.2-0"))
    make("stats", **conda("r-base-4.4.1-0", "r-irkernel-1.3.2-0"))
    make("noR", **conda("r-base-4.4.1-0"))
    make("venv", **{"pyvenv.cfg": "version = 3.11.7"})
    names = {kernel.name: (kernel.environment, kernel.language) for kernel in listing.kernels(fd)}
    assert names == {
        "both": ("both", "python"),
        "both-r": ("both", "R"),
        "stats": ("stats", "R"),
        "venv": ("venv", "python"),
    }


def test_what_is_no_environment_is_said_and_left_out(project, tmp_path):
    make, fd = project
    make("odd", **{"readme": "text"})
    (tmp_path / "envs/link").symlink_to("/etc")
    make(".default.12345678", **conda("python-3.12.4-0"))
    assert listing.kernels(fd) == []
    with pytest.raises(HostError, match="envs/link in the project is not an environment"):
        listing.kind(fd, "link")
    assert listing.kind(fd, "missing") is None


def test_an_r_kernel_starts_from_its_environment_with_what_its_packages_want():
    kernel = listing.Kernel("stats", "stats", "R", "4.4", True)
    described = jupyter.kernel(kernel, "/p/envs/stats", {"CONDA_PREFIX": "/p/envs/stats"})
    assert described["display_name"] == "stats (R 4.4)"
    assert described["language"] == "R"
    assert described["argv"][:2] == ["/bin/sh", "-c"]
    assert described["argv"][4:] == [
        "/p/envs/stats/bin/R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}",
    ]  # fmt: skip


def test_a_file_of_packages_is_exact_or_of_specs():
    exact = "# made by\n@EXPLICIT\nhttps://c/noarch/a-1-0.conda#abc\n# pip x==1\n"
    assert read_file(exact).explicit == ("https://c/noarch/a-1-0.conda#abc",)
    assert read_file("python 3.12.*\n\n# no\nnumpy\n").specs == ("python 3.12.*", "numpy")


def test_the_agent_does_not_load_what_conda_packages_need():
    program = "import sys, compute_agent.__main__; print('rattler' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr
