"""The four meters: their firmware images, settings and processes.

In: a directory, ports, the node's public key. Out: devices that run the real firmware, three in MicroPython and one as a
gateway. Never touches what a device wrote, but for reading its notebook.
"""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from server.demo.inverter import ScaledClock
from server.demo.notebooks import Notebook
from server.demo.processes import Child, Children, wait_for_port
from shared.errors import Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent
HEAP_SIZE = "160k"
PERIOD_S = 60
FLASH_SECTORS = 256
STATUS_S = 1


@dataclass(frozen=True)
class Site:
    """What all meters of the demonstration share."""

    folder: Path
    org: str
    origin: str
    node_key: str
    broker_port: int
    inverter_port: int
    period_s: int = PERIOD_S


@dataclass
class Meter:
    """One device; `id` and `point` are known once it is enrolled."""

    name: str
    unit: int
    interpreter: str
    folder: Path
    child: Child
    notebook: Notebook
    id: str = ""
    point: str = ""

    @property
    def serial(self) -> str:
        return f"SERF-{self.unit:04d}"

    def fingerprint(self) -> str:
        """The key id as the device itself shows it: the last `device … fingerprint …` line it printed. Raises Unavailable 410."""
        lines = [line.split() for line in self.child.log_path.read_text(errors="replace").splitlines() if line.startswith("device ")]
        if not lines or len(lines[-1]) != 4:
            raise Unavailable(410, f"{self.name} has not shown its fingerprint")
        return lines[-1][3]


def load_firmware_builder() -> ModuleType:
    """`hardware/build_firmware.py` is a program beside the packages, not one of them."""
    spec = importlib.util.spec_from_file_location("build_firmware", ROOT / "hardware" / "build_firmware.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_images(folder: Path) -> dict[str, str]:
    """Target → firmware hash, for the two images the meters run."""
    builder = load_firmware_builder()
    return {target: builder.build_image(target, folder / target).hex() for target in ("unix", "cpython")}


def micropython_command() -> list[str]:
    """The MicroPython of this environment."""
    return [str(Path(sys.executable).with_name("micropython")), "-X", f"heapsize={HEAP_SIZE}", "-m", "edge.main"]


def start_inverter(children: Children, port: int, csv: Path, clock: ScaledClock, start_s: int) -> Child:
    """The inverter whose record begins at UTC `start_s`, when it listens: a meter that is read too early has nothing to say."""
    numbers = {"port": port, "start-s": start_s, "epoch-s": clock.epoch_s, "wall-ms": clock.wall_ms, "scale-milli": clock.scale_milli}
    options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    inverter = children.add("inverter", [sys.executable, "-m", "server.demo.inverter", "--csv", str(csv), *options], cwd=ROOT)
    inverter.start()
    wait_for_port(port, inverter)
    return inverter


def build_fleet(children: Children, site: Site, images: Path) -> list[Meter]:
    """Meters 1 to 3 in MicroPython, 4 as a gateway."""
    meters = []
    for unit in (1, 2, 3, 4):
        gateway = unit == 4
        name = "gateway" if gateway else f"meter-{unit}"
        folder = site.folder / name
        folder.mkdir(parents=True)
        image = str(images / ("cpython" if gateway else "unix"))
        command = [sys.executable, "-m", "edge.main"] if gateway else micropython_command()
        # MicroPython keeps the path of every module in its heap: from inside the image they are short.
        env = {"PYTHONPATH": image, "PYTHONUNBUFFERED": "1"} if gateway else {"MICROPYPATH": ".:.frozen"}
        child = children.add(name, [*command, str(folder / "config.json")], env, Path(image))
        interpreter = "CPython" if gateway else "MicroPython"
        meters.append(Meter(name, unit, interpreter, folder, child, Notebook(folder / "notebook.txt")))
    return meters


def write_config(meter: Meter, site: Site, clock: ScaledClock) -> None:
    """The device's settings file; written anew for each start that needs another clock."""
    settings = {
        "org": site.org,
        "device_dir": str(meter.folder),
        "origin": site.origin,
        "node_key": site.node_key,
        "broker_host": "127.0.0.1",
        "broker_port": site.broker_port,
        "meter": {"kind": "sunspec", "host": "127.0.0.1", "port": site.inverter_port, "unit": meter.unit},
        "period_s": site.period_s,
        "clock": clock.settings(),
        "flash": {"path": str(meter.folder / "journal.flash"), "sectors": FLASH_SECTORS},
        "notebook": str(meter.folder / "notebook.txt"),
        "status_s": STATUS_S,
    }
    (meter.folder / "config.json").write_text(json.dumps(settings, indent=1))
