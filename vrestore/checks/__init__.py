"""Checks of finished files: alone, and against the source they were made from."""

from vrestore.checks.examine import verify
from vrestore.checks.verdict import Check, Outcome, Verdict

__all__ = ["Check", "Outcome", "Verdict", "verify"]
