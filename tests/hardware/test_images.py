"""Firmware images: what is in them, that they are the same everywhere, and that they run."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from hardware import build_firmware
from hardware.build_firmware import ROOT, build_image, image_files, image_hash, source_files
from shared import cbor


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """target → (folder, hash)."""
    base = tmp_path_factory.mktemp("images")
    return {target: (base / target, build_image(target, base / target)) for target in build_firmware.TARGETS}


@pytest.fixture
def small_sources(tmp_path):
    """A project of two files."""
    root = tmp_path / "project"
    for name, text in (
        ("shared/__init__.py", ""),
        ("edge/__init__.py", "X = 1\n"),
        ("edge/main.py", "from edge import X\n\nprint(X)\n"),
        ("shared/verify/cli.py", "import argparse\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_every_device_file_and_nothing_of_the_verifier(images):
    wanted = {path.as_posix() for path in source_files()}
    assert "shared/cbor.py" in wanted and "edge/journal.py" in wanted and not any("verify" in name for name in wanted)
    assert {name for name, _ in image_files(images["cpython"][0])} == wanted


def test_a_micropython_image_has_the_parts_and_says_what_its_names_mean(images):
    parts = (
        "main",
        "device",
        "config",
        "preparation",
        "wiring",
        "recovery",
        "sealing",
        "envelopes",
        "answers",
        "evidence",
        "tables",
        "gauge",
        "mqtt_opening",
        "draining",
        "ntp",
    )
    wanted = {f"edge/{part}.mpy" for part in (*parts, "__init__")} | {f"shared/{name}.mpy" for name in ("__init__", "ed25519", "combs")}
    board = {"edge/boards/__init__.mpy", "edge/boards/esp32_start.mpy", "edge/flash_partition.mpy"}
    assert {name for name, _ in image_files(images["unix"][0])} == wanted
    assert {name for name, _ in image_files(images["esp32"][0])} == wanted | board
    for target in ("unix", "esp32"):
        names = dict(line.split() for line in (images[target][0] / "linked" / "names.txt").read_text().splitlines())
        assert "edge.journal:Journal" in names.values()
        text = (images[target][0] / "linked" / "edge" / "device.py").read_text()
        assert "class " in text and '"""' not in text


def test_hash_is_that_of_the_spec(images):
    for folder, digest in images.values():
        entries = [
            [p.relative_to(folder).as_posix(), sha256(p.read_bytes()).digest()]
            for p in folder.rglob("*")
            if p.is_file() and "linked" not in p.parts
        ]
        expected = sha256(cbor.encode(sorted(entries, key=lambda entry: entry[0].encode()))).digest()
        assert digest == image_hash(folder) == expected


def test_same_bytes_wherever_it_is_built(small_sources, tmp_path):
    elsewhere = tmp_path / "some" / "where" / "else"
    shutil.copytree(small_sources, elsewhere)
    assert build_image("unix", tmp_path / "a", small_sources) == build_image("unix", tmp_path / "b", elsewhere)


def test_hash_counts_names_and_contents_and_passes_over_the_rest(small_sources, tmp_path):
    folder = tmp_path / "image"
    before = build_image("cpython", folder, small_sources)
    (folder / "edge" / "__pycache__").mkdir()
    (folder / "edge" / "__pycache__" / "x.py").write_text("no")
    (folder / "edge" / "notes.txt").write_text("no")
    (folder / "shared" / "verify").mkdir()
    (folder / "shared" / "verify" / "cli.py").write_text("no")
    (folder / "main.py").write_text("no")
    assert image_hash(folder) == before
    (folder / "edge" / "more.py").write_text("")
    with_more = image_hash(folder)
    (folder / "edge" / "more.py").rename(folder / "edge" / "less.py")
    renamed = image_hash(folder)
    (folder / "edge" / "__init__.py").write_text("X = 2\n")
    assert len({before, with_more, renamed, image_hash(folder)}) == 4


def test_deleted_source_does_not_live_on(small_sources, tmp_path):
    folder = tmp_path / "image"
    (small_sources / "edge" / "old.py").write_text("print(2)\n")
    before = build_image("cpython", folder, small_sources)
    (small_sources / "edge" / "old.py").unlink()
    assert build_image("cpython", folder, small_sources) != before
    assert not (folder / "edge" / "old.py").exists()


def test_sources_are_never_the_image(small_sources):
    (small_sources / "pyproject.toml").write_text("")
    for folder in (ROOT, ROOT.parent, small_sources):
        with pytest.raises(SystemExit):
            build_image("cpython", folder, small_sources)
    assert (small_sources / "edge" / "__init__.py").exists()


def test_file_that_does_not_compile_is_named(small_sources, tmp_path):
    (small_sources / "edge" / "wrong.py").write_text("def f(:\n")
    with pytest.raises(SystemExit, match=r"edge/wrong\.py"):
        build_image("esp32", tmp_path / "image", small_sources)


def test_unix_image_runs_in_micropython(images):
    folder, _ = images["unix"]
    code = "import gc, sys, edge.main, edge.device; gc.collect(); print(gc.mem_free() > 40_000, sys.implementation.name)"
    micropython = Path(sys.executable).with_name("micropython")
    done = subprocess.run(
        [str(micropython), "-X", "heapsize=128k", "-c", code],
        env={"MICROPYPATH": f"{folder}:.frozen"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.strip() == "True micropython", done.stderr


def test_gateway_image_runs_alone(images, tmp_path):
    folder, _ = images["cpython"]
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import shared.cbor as c; print(c.__file__)"],
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.strip() == str(folder / "shared" / "cbor.py"), done.stderr


def test_firmware_is_compiled_for_the_chip(images):
    content = dict(image_files(images["esp32"][0]))["edge/device.mpy"]
    assert content[:1] == b"M"
    assert b"edge/device.py" in content
    assert str(ROOT).encode() not in content


def test_command_line(tmp_path, capsys):
    assert build_firmware.main(["--target", "cpython", "--out", str(tmp_path / "image")]) == 0
    assert capsys.readouterr().out.strip() == image_hash(tmp_path / "image").hex()
    with pytest.raises(SystemExit) as caught:
        build_firmware.main(["--target", "cpython"])
    assert caught.value.code == 2


def test_started_as_a_script_from_anywhere(tmp_path):
    script = ROOT / "hardware" / "build_firmware.py"
    command = [sys.executable, str(script), "--target", "cpython", "--out", "image"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == image_hash(tmp_path / "image").hex(), done.stderr


def test_firmware_that_does_not_fit(images, capsys):
    folder, _ = images["esp32"]
    build_firmware.print_sizes(folder, 983_040, "a board")
    assert "% of the 983,040 B partition" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="does not fit"):
        build_firmware.print_sizes(folder, 10_000, "a small board")
