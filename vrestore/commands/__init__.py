"""The verbs of the command line: one module per group, all wired in `vrestore.cli`.

Modules that load torch or FFmpeg are imported inside the commands, so that help and shell
completion answer at once.
"""

__all__: list[str] = []
