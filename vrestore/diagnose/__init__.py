"""What is wrong with a source, what each shot of it needs, and which preset suits it.

source   windows spread over a file, or all of it
reading  up to 48 frames of one shot as numbers
judge    numbers to findings; suggest: findings to a preset
tuning   numbers to a shot's own values of preset keys
"""

from vrestore.diagnose.source import diagnose, marked_frames
from vrestore.diagnose.text import as_json, as_text
from vrestore.diagnose.tuning import TuneShots, ceilings, measure_shots
from vrestore.diagnose.values import Diagnosis, Finding, Reading, Severity, Suggestion

__all__ = [
    "Diagnosis",
    "Finding",
    "Reading",
    "Severity",
    "Suggestion",
    "TuneShots",
    "as_json",
    "as_text",
    "ceilings",
    "diagnose",
    "marked_frames",
    "measure_shots",
]
