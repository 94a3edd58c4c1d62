"""The verifier in one file: the same answers on a bare Python, without this project, its packages or the network."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from shared.verify.build import PACKAGE, build_zipapp
from shared.verify.policy import encode_policy
from shared.verify.verifier import verify_evidence
from tests.verify.world import SecureElement, World

ROOT = Path(__file__).resolve().parent.parent.parent
ZIPAPP_BYTES_MAX = 512 * 1024


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory):
    path = tmp_path_factory.mktemp("zipapp") / "meterproof-verify.pyz"
    build_zipapp(path)
    return path


@pytest.fixture
def ask(zipapp, tmp_path):
    """Runs the zipapp on bytes; `-S -I`: no site-packages, no environment, not this directory."""

    def run(data, policy, *options):
        (tmp_path / "reading.evidence").write_bytes(data)
        (tmp_path / "policy.toml").write_text(encode_policy(policy) if policy else "")
        command = [sys.executable, "-S", "-I", str(zipapp), "reading.evidence", *options]
        command += ["--policy", "policy.toml"] if policy else []
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})

    return run


def test_the_four_answers(ask, tmp_path):
    world = World()
    done = ask(world.file(), world.policy())
    assert done.returncode == 0, done.stderr
    assert "PROVEN" in done.stdout and "serial SN-0042" in done.stdout
    assert ask(world.file(), None).returncode == 3
    forged = ask(World("forger").file(), world.policy(), "--json")
    assert forged.returncode == 1
    assert json.loads(forged.stdout)["failed"]["step"] == "checkpoint"
    (tmp_path / "gone").mkdir()
    assert ask(b"", None, "--no-such-option").returncode == 2


def test_own_signature_check_refuses_a_changed_byte(ask):
    world = World()
    parts = world.parts()
    data = bytearray(world.file())
    at = data.index(parts.statement) + len(parts.statement) - 1
    data[at] ^= 1
    done = ask(bytes(data), world.policy(), "--json")
    assert done.returncode == 1
    data = bytearray(world.file())
    at = data.index(parts.checkpoint) + len(parts.checkpoint) - 10
    data[at] = ord("A") if data[at] != ord("A") else ord("B")
    done = ask(bytes(data), world.policy(), "--json")
    assert (done.returncode, json.loads(done.stdout)["failed"]["code"]) == (1, 201)


def test_p256_needs_the_package_and_says_so(ask):
    world = World()
    world.tier, world.device_signer = 3, SecureElement("chip")
    assert verify_evidence(world.file(), world.policy()).trusted
    done = ask(world.file(), world.policy(), "--json")
    failed = json.loads(done.stdout)["failed"]
    assert (done.returncode, failed["step"], failed["code"]) == (1, "signature", 202)
    assert "cryptography" in failed["text"]


def test_built_from_shared_alone_and_small(zipapp):
    assert zipapp.stat().st_size <= ZIPAPP_BYTES_MAX
    with zipfile.ZipFile(zipapp) as archive:
        names = archive.namelist()
    assert "__main__.py" in names
    assert all(name.startswith(("__main__.py", PACKAGE + "/")) for name in names)
    sources = {name for name in names if name.endswith(".py")}
    assert {name for name in names if name not in sources} == {name + "c" for name in sources}


def test_same_sources_same_bytes(zipapp, tmp_path):
    """In another process too, which has loaded other things."""
    code = "from pathlib import Path; from shared.verify.build import build_zipapp; build_zipapp(Path('again.pyz'))"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert (tmp_path / "again.pyz").read_bytes() == zipapp.read_bytes()


def changed(zipapp, path, change):
    """A copy in which `change(name, content)` gives each file's content, or None to leave it out."""
    with zipfile.ZipFile(zipapp) as archive, zipfile.ZipFile(path, "w") as copy:
        for name in archive.namelist():
            content = change(name, archive.read(name))
            if content is not None:
                copy.writestr(name, content)
    return path


def prints_of(zipapp):
    """What the copy says of itself: the help text, which stands in verify/cli.py."""
    done = subprocess.run([sys.executable, "-S", "-I", str(zipapp), "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compiled_files_are_what_the_sources_compile_to(zipapp, tmp_path):
    """Same answers without them, and none is used that is of another source or another Python."""
    as_built = prints_of(zipapp)
    assert prints_of(changed(zipapp, tmp_path / "sources.pyz", lambda name, data: None if name.endswith("c") else data)) == as_built

    def edited(name, data):
        return data.replace(b"Verify offline", b"VERIFY OFFLINE") if name.endswith("verify/cli.py") else data

    assert prints_of(changed(zipapp, tmp_path / "edited.pyz", edited)) == as_built.replace("Verify offline", "VERIFY OFFLINE")

    def of_another_python(name, data):
        return bytes([data[0] ^ 1]) + data[1:] if name.endswith("c") else edited(name, data)

    assert "VERIFY OFFLINE" in prints_of(changed(zipapp, tmp_path / "other.pyz", of_another_python))


def test_compiled_files_are_used(zipapp, tmp_path):
    def without_sources(name, data):
        return data if name.endswith("c") else None

    assert "Verify offline" in prints_of(changed(zipapp, tmp_path / "compiled.pyz", without_sources))


def test_what_takes_long_to_load_is_not_loaded(zipapp):
    code = f"import sys; sys.path.insert(0, {str(zipapp)!r}); from {PACKAGE}.verify import cli; cli.main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert f"{PACKAGE}.verify.verifier" in loaded
    assert not loaded & {"argparse", "dataclasses", "json", "inspect", "pathlib", "random", "decimal"}


def test_loads_nothing_from_outside_the_standard_library(zipapp):
    code = (
        f"import sys; sys.path.insert(0, {str(zipapp)!r}); from {PACKAGE}.verify import cli; "
        "print([m for m in sys.modules if m.split('.')[0] in ('nacl', 'cryptography', 'server', 'edge', 'shared', 'socket', 'asyncio')])"
    )
    done = subprocess.run([sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
