# mypy: ignore-errors
# ruff: noqa: F821, PTH119
"""Settings of the Jupyter servers that apps run. Read by Jupyter, not by us.

What keeps one person's app from another's (socket, transport, token) is on the command line in
``apps.d``, where a person's own settings cannot change it.
"""

import os

c = get_config()

c.ServerApp.jpserver_extensions = {
    "aen_jupyter": True,
    # Looks for language servers of the machine at every start, and there are none.
    "jupyter_lsp": False,
}
c.ServerApp.open_browser = False
# The gateway passes on the name under which the person sees it.
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = True
# The project's page stops apps, and only it knows of what else would end with them.
c.ServerApp.quit_button = False
c.ServerApp.shutdown_no_activity_timeout = 0

# These would ask hosts on the internet.
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
c.LabApp.news_url = None

# Kernels are those of the project's environments.
c.KernelSpecManager.ensure_native_kernel = False

# The login shell's own files set PATH anew, so the project's environment goes in front after them.
_shell = os.environ.get("SHELL") or "/bin/sh"
_activate = 'PATH="$AEN_PATH:$PATH"; export PATH; exec "$0" -i'
_command = [_shell, "-l"]
if os.path.basename(_shell) in ("bash", "dash", "ksh", "sh", "zsh"):
    _command += ["-c", _activate, _shell]
if os.environ.get("CONDA_PREFIX"):
    # What conda's packages want in the environment of whoever uses them. In a shell that all
    # systems have, before the person's own: each has its own way with patterns that match nothing.
    _scripts = (
        'for file in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do [ -r "$file" ] && . "$file"; '
        'done; exec "$@"'
    )
    _command = ["/bin/sh", "-c", _scripts, "sh", *_command]
c.ServerApp.terminado_settings = {"shell_command": _command}
