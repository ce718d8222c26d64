"""Pages: nothing escapes from its text, nothing is fetched, colours are what they say."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Timestamp,
    Transfer,
)
from vrestore.review.page.album import DETAIL_EDGE, WHOLE_EDGE, Album, mask_picture
from vrestore.review.page.document import DATA_ID, document, facts, section, table
from vrestore.review.page.markup import Html, element, script_json
from vrestore.review.page.plot import Plot, clock
from vrestore.review.page.viewer import Instant, Version, Viewer
from vrestore.review.screen import how_shown, resolved, shown, upright

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028\x00\udc80"


class Reader(HTMLParser):
    """Every tag with its attributes, and the text of every element."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text.setdefault(self._open[-1] if self._open else "", []).append(data)


# --------------------------------------------------------------------------------------- markup


@given(text=st.text(), value=st.text())
def test_any_text_is_read_back_as_text_and_makes_no_element(text: str, value: str):
    reader = Reader(element("b", text, title=value))
    (tag,) = reader.tags
    assert tag[0] == "b"

    def kept(words: str) -> str:
        words = words.encode("utf-8", "replace").decode()
        return "".join(c if c in "\t\n" or ord(c) >= 32 else "\ufffd" for c in words)

    assert "".join(reader.text.get("b", [])) == kept(text)
    assert tag[1]["title"] == kept(value)


@given(value=st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8,
))  # fmt: skip
def test_data_in_a_page_are_read_back_and_cannot_end_their_element(value: object):
    reader = Reader(script_json({"value": value}, "data"))
    assert [tag for tag, _ in reader.tags] == ["script"]
    read = json.loads("".join(reader.text["script"]))["value"]
    sound = json.loads(json.dumps(value).encode("utf-8", "replace"))
    assert read == sound or "\\ud" in json.dumps(value)


def test_markup_is_kept_and_attributes_say_yes_no_or_a_value():
    made = element("p", Html("<b>x</b>"), None, 3, hidden=True, lang=None, id=False, data_a_b="1")
    assert made == '<p hidden data-a-b="1"><b>x</b>3</p>'
    assert element("img", src="data:,", alt="") == '<img src="data:," alt=""/>'


# ------------------------------------------------------------------------------------- document


@pytest.fixture(scope="module")
def page() -> str:
    body = (
        section("one", HOSTILE, facts([(HOSTILE, HOSTILE), ("nothing", None)])),
        table(["a", HOSTILE], [(HOSTILE, HOSTILE)], caption=HOSTILE),
    )
    return document(HOSTILE, body, data={"plots": {}, "name": HOSTILE}, scripts=("plots.js",))


def test_a_hostile_name_stays_a_name(page):
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags].count("script") == 2
    assert "img" not in dict(reader.tags)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert "alert(1)" in "".join(reader.text["title"])


def test_a_page_refers_to_nothing_outside_itself(page):
    reader = Reader(page)
    addresses = [
        value or ""
        for _, attributes in reader.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "poster", "srcset")
    ]
    assert all(value.startswith(("data:", "#")) for value in addresses)
    styles = "".join(reader.text["style"])
    assert "url(" not in styles and "@import" not in styles


def test_the_policy_allows_just_this_script_and_this_style(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for kind, text in (
        ("script", page.rpartition("<script>")[2].partition("</script>")[0]),
        ("style", page.partition("<style>")[2].partition("</style>")[0]),
    ):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_data_of_a_page_are_found_by_their_name(page):
    (data,) = re.findall(rf'<script type="application/json" id="{DATA_ID}">(.*?)</script>', page)
    assert json.loads(data)["plots"] == {}


# ----------------------------------------------------------------------------------------- plot


@given(
    values=st.lists(
        st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]), max_size=40
    )
)
def test_every_curve_lies_inside_its_frame_and_gaps_stay_gaps(values):
    plot = Plot(title="t", x=[float(n) for n in range(len(values))], series={"a": values})
    html = plot.html("k")
    points = [
        tuple(map(float, pair.split(",")))
        for piece in re.findall(r'polyline points="([^"]*)"', html)
        for pair in piece.split()
    ]
    assert all(0 <= x <= 1002 and -0.01 <= y <= 100.01 for x, y in points)
    known = [value is not None and math.isfinite(value) for value in values]
    pieces = sum(now and not before for before, now in zip([False, *known], known, strict=False))
    assert html.count("<polyline") == pieces
    assert plot.data["series"][0]["values"].count(None) == len(values) - sum(known)


