"""The command line: flags become settings, errors one sentence and an exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from vrestore import errors
from vrestore.cli import EXIT_CODES, main
from vrestore.commands.flags import FLAGS
from vrestore.commands.parsing import MakePreset, takes_flags
from vrestore.errors import PresetError
from vrestore.preset import Preset
from vrestore.sections import HINTS

ROOT = Path(__file__).resolve().parents[1]

# ---------------------------------------------------------------------------- flags -> settings


def parse(*words: str) -> Preset:
    """The preset that `vrestore run WORDS` would use, through Typer's own parser."""
    seen: list[Preset] = []
    app = typer.Typer()

    @app.command()
    @takes_flags
    def command(preset: MakePreset) -> None:
        seen.append(preset())

    app(list(words), standalone_mode=False)
    return seen[0]


def test_every_flag_sets_a_key_that_exists():
    assert [flag.name for flag in FLAGS if flag.key not in HINTS] == []


def test_no_spelling_means_two_things():
    spellings = [name for flag in FLAGS for name in (flag.name, *flag.also)]
    spellings += ["-o", "--output", "-y", "--overwrite", "-Z", "--preset", "--set", "--progress"]
    assert len(spellings) == len(set(spellings))
    assert {"-h", "-t", "-p", "-m", "-d"} & set(spellings) == set()


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["-s", "2"], "size.scale", 2),
        (["-s2"], "size.scale", 2),
        (["--scale=3"], "size.scale", 3),
        (["--size", "8k"], "size.fit", "8k"),
        (["-n", "resize"], "restore.model", "resize"),
        (["--strength", "0.3"], "restore.strength", 0.3),
        (["--tile", "64"], "restore.tile", 64),
        (["--tile", "auto"], "restore.tile", "auto"),
        (["--precision", "fp16"], "restore.precision", "fp16"),
        (["--encoder", "libx264"], "encode.encoder", "libx264"),
        (["-c:v", "ffv1"], "encode.encoder", "ffv1"),
        (["--null-output"], "encode.encoder", "null"),
        (["--encoder-preset", "fast"], "encode.speed", "fast"),
        (["-q", "12"], "encode.quality", 12.0),
        (["--crf", "12.5"], "encode.quality", 12.5),
        (["-e", "tune=grain", "-e", "bf=0"], "encode.options", {"tune": "grain", "bf": "0"}),
        (["-e", "x265-params=a=1:b=2"], "encode.options", {"x265-params": "a=1:b=2"}),
        (["--pix-fmt", "yuv422p10le"], "encode.pixel_format", "yuv422p10le"),
        (["-an"], "streams.audio", False),
        (["-sn"], "streams.subtitles", False),
        (["--no-chapters"], "streams.chapters", False),
        (["--map", "0:a:1", "--map", "0:s:0"], "streams.map", ("0:a:1", "0:s:0")),
        (["--strict"], "streams.strict", True),
        (["-ss", "1:02.5"], "input.start", "1:02.5"),
        (["-to", "90"], "input.stop", "90"),
        (["--frames", "10:20"], "input.frames", "10:20"),
        (["--fps", "24000/1001"], "input.fps", "24000/1001"),
        (["--start-number", "7"], "input.start_number", 7),
        (["--on-error", "fail"], "input.on_error", "fail"),
        (["--in-matrix", "709"], "color.in_matrix", "709"),
        (["--in-range", "full"], "color.in_range", "full"),
        (["--cuts", "list.txt"], "cuts.file", "list.txt"),
        (["-g", "cpu"], "run.device", "cpu"),
        (["-g", "1"], "run.device", "cuda:1"),
        (["-g", "0,1"], "run.device", "cuda:0,cuda:1"),
        (["--threads", "4"], "run.threads", 4),
        (["--memory", "4GiB"], "run.memory", "4GiB"),
        (["--set", "cuts.sensitivity=0.5"], "cuts.sensitivity", 0.5),
        (["--set", "encode.options.tune=film"], "encode.options", {"tune": "film"}),
    ],
)
def test_a_flag_sets_its_key_and_says_so(words, key, value):
    (setting,) = [setting for setting in parse(*words).settings() if setting.key == key]
    assert setting.value == value
    assert setting.origin.startswith("flag -")


def test_without_flags_everything_is_as_the_preset_says():
    assert {s.origin for s in parse("-Z", "draft").settings()} == {"default", "preset draft.toml"}


