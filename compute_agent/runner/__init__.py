"""The process that keeps one app: it starts it, takes its output, and ends all of it.

It is run as ``python -I -S …/runner/__main__.py DIRECTORY`` and imports nothing beside this
package, so that it stays small, and everything at its beginning, so that an upgrade of the agent
does not touch it. Its one argument is the app's directory; what to run arrives as JSON on standard
input, so that nothing of it shows in a process list:

``argv``, ``env``, ``cwd``, ``umask``, ``grace`` (seconds between TERM and KILL), ``log_bytes``
(size at which the log turns), ``limits`` (name to [soft, hard]), ``joins`` (files of control groups
to join) and, where apps run as their users, ``uid``, ``gid`` and ``groups``. With ``rooms`` the app
gets a view of the machine of its own: see ``namespaces``.

It leaves two files in that directory: ``runner.json`` once it began, ``exit.json`` when no
process is left. It outlives the agent; when it dies itself, the kernel ends the app.
"""
