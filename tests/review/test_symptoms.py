"""What a diagnosis found can be looked at: the frames it names, as pictures."""

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vrestore.cli import app
from vrestore.diagnose import diagnose
from vrestore.errors import InputError, OutputError
from vrestore.review.symptoms import write_symptoms

FRAMES, SIZE = 24, (96, 160)


@pytest.fixture(scope="module")
def flickering(tmp_path_factory):
    """A still scene under a lamp that trembles by 6 per cent; (path, mean of each frame)."""
    rng = np.random.default_rng(5)
    rough = rng.uniform(60, 150, (SIZE[0] // 4, SIZE[1] // 4)).repeat(4, 0).repeat(4, 1)
    scene = (rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 0)) / 3
    gains = 1 + 0.06 * rng.standard_normal(FRAMES)
    path = tmp_path_factory.mktemp("clips") / "lamp.mkv"
    means = []
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = SIZE[1], SIZE[0], "gray"
        for gain in gains:
            plane = (scene * gain).clip(0, 255).astype(np.uint8)
            means.append(plane.mean())
            container.mux(video.encode(av.VideoFrame.from_ndarray(plane, format="gray")))
        container.mux(video.encode(None))
    return path, means


def test_the_frame_that_is_named_is_the_one_that_is_shown(flickering, tmp_path):
    path, means = flickering
    diagnosis = diagnose(str(path))
    written = write_symptoms(diagnosis, tmp_path / "new" / "folder")
    flicker = diagnosis.finding("flicker")
    assert flicker.found
    (picture,) = [one for one in written if one.name.startswith("flicker")]
    pixels = np.asarray(Image.open(picture))
    assert pixels.shape == (*SIZE, 3)
    assert pixels.mean() == pytest.approx(means[flicker.evidence_frames[0]], abs=1.0)


def test_the_command_writes_them_and_says_how_many(flickering, tmp_path):
    result = CliRunner().invoke(
        app, ["probe", str(flickering[0]), "--pictures", str(tmp_path / "seen")]
    )
    assert result.exit_code == 0
    assert f"{len(list((tmp_path / 'seen').glob('*.png')))} picture" in result.stderr


def test_a_folder_that_cannot_be_made_is_an_output_error(flickering, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_symptoms(diagnose(str(flickering[0])), tmp_path / "file" / "folder")


def test_a_source_that_has_gone_is_an_input_error(flickering, tmp_path):
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(flickering[0].read_bytes())
    diagnosis = diagnose(str(copy))
    copy.unlink()
    with pytest.raises(InputError):
        write_symptoms(diagnosis, tmp_path)
