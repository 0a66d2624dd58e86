"""The process that keeps one app: it starts it, takes its output, and ends all of it.

All runners are forked from one process, ``python -I -S …/runner/__main__.py --zygote``, which loads
Python and this package once and nothing beside it. So runners share their memory, an upgrade of the
agent does not touch them, and nothing of an app shows in a process list. What to run arrives as JSON
on a pipe of the runner's own:

``argv``, ``env``, ``cwd``, ``umask``, ``grace`` (seconds between TERM and KILL), ``log_bytes``
(size at which the log turns), ``limits`` (name to [soft, hard]), ``joins`` (files of control groups
to join) and, where apps run as their users, ``uid``, ``gid`` and ``groups``. With ``rooms`` the app
gets a view of the machine of its own, whose first process is its runner: see ``namespaces``.

It leaves two files in the app's directory: ``runner.json`` before the app begins, ``exit.json`` when
no process of it is left. It outlives the agent; when it dies itself, the kernel ends the app.
"""