def test_a_single_spike_in_a_long_curve_is_still_drawn():
    values = [1.0] * 20_000
    values[12_345] = 9.0
    html = Plot(title="t", x=[n / 25 for n in range(20_000)], series={"a": values}).html("k")
    (points,) = re.findall(r'points="([^"]*)"', html)
    heights = [float(pair.split(",")[1]) for pair in points.split()]
    assert len(heights) <= 1000
    assert min(heights) < 15


def test_the_axis_has_round_numbers_around_the_values():
    html = Plot(title="t", x=[0, 1], series={"a": [38.6, 41.2]}).html("k")
    levels = html.partition('class="levels"')[2].partition("</div>")[0]
    assert re.findall(r"<span>([^<]*)</span>", levels) == ["42", "41", "40", "39", "38"]


def test_curves_of_another_length_than_their_axis_are_refused():
    with pytest.raises(ValueError, match="a has 1 values for 2 places"):
        Plot(title="t", x=[0, 1], series={"a": [1.0]})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.00"),
        (1.2, "0:01.20"),
        (59.996, "1:00.00"),
        (3725.5, "1:02:05.50"),
        (-1, "-0:01.00"),
    ],
)
def test_times_are_written_as_people_read_them(seconds, text):
    assert clock(seconds) == text


# ---------------------------------------------------------------------------------------- album


def decoded(src: str) -> np.ndarray:
    data = base64.b64decode(src.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_with_room_is_stored_exactly():
    pixels = noise(120, 80)
    picture = Album(10**6, 1).add(pixels)
    assert picture.stored == "lossless"
    assert np.array_equal(decoded(picture.src), pixels)


def test_pictures_never_take_more_than_their_budget_and_leave_what_they_save():
    plain = np.zeros((80, 120, 3), np.uint8)
    album = Album(60_000, 2)
    small, large = album.add(plain), album.add(noise(120, 80))
    assert small.stored == large.stored == "lossless"
    tight = Album(24_000, 2)
    sizes = [len(tight.add(noise(160, 120)).src) for _ in range(2)]
    assert sum(sizes) <= 24_000


def test_a_large_picture_is_shown_smaller_with_an_exact_detail_where_it_matters():
    pixels = noise(2400, 600)
    picture = Album(40 * 2**20, 1).add(pixels, focus=(0.75, 0.5))
    assert (picture.width, picture.height) == (2400, 600)
    assert max(decoded(picture.src).shape) == WHOLE_EDGE
    part = picture.detail
    assert part is not None and part.width == DETAIL_EDGE
    assert part.x <= 1800 <= part.x + part.width
    cut = pixels[part.y : part.y + part.height, part.x : part.x + part.width]
    assert np.array_equal(decoded(part.src), cut)


def test_a_mask_covers_what_was_damaged_and_nothing_else():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:35] = True
    data = base64.b64decode(mask_picture(mask).partition("base64,")[2])
    alpha = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3]
    assert np.array_equal(alpha > 0, mask)


# --------------------------------------------------------------------------------------- screen


def frame(planes: list[int], color: ColorSpec, depth: int = 8, model=ColorModel.YCBCR) -> Frame:
    form = SampleFormat(model=model, depth=depth)
    dtype = form.code_dtype
    return resolved(
        Frame(
            planes=tuple(torch.full((16, 16), code).to(dtype) for code in planes),
            format=form,
            coding=Coding.CODE,
            color=color,
            timestamp=Timestamp(pts=0, time_base=1),
            duration=1,
            index=0,
        )
    )


