"""The command line.

`main.py` has the table of groups and root commands. Each has a folder of its name; only the folder of the command that
runs is imported.

- A group (`session`, `archive`, …): `__init__.py` lists its commands, each of which is a module: `session/create.py`.
- A root command (`serve`, `top`, …): the command is in `command.py`.

Such a module has the same parts in the same order: the types of its own options; `command`, which parses and
validates, and whose docstring is the help; `run`, which does the work; and `render`, which prints. `view.py` in the
folder has the layout of tables and other text for terminals.

`framework/` is what all commands are built from; `reference/` makes completions and manual pages from the tree.
"""