def test_a_flag_wins_over_the_preset_and_set_over_a_flag():
    assert parse("-Z", "draft", "-q", "3").encode.quality == 3.0
    assert parse("-q", "3", "--set", "encode.quality=4").encode.quality == 4.0


def test_a_reference_model_implies_plain_unless_a_preset_is_named():
    assert parse().name == "auto"
    assert parse("-n", "identity").name == "plain"
    assert parse("--set", "restore.model=resize").name == "plain"
    assert parse("-n", "identity", "-Z", "draft").name == "draft"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "2"], "names the model, not a noise level"),
        (["-s", "2", "--size", "4k"], "exclude each other"),
        (["--null-output", "--encoder", "ffv1"], "exclude each other"),
        (["-e", "tune"], "-e takes key=value, got 'tune'"),
        (["--set", "size.scale"], "--set takes key=value"),
        (["--set", "size.scael=2"], "did you mean 'size.scale'"),
        (["-s", "7"], "scale must be 1, 2, 3 or 4"),
        (["-s", "two"], "size.scale must be a whole number"),
        (["-q", "99"], "quality"),
        (["-g", "0,0"], "names one twice"),
        (["--deinterlace", "nnedi"], "mode must be one of auto, off, bob"),
        (["--ivtc", "on"], "mode must be one of auto, off"),
        (["-Z", "hd-to-4"], "did you mean 'hd-to-4k'"),
    ],
)
def test_a_wrong_flag_is_refused_with_the_remedy(words, message):
    with pytest.raises(PresetError) as caught:
        parse(*words)
    assert message in str(caught.value)


def test_a_flag_for_a_stage_to_come_accepts_that_nothing_is_done():
    assert parse("--ivtc", "auto").name == "auto"


def test_deinterlacers_are_known_by_the_names_of_other_tools():
    assert parse().deinterlace.mode == "off"
    for word in ("auto", "off", "bob", "same-rate", "bwdif", "yadif", "decomb"):
        assert parse("--deinterlace", word).deinterlace.mode == word


# ------------------------------------------------------------------------- what users see of it