def spec(matrix=Matrix.BT709, transfer=Transfer.BT709, primaries=Primaries.BT709, full=False):
    return ColorSpec(
        matrix=matrix,
        transfer=transfer,
        primaries=primaries,
        range=Range.FULL if full else Range.LIMITED,
    )


# Yellow and blue of 75 % colour bars, as the standards have them, and white and black.
@pytest.mark.parametrize(
    ("codes", "color", "depth", "rgb"),
    [
        ([168, 44, 136], spec(), 8, (191, 191, 0)),
        ([28, 212, 120], spec(), 8, (0, 0, 191)),
        ([674, 176, 543], spec(), 10, (191, 191, 0)),
        ([162, 44, 142], spec(Matrix.SMPTE170M), 8, (191, 191, 0)),
        ([35, 212, 114], spec(Matrix.SMPTE170M), 8, (0, 0, 191)),
        ([169, 32, 143], spec(Matrix.SMPTE170M, full=True), 8, (191, 191, 0)),
        ([235, 128, 128], spec(), 8, (255, 255, 255)),
        ([16, 128, 128], spec(), 8, (0, 0, 0)),
    ],
)
def test_bars_have_their_colours_in_every_matrix_range_and_depth(codes, color, depth, rgb):
    assert shown(frame(codes, color, depth))[0, 0].tolist() == pytest.approx(rgb, abs=2)


def test_wider_primaries_are_brought_to_the_screens():
    color = spec(Matrix.BT2020_NCL, Transfer.BT2020_10, Primaries.BT2020)
    saturated = shown(frame([120, 100, 170], color))[0, 0].astype(int)
    same = shown(frame([120, 100, 170], spec(Matrix.BT2020_NCL, Transfer.BT709)))[0, 0].astype(int)
    assert saturated[0] - saturated[1] > same[0] - same[1]


@pytest.mark.parametrize("transfer", [Transfer.PQ, Transfer.HLG])
def test_hdr_is_shown_neutral_rising_and_with_white_below_its_highlights(transfer):
    color = spec(Matrix.BT2020_NCL, transfer, Primaries.BT2020)
    greys = [
        shown(frame([code, 512, 512], color, 10))[0, 0].astype(int) for code in range(64, 941, 40)
    ]
    assert all(grey.max() - grey.min() <= 1 for grey in greys)
    levels = [int(grey[0]) for grey in greys]
    assert levels == sorted(levels)
    assert levels[0] == 0 and levels[-1] >= 250
    # 203 cd/m2 is 58 % of PQ and 75 % of HLG.
    white = 64 + round((0.58 if transfer is Transfer.PQ else 0.75) * 876)
    assert 210 <= int(shown(frame([white, 512, 512], color, 10))[0, 0, 0]) <= 240
    assert "HDR" in (how_shown(color) or "")


def test_sdr_needs_no_remark():
    assert how_shown(spec()) is None


def test_a_quarter_turn_clockwise_brings_the_left_side_up():
    plane = torch.arange(6).view(2, 3)
    assert upright(plane, 90).tolist() == [[3, 0], [4, 1], [5, 2]]
    assert upright(plane, 0).tolist() == plane.tolist()


# --------------------------------------------------------------------------------------- viewer


def test_a_viewer_refuses_what_it_could_not_show():
    picture = Album(10**6, 1).add(noise(20, 20))
    with pytest.raises(ValueError, match="something to show"):
        Viewer(versions=[Version(label="a")], instants=[], shape=(20, 20))
    lone = Instant(
        seconds=0, label="", reason="", thumbnail="data:,", pictures=[picture], notes=[["x"]]
    )
    with pytest.raises(ValueError, match="every version"):
        Viewer(versions=[Version(label="a"), Version(label="b")], instants=[lone], shape=(20, 20))
