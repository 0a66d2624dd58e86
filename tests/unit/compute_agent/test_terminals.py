"""The shells that terminals open, as the settings of Jupyter's servers have them."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import compute_agent.jupyter
from compute_agent.environments import activation

SETTINGS = Path(compute_agent.jupyter.__file__).parent / "jupyter_server_config.py"


def shell_command(monkeypatch, **variables):
    """Return the command of a terminal in a server with these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = SimpleNamespace(ServerApp=SimpleNamespace(), LabApp=SimpleNamespace(),
                             KernelSpecManager=SimpleNamespace())  # fmt: skip
    exec(compile(SETTINGS.read_text(), SETTINGS, "exec"), {"get_config": lambda: config})
    return config.ServerApp.terminado_settings["shell_command"]


def typed(command, text, home):
    """Return what a terminal answers to ``text``."""
    environment = os.environ | {"HOME": str(home), "HISTFILE": ""}
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    return done.stdout


def test_a_terminal_has_the_environment_in_front_and_what_its_packages_want(tmp_path, monkeypatch):
    scripts = tmp_path / "etc/conda/activate.d"
    scripts.mkdir(parents=True)
    (scripts / "a.sh").write_text('export LIVELY_HOME="$CONDA_PREFIX/here"\n')
    (scripts / "b.sh").write_text("export OTHER=yes\n")
    command = shell_command(
        monkeypatch, SHELL="/bin/bash", AEN_PATH="/env/bin", CONDA_PREFIX=str(tmp_path)
    )
    said = typed(command, 'echo "$LIVELY_HOME $OTHER ${PATH%%:*}"\n', tmp_path)
    assert said == f"{tmp_path}/here yes /env/bin\n"


def test_without_conda_packages_or_scripts_a_terminal_is_a_login_shell(tmp_path, monkeypatch):
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    plain = shell_command(monkeypatch, SHELL="/bin/bash", AEN_PATH="/env/bin")
    assert plain[:2] == ["/bin/bash", "-l"]
    empty = shell_command(monkeypatch, CONDA_PREFIX=str(tmp_path))
    for command in (plain, empty):
        assert typed(command, 'echo "${PATH%%:*}"\n', tmp_path) == "/env/bin\n"


def test_the_settings_run_scripts_as_kernels_do():
    """They lie where AEN cannot be imported, so the line stands there a second time."""
    assert activation.SCRIPT.split("; ")[0] in SETTINGS.read_text()
