"""Builds `build/meterproof-verify.pyz`, the offline verifier in one file (`make verifier`).

In: `shared/` and nothing else. Out: a zipapp that runs as `python3 -S -I meterproof-verify.pyz` on a bare Python ≥ 3.11; the same
sources give the same bytes on the same Python. Beside each source stands what this Python compiles it to, which halves the run time; it
carries the hash of that source. Another Python passes over it and reads the source, and so does every Python after
`zip -d meterproof-verify.pyz '*.pyc'`. Never includes a compiled file without the source that it is from.
"""

import importlib.util
import marshal
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

PACKAGE = "meterproof_verify"  # shared/ imports itself only relatively, so it runs under any name
SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = f"import sys\nfrom {PACKAGE}.verify.cli import main\nsys.exit(main())\n"
TIME = (1980, 1, 1, 0, 0, 0)
DEFAULT_PATH = Path("build/meterproof-verify.pyz")
CHECKED_HASH = (3).to_bytes(4, "little")  # PEP 552: valid only with the source of that hash
MARSHAL_VERSION = 2  # later ones mark shared objects, by what else the process holds: other bytes in each run


def package_files(shared: Path) -> dict[str, bytes]:
    """Name in the archive → content, of every module of `shared/` but this one."""
    files = {"__main__.py": MAIN.encode()}
    for path in sorted(shared.rglob("*.py")):
        relative = path.relative_to(shared)
        if "__pycache__" not in relative.parts and relative.as_posix() != "verify/build.py":
            files[f"{PACKAGE}/{relative.as_posix()}"] = path.read_bytes()
    return files


def compiled(name: str, source: bytes) -> bytes:
    """A .pyc of this Python for the source under its name in the archive."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    return importlib.util.MAGIC_NUMBER + CHECKED_HASH + importlib.util.source_hash(source) + marshal.dumps(code, MARSHAL_VERSION)


def build_zipapp(destination: Path, shared: Path | None = None) -> bytes:
    """Writes the zipapp; returns its SHA-256."""
    files = package_files(shared or Path(__file__).resolve().parent.parent)
    files |= {name + "c": compiled(name, source) for name, source in files.items()}
    destination.parent.mkdir(parents=True, exist_ok=True)
    with destination.open("wb") as out:
        out.write(SHEBANG)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, content in sorted(files.items()):
                entry = zipfile.ZipInfo(name, TIME)
                entry.create_system = 3  # else it differs between Windows and the rest
                archive.writestr(entry, content)
    destination.chmod(0o755)
    return sha256(destination.read_bytes()).digest()


def main() -> int:
    destination = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH
    digest = build_zipapp(destination)
    print(f"{destination}  {destination.stat().st_size:,} bytes  sha256 {digest.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
