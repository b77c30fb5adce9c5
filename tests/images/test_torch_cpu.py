"""Stubs of CUDA's libraries: a stub lets the library that needs it load, and fails as CUDA does."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from images.inside import torch_cpu

pytestmark = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("readelf")), reason="needs gcc and readelf, which the builds have"
)
VERSIONED = "{ global: cublasCreate; }"


def compile_library(folder: Path, soname: str, source: str, *options: str) -> Path:
    file = folder / soname
    (folder / "source.c").write_text(source, encoding="ascii")
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(file), str(folder / "source.c"), *options]
    subprocess.run(command, check=True, cwd=folder)
    return file


def call_in_a_fresh_process(library: Path) -> int:
    """What `call` of a library returns; here torch may have loaded the real ones, and a process loads a name once."""
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).call())"
    return int(subprocess.check_output([sys.executable, "-c", code, str(library)]))


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """A library that needs one CUDA library with versions and one without; both are gone."""
    folder = tmp_path / "lib"
    folder.mkdir()
    script = tmp_path / "versions"
    script.write_text(f"libcublas.so.13 {VERSIONED};\n", encoding="ascii")
    away = tmp_path / "cuda"
    away.mkdir()
    blas = compile_library(
        away, "libcublas.so.13", "int cublasCreate(void){return 0;}", f"-Wl,--version-script={script}"
    )
    nccl = compile_library(away, "libnccl.so.2", "int ncclInit(void){return 0;}")
    calls = "int cublasCreate(void); int ncclInit(void);"
    calls += "int call(void){return 10*cublasCreate()+ncclInit();}"
    compile_library(folder, "libtorch_cuda.so", calls, str(blas), str(nccl), "-Wl,-rpath,$ORIGIN")
    return folder


def test_a_stub_is_written_for_what_is_missing(libraries: Path) -> None:
    assert torch_cpu.stub_all(libraries) == ["libcublas.so.13", "libnccl.so.2"]
    assert call_in_a_fresh_process(libraries / "libtorch_cuda.so") == 11
    assert torch_cpu.stub_all(libraries) == []


def test_symbols_keep_their_versions(libraries: Path) -> None:
    wants = torch_cpu.scan(libraries)
    assert wants.of("libcublas.so.13") == [torch_cpu.Symbol("cublasCreate", "libcublas.so.13", "FUNC")]
    assert [symbol.name for symbol in wants.of("libnccl.so.2")] == ["ncclInit"]
    assert wants.of("libcurand.so.10") == []


def test_the_driver_and_what_is_there_are_left_alone(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    driver = compile_library(away, "libcuda.so.1", "int cuInit(void){return 0;}")
    runtime = compile_library(away, "libcudart.so.13", "int cudaFree(void){return 0;}")
    compile_library(
        tmp_path,
        "libx.so",
        "int cuInit(void); int cudaFree(void); int f(void){return cuInit()+cudaFree();}",
        str(driver),
        str(runtime),
    )
    assert torch_cpu.stub_all(tmp_path) == []


@pytest.mark.skipif(not shutil.which("fallocate"), reason="needs fallocate")
def test_gpu_code_becomes_a_hole(tmp_path: Path) -> None:
    source = 'char code[65536] __attribute__((section(".nv_fatbin"))) = {1}; int f(void){return 5;}'
    file = compile_library(tmp_path, "libtorch_cuda.so", source)
    size = file.stat().st_size
    torch_cpu.drop_gpu_code(file)
    assert file.stat().st_size == size
    assert ctypes.CDLL(str(file)).f() == 5
    assert ctypes.c_char.in_dll(ctypes.CDLL(str(file)), "code").value == b"\0"
