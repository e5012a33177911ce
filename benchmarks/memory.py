"""How much memory it takes to read a recording that is much larger than that.

    python benchmarks/memory.py --gigabytes 5 --dir /somewhere/with/room

Writes a recording of 111×84 pixels into a folder below `--dir`, reads it in processes of their own,
once in order and once as shuffled batches of 64×64, removes it, and says how much memory each
process had at its peak, all libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from tqdm import tqdm

SHAPE = (84, 111, 3)
PIECE = 256
EPISODE_FRAMES = 1000
LIMIT_MB = 300


def piece(number: int) -> np.ndarray:
    """256 frames that no other piece has, cheaply made and hard to compress."""
    frames = np.random.default_rng(number % 16).integers(0, 256, (PIECE, *SHAPE), dtype=np.uint8)
    return frames + np.uint8(number % 251)


def write_npz(path: Path, pieces: int) -> Path:
    """One uncompressed array, written as it comes, and marks of its episodes."""
    path = path.with_suffix(".npz")
    total = pieces * PIECE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("frames.npy", "w", force_zip64=True) as file:
            write_header(file, np.dtype(np.uint8), (total, *SHAPE))
            for number in tqdm(range(pieces), desc="writing NPZ"):
                file.write(piece(number).data)
        with archive.open("is_first.npy", "w") as file:
            write_header(file, np.dtype(bool), (total,))
            file.write((np.arange(total) % EPISODE_FRAMES == 0).data)
    return path


def write_header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """That of a `.npy` file."""
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, fields)


def write_hdf5(path: Path, pieces: int) -> Path:
    """One data set in chunks of 64 frames."""
    import h5py

    path, total = path.with_suffix(".hdf5"), pieces * PIECE
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", (total, *SHAPE), np.uint8, chunks=(64, *SHAPE))
        for number in tqdm(range(pieces), desc="writing HDF5"):
            frames[number * PIECE : (number + 1) * PIECE] = piece(number)
        file["is_first"] = np.arange(total) % EPISODE_FRAMES == 0
    return path


WRITERS: dict[str, Callable[[Path, int], Path]] = {"npz": write_npz, "hdf5": write_hdf5}


def peak_mb() -> float:
    """Most resident memory that this process ever had, in MB of 2**20 bytes.

    From `/proc` on Linux, whose `getrusage` counts the process that started this one too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(path: Path, order: str) -> dict[str, Any]:
    """Reads all frames; the peak before is that of the interpreter and the libraries."""
    from vase_rl.envs import RecordedTrajectories
    from vase_rl.envs.trajectories.preparation import prepare

    with RecordedTrajectories(path) as recording:
        before, start = peak_mb(), time.perf_counter()
        if order == "in order":
            frames = sum(len(piece) for episode in recording for piece in episode.chunks())
        else:
            frames = sum(map(len, recording.batches(64, prepare=prepare, epochs=1)))
        seconds = time.perf_counter() - start
    return {
        "frames": frames, "seconds": seconds, "before_mb": before, "peak_mb": peak_mb(),
        "torch": "torch" in sys.modules,
    }  # fmt: skip


def read_apart(path: Path, order: str) -> dict[str, Any]:
    """`read` in a fresh process."""
    command = [sys.executable, __file__, "--read", str(path), "--order", order]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(arguments: list[str]) -> None:
    """Write, read, remove, print a table, write `memory.json`."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="where there is room for it")
    parser.add_argument("--out", type=Path, default=Path("runs/memory"))
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.read is not None:
        print(json.dumps(read(options.read, options.order)))
        return
    pieces = int(np.ceil(options.gigabytes * 1e9 / (PIECE * np.prod(SHAPE))))
    rows = []
    print(
        "| recording | read | frames | seconds | before, MB | peak, MB |\n|---|---|---|---|---|---|"
    )
    for format, write in WRITERS.items():
        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
            path = write(Path(folder) / "recording", pieces)
            size = path.stat().st_size
            for order in ("in order", "shuffled"):
                row = {"format": format, "bytes": size, "order": order, **read_apart(path, order)}
                assert row["frames"] == pieces * PIECE
                rows.append(row)
                print(f"| {format}, {size / 1e9:.2f} GB | {order} | {row['frames']:,} | "
                      f"{row['seconds']:.1f} | {row['before_mb']:.0f} | {row['peak_mb']:.0f} |",
                      flush=True)  # fmt: skip
    worst = max(row["peak_mb"] for row in rows)
    print(f"\nPeak of all: {worst:.0f} MB; the limit is {LIMIT_MB} MB.")
    options.out.mkdir(parents=True, exist_ok=True)
    found = {"rows": rows, "peak_mb": worst, "limit_mb": LIMIT_MB, "limit_kept": worst < LIMIT_MB}
    (options.out / "memory.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