@pytest.fixture
def vrestore(capfd: pytest.CaptureFixture[str]) -> Iterator:
    """Runs a command line: (exit status, standard output, standard error)."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main([str(word) for word in words])
        return status, *capfd.readouterr()

    return call


def test_help_lists_every_verb_on_standard_output(vrestore):
    status, out, err = vrestore("--help")
    assert (status, err) == (0, "")
    verbs = "run probe plan presets models devices doctor bench compare train"
    assert [verb for verb in verbs.split() if f" {verb} " not in out] == []


def test_every_error_family_has_an_exit_status():
    families = {getattr(errors, name) for name in errors.__all__}
    assert {family for family, _ in EXIT_CODES} <= families
    statuses = {
        family.__name__: next(code for base, code in EXIT_CODES if issubclass(family, base))
        for family in families
    }
    assert statuses == {
        "VRestoreError": 1,
        "OutputError": 1,
        "EncodeError": 1,
        "PresetError": 2,
        "InputError": 3,
        "PlanError": 4,
        "DeviceError": 4,
        "ModelError": 4,
        "StoppedError": 5,
        "LossError": 6,
    }


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["run", "--nope"], 2),
        (["run", "in.mkv"], 2),
        (["in.mkv", "-o", "out.mkv", "-Z", "nosuch"], 2),
        (["in.mkv", "-o", "-", "--progress", "json"], 2),
        (["presets", "show", "drat"], 2),
        (["models", "show", "nosuch"], 4),
        (["probe", "absent.mkv"], 3),
        (["plan", "absent.mkv", "-o", "out.mkv"], 3),
        (["absent.mkv", "-o", "out.mkv"], 3),
    ],
)
def test_a_failure_is_one_sentence_and_its_exit_status(
    vrestore, tmp_path, monkeypatch, words, status
):
    monkeypatch.chdir(tmp_path)
    got, out, err = vrestore(*words)
    assert (got, out) == (status, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_came_from(vrestore):
    status, _, err = vrestore("presets", "show", "drat", "--debug")
    assert status == 2
    assert "Traceback" in err


def test_presets_can_be_listed_shown_and_exported(vrestore, tmp_path):
    _, listed, _ = vrestore("presets", "list")
    assert vrestore("-z")[1] == listed
    assert [line.split()[0] for line in listed.splitlines()] == sorted(
        path.stem for path in (ROOT / "pipelines").glob("*.toml")
    )
    assert "[encode]" in vrestore("presets", "show", "draft")[1]
    mine = tmp_path / "mine.toml"
    assert vrestore("presets", "export", "draft", "-o", mine)[0] == 0
    assert vrestore("presets", "export", "draft", "-o", mine)[0] == 1
    assert vrestore("presets", "export", "draft", "-o", mine, "-y")[0] == 0
    assert parse("-Z", str(mine)).encode == parse("-Z", "draft").encode


def test_models_and_devices_are_listed_for_people_and_machines(vrestore):
    assert {"identity", "resize"} <= set(json.loads(vrestore("models", "list", "--json")[1]))
    assert "resize" in vrestore("models", "list")[1]
    assert json.loads(vrestore("models", "show", "resize")[1])["scales"] == [1, 2, 3, 4]
    assert vrestore("models", "verify")[0] == 0
    assert json.loads(vrestore("devices", "--json")[1])[-1]["name"] == "cpu"


def test_the_doctor_finds_this_machine_fit(vrestore):
    status, out, err = vrestore("doctor")
    assert (status, out) == (0, "")
    assert "BAD" not in err
    assert {finding["good"] for finding in json.loads(vrestore("doctor", "--json")[1])} == {True}


def test_bench_measures_each_stage(vrestore):
    words = ["bench", "--sizes", "96x64", "--frames", "6", "-n", "resize"]
    status, out, err = vrestore(*words)
    assert (status, out) == (0, "")
    assert [stage for stage in ("decode", "restore", "encode") if stage not in err] == []
    (result,) = json.loads(vrestore(*words, "--json")[1])
    assert result["frames"] == 6
    assert 0 < result["roofline"]["least_seconds"] < 1


def test_bench_writes_its_page_between_its_own_marks(vrestore, tmp_path):
    page = tmp_path / "performance.md"
    words = ["--sizes", "96x64", "--frames", "4", "-n", "identity"]
    speed = ["bench", "speed", *words, "--encoder", "null,ffv1", "-o", page]
    assert vrestore(*speed)[:2] == (0, "")
    page.write_text("# Mine\n\n" + page.read_text() + "\nMine too\n")
    assert vrestore(*speed)[0] == 0
    text = page.read_text()
    assert text.startswith("# Mine\n") and text.endswith("\nMine too\n")
    rows = [line.split("|")[1:5] for line in text.splitlines() if line.startswith("| 96x64")]
    assert [row[3].strip() for row in rows] == ["null", "ffv1"]
    assert "torch 2" in text and "overlap" in text
    other = tmp_path / "notes.md"
    other.write_text("mine\n")
    assert vrestore("bench", "memory", *words[:4], "-n", "identity", "-o", other)[0] == 1
    assert other.read_text() == "mine\n"


def test_bench_finds_where_the_time_goes(vrestore, sample):
    status, out, err = vrestore("bench", "stages", sample, "-n", "lite", "-s", "2", "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    places = {(p["thread"], p["place"]): p["share"] for p in result["places"]}
    network = ("models.nets.", "models.compiled.")
    assert sum(share for (t, p), share in places.items() if p.startswith(network)) > 0.05
    for thread in ("decode", "restore", "encode", "mux"):
        assert sum(share for (t, _), share in places.items() if t == thread) <= 1.001


def test_bench_holds_the_memory_against_the_plan(vrestore):
    words = ["bench", "memory", "--sizes", "96x64", "--frames", "6", "-n", "resize"]
    status, out, err = vrestore(*words)
    assert (status, out) == (0, "")
    assert err.splitlines()[1].startswith("96x64")
    (result,) = json.loads(vrestore(*words, "--json")[1])
    assert result["peak_bytes"] > 0 and result["expected_bytes"] > 0


def test_the_shell_completes_verbs():
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "_VRESTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": "vrestore pres",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "vrestore"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["presets"]


# ------------------------------------------------------------------------------- a whole journey


def test_probe_tells_people_and_machines_what_the_sample_is(vrestore, sample):
    status, out, err = vrestore("probe", sample)
    assert (status, out) == (0, "")
    for words in ("480x270", "4:2:0", "bt709", "Commentary", "chapters"):
        assert words in err
    status, out, err = vrestore("probe", sample, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["video"]["width"] == 480


def test_probe_exports_cuts_that_run_imports(vrestore, sample, tmp_path):
    shots = tmp_path / "shots.txt"
    assert vrestore("probe", sample, "--cuts", shots)[0] == 0
    words = ["-n", "identity", "--null-output", "--frames", "0:5", "--cuts", shots]
    assert vrestore(sample, *words)[0] == 0


def test_plan_explains_where_each_value_comes_from(vrestore, sample):
    words = ("plan", sample, "-o", "x.mkv", "-s", "2", "-n", "resize")
    status, out, err = vrestore(*words, "--explain")
    assert (status, out) == (0, "")
    (line,) = [line for line in err.splitlines() if line.startswith("size.scale")]
    assert line.split() == ["size.scale", "2", "flag", "--scale"]
    status, out, _ = vrestore(*words, "--explain", "--json")
    settings = {entry["key"]: entry for entry in json.loads(out)["settings"]}
    assert settings["restore.model"] == {
        "key": "restore.model",
        "value": "resize",
        "origin": "flag --model",
    }


@pytest.fixture(scope="module")
def result(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "out.mkv"
    words = ["-n", "resize", "-s", "2", "--encoder", "libx264", "--encoder-preset", "ultrafast"]
    assert main([str(sample), "-o", str(output), "--frames", "0:12", *words]) == 0
    return output


def test_run_without_its_verb_restores_and_keeps_the_streams(vrestore, result):
    facts = json.loads(vrestore("probe", result, "--json")[1])
    assert (facts["video"]["width"], facts["video"]["height"]) == (960, 540)
    assert [s["kind"] for s in facts["streams"]] == ["video", "audio", "audio", "subtitle"]
    assert [path.name for path in result.parent.iterdir()] == ["out.mkv"]


def test_an_existing_output_is_replaced_only_when_asked(vrestore, sample, result):
    before = result.stat().st_mtime_ns
    words = [sample, "-o", result, "-n", "resize", "--frames", "0:2"]
    status, _, err = vrestore(*words)
    assert (status, result.stat().st_mtime_ns) == (1, before)
    assert "-y" in err


def test_what_is_made_for_an_archive_has_its_record_beside_it(vrestore, sample, tmp_path):
    words = ["-Z", "archive", "-n", "identity", "--frames", "0:4", "--progress", "none"]
    assert vrestore(sample, "-o", tmp_path / "out.mkv", *words)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.mkv", "out.mkv.record.json", "out.mkv.record.html",
    }  # fmt: skip
    assert vrestore(sample, "--null-output", *words)[0] == 0


def test_json_progress_is_all_that_is_on_standard_output(vrestore, sample, tmp_path):
    output = tmp_path / "out.mkv"
    words = ["-n", "identity", "--frames", "0:10", "--progress", "json"]
    status, out, _ = vrestore(sample, "-o", output, *words)
    assert status == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["event"] for record in records[:-1]] == ["progress"] * (len(records) - 1)
    assert (records[-1]["event"], records[-1]["frames_out"]) == ("report", 10)


def test_a_comparison_shows_both_halves_at_the_size_of_the_result(
    vrestore, sample, result, tmp_path
):
    from PIL import Image

    picture = tmp_path / "compare.png"
    assert vrestore("compare", sample, result, "-o", picture, "--at", "0.2")[0] == 0
    with Image.open(picture) as image:
        assert image.size == (2 * 960, 540 + 24)
        left, right = image.crop((0, 24, 960, 564)), image.crop((960, 24, 1920, 564))
    difference = sum(
        abs(a - b)
        for a, b in zip(
            left.resize((1, 1)).getpixel((0, 0)), right.resize((1, 1)).getpixel((0, 0)), strict=True
        )
    )
    assert difference <= 3
    assert vrestore("compare", sample, result, "-o", picture)[0] == 1


def test_ctrl_c_ends_a_run_and_leaves_nothing(sample, tmp_path):
    words = [sample, "-o", "out.mkv", "-n", "resize", "-s", "4", "--encoder", "libx265"]
    command = [sys.executable, "-m", "vrestore", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "error: stopped by the user" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_torch_is_not_loaded_before_the_process_is_tuned() -> None:
    """OpenMP reads its settings once, when torch loads it; `main` sets them first."""
    words = "import sys, vrestore.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
