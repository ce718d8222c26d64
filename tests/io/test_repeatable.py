"""Encoders make the same packets of the same frames, whatever memory held before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENCODE = """
import hashlib, sys
import torch
import vrestore
from vrestore.io.unmuxed import open_encoder

source, encoder = sys.argv[1:]
planned = vrestore.plan(
    source, source + ".mkv", preset="plain",
    overrides={"restore.model": "resize", "encode.encoder": encoder, "run.threads": 2},
)
digest = hashlib.sha256()
made, extradata = open_encoder(planned.output)
digest.update(extradata)
with vrestore.Decoder(source) as frames:
    for frame in vrestore.restore_frames(frames, planned):
        for packet in made.push(frame):
            digest.update(bytes(packet))
for packet in made.flush():
    digest.update(bytes(packet))
print(digest.hexdigest())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's MALLOC_PERTURB_")
@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
def test_packets_do_not_depend_on_uninitialised_memory(root, tmp_path, encoder):
    from vrestore.io.testclip import write_test_clip

    source = tmp_path / "clip.mkv"
    write_test_clip(source, 240, 144, 7)  # 15 macroblocks a row
    found = {
        subprocess.run(
            [sys.executable, "-c", ENCODE, str(source), encoder],
            cwd=root, env=os.environ | {"MALLOC_PERTURB_": fill, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=True,
        ).stdout
        for fill in ("0", "1")
    }  # fmt: skip
    assert len(found) == 1
