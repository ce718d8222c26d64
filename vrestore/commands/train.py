"""`vrestore train ...`: handed on to the training code, which no other verb loads."""

from __future__ import annotations

from importlib import import_module

import typer

from vrestore.errors import PlanError

__all__ = ["train"]

COMMAND = "vrestore.train.command"
"""The module whose Typer application `app` has the verbs of training."""


def train(context: typer.Context) -> int:
    """Train the networks; `vrestore train --help` lists what it can do."""
    try:
        module = import_module(COMMAND)
    except ModuleNotFoundError as error:
        if error.name is None or not COMMAND.startswith(error.name):
            raise
        raise PlanError("this version has no training code yet") from error
    status = module.app(context.args, prog_name="vrestore train", standalone_mode=False)
    return status if isinstance(status, int) else 0
