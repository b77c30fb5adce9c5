"""Make the pinned torch wheel, which is built for CUDA, run on a CPU without the two gigabytes of CUDA libraries.

`images.inside.install` calls it in the build of a CPU image. The wheel's libraries name some CUDA libraries as
needed, so the loader must find them; no CPU program ever calls them. Each is replaced by a stub: a shared object of
the right name that defines the wanted symbols, with their versions, as functions that return 1, which is an error in
every CUDA interface. Then symbols for debuggers go, and the GPU's machine code is replaced by a hole. Needs gcc,
readelf and strip, and fallocate where there is GPU code.

The wheel's RECORD no longer fits after this: `images.inside.torch_selftest` proves instead that what stages use
works.
"""

import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

CUDA_LIBRARY = re.compile(r"^lib(cu|nv|nccl)")
DRIVER = "libcuda.so.1"  # comes with a GPU's driver, is loaded on demand
RUNTIME = "libcudart"  # really called when torch is loaded; its package is small and stays
# Libraries whose symbols carry no version, so that only the symbol's name tells whose it is.
PREFIXES = {"libnccl": "nccl", "libcusparseLt": "cusparseLt", "libcufile": "cuFile"}
STRIPPED = ("libtorch_cpu.so", "libtorch_cuda.so", "libtorch_python.so")
# What builds extensions, and kernels that are loaded on a GPU's first use.
UNUSED = (
    "torch/include",
    "torch/share",
    "torch/bin/protoc*",
    "torch/lib/libtorch_cuda_linalg.so",
    "nvidia/*/include",
    "nvidia/*/lib/*.a",
)


@dataclass(frozen=True, order=True)
class Symbol:
    """One symbol that a library wants: its name, its version ("" where it has none) and its ELF type."""

    name: str
    version: str
    kind: str


@dataclass
class Wants:
    """What a folder of shared objects wants from the outside."""

    libraries: set[str] = field(default_factory=set)  # names of needed libraries
    versioned: dict[str, set[Symbol]] = field(default_factory=lambda: defaultdict(set))  # library -> symbols
    unversioned: set[Symbol] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)

    def of(self, library: str) -> list[Symbol]:
        """The symbols that the named library has to define."""
        if self.versioned[library]:
            return sorted(self.versioned[library])
        prefix = PREFIXES.get(library.split(".", maxsplit=1)[0])
        return sorted(
            s for s in self.unversioned if prefix and s.name.startswith(prefix) and s.name not in self.defined
        )


def slim(packages: Path) -> None:
    """Slim the torch that is installed in a site-packages folder."""
    folder = packages / "torch"
    drop_unused(packages)
    stub_all(folder / "lib")
    for name in STRIPPED:
        _out("strip", "--strip-unneeded", str(folder / "lib" / name))
    drop_gpu_code(folder / "lib/libtorch_cuda.so")


def drop_unused(packages: Path) -> None:
    """Remove what only building extensions or a GPU needs."""
    for pattern in UNUSED:
        for path in packages.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def stub_all(folder: Path) -> list[str]:
    """Write a stub for each CUDA library that is needed and not there; returns their names."""
    wants = scan(folder)
    missing = [
        name
        for name in sorted(wants.libraries)
        if CUDA_LIBRARY.match(name) and name != DRIVER and not name.startswith(RUNTIME) and not (folder / name).exists()
    ]
    for name in missing:
        write_stub(folder / name, wants.of(name))
    return missing


def scan(folder: Path) -> Wants:
    """Read from the ELF tables what a folder's shared objects want."""
    wants = Wants()
    for library in sorted(path for path in folder.glob("*.so*") if not path.is_symlink()):
        wants.libraries |= set(re.findall(r"NEEDED.*\[(.*?)\]", _out("readelf", "-W", "-d", str(library))))
        _symbols(library, _version_owners(library), wants)
    return wants


def _version_owners(library: Path) -> dict[str, str]:
    """Symbol version -> the library that defines it, from the section of needed versions."""
    owners, current = {}, ""
    for line in _out("readelf", "-W", "-V", str(library)).splitlines():
        if found := re.search(r"Version: \d+\s+File: (\S+)", line):
            current = found[1]
        elif (found := re.search(r"Name: (\S+)\s+Flags", line)) and current and "Rev" not in line:
            owners[found[1]] = current
    return owners


def _symbols(library: Path, owners: dict[str, str], wants: Wants) -> None:
    """Sort one library's dynamic symbols into those it defines and those it wants."""
    for line in _out("readelf", "-W", "--dyn-syms", str(library)).splitlines():
        words = line.split()
        if len(words) < 8 or not words[0].endswith(":"):
            continue
        kind, section = words[3], words[6]
        name, _, version = words[7].partition("@")
        version = version.lstrip("@")
        if section != "UND":
            wants.defined.add(name)
        elif version in owners:
            wants.versioned[owners[version]].add(Symbol(name, version, kind))
        else:
            wants.unversioned.add(Symbol(name, "", kind))


def write_stub(file: Path, symbols: list[Symbol]) -> None:
    """Compile a library that defines the symbols, each with its version."""
    with tempfile.TemporaryDirectory() as scratch:
        source, script = Path(scratch, "stub.c"), Path(scratch, "stub.map")
        source.write_text("".join(_definition(symbol) for symbol in symbols), encoding="ascii")
        command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{file.name}", "-Wl,--build-id=none"]
        if any(symbol.version for symbol in symbols):
            script.write_text(_version_script(symbols), encoding="ascii")
            command.append(f"-Wl,--version-script={script}")
        _out(*command, "-o", str(file), str(source))


def _definition(symbol: Symbol) -> str:
    return f"char {symbol.name}[4096];\n" if symbol.kind == "OBJECT" else f"int {symbol.name}(void){{return 1;}}\n"


def _version_script(symbols: list[Symbol]) -> str:
    names: dict[str, list[str]] = defaultdict(list)
    for symbol in symbols:
        names[symbol.version].append(symbol.name)
    return "".join(f"{version} {{ global: {' '.join(f'{n};' for n in group)} }};\n" for version, group in names.items())


def drop_gpu_code(library: Path) -> None:
    """Overwrite a library's GPU machine code with a hole: the same length, nothing on disk, and nothing to compress."""
    section = re.search(r"\.nv_fatbin\s+PROGBITS\s+\w+\s+(\w+)\s+(\w+)", _out("readelf", "-W", "-S", str(library)))
    if section:
        offset, length = (str(int(digits, 16)) for digits in section.groups())
        _out("fallocate", "--punch-hole", "--offset", offset, "--length", length, str(library))


def _out(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
