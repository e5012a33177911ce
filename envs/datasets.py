"""The data sets that can be had: their files, where they come from, what is already here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from . import celeba
from .idx import FOLDERS, DataError, read_bytes, resolve_data_dir


@dataclass(frozen=True)
class DataFile:
    """One file as it was published.

    Attributes:
        name: in the data set's folder.
        size: in bytes.
        sha256: of the file.
        unpacked_md5: of what a gzip file holds; such a file may also lie here unpacked, or
            packed anew, without `.gz` in the first case.
        optional: whether the reader does without.
    """

    name: str
    size: int
    sha256: str
    unpacked_md5: str = ""
    optional: bool = False


@dataclass(frozen=True)
class DataSet:
    """A data set by the name of its source of frames.

    Attributes:
        mirrors: where its files lie, as URLs that end in a slash, to be tried in turn; none
            where they must be fetched by hand.
        page: of the authors, for people.
    """

    name: str
    licence: str
    page: str
    files: tuple[DataFile, ...]
    mirrors: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def folder(self, data_dir: str | Path | None) -> Path:
        """Its folder below the data directory, be it there or not; `$VASE_RL_DATA` without one.

        Raises:
            DataError: no data directory was given.
        """
        root = resolve_data_dir(data_dir)
        if root is None:
            raise DataError("the data directory must be given as --data-dir or in VASE_RL_DATA, "
                            "got neither")  # fmt: skip
        folders = [root / name for name in FOLDERS[self.name]]
        return next((folder for folder in folders if folder.is_dir()), folders[0])


# Sizes and SHA-256 are TensorFlow Datasets' (`url_checksums`), MD5 those of the unpacked files as
# many projects list them; torchvision's mirrors, and for MNIST also TensorFlow's.
DATASETS = {
    "mnist": DataSet(
        "mnist",
        "CC BY-SA 3.0",
        "http://yann.lecun.com/exdb/mnist/",
        (
            DataFile(
                "train-images-idx3-ubyte.gz", 9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "6bbc9ace898e44ae57da46a324031adb",
            ),
            DataFile(
                "train-labels-idx1-ubyte.gz", 28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "a25bea736e30d166cdddb491f175f624",
            ),
            DataFile(
                "t10k-images-idx3-ubyte.gz", 1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "2646ac647ad5339dbf082846283269ea",
            ),
            DataFile(
                "t10k-labels-idx1-ubyte.gz", 4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "27ae3e4e09519cfbb04c329615203637",
            ),
        ),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "fashion": DataSet(
        "fashion",
        "MIT",
        "https://github.com/zalandoresearch/fashion-mnist",
        (
            DataFile(
                "train-images-idx3-ubyte.gz", 26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            ),
            DataFile(
                "train-labels-idx1-ubyte.gz", 29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "9018921c3c673c538a1fc5bad174d6f9",
            ),
            DataFile(
                "t10k-images-idx3-ubyte.gz", 4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "8181f5470baa50b63fa0f6fddb340f0a",
            ),
            DataFile(
                "t10k-labels-idx1-ubyte.gz", 5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
        ),
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
    ),
    "celeba": DataSet(
        "celeba",
        "non-commercial research only",
        "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        (
            DataFile(
                f"{celeba.ARCHIVE}.zip", 1_443_490_838,
                "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
            ),
            DataFile(
                celeba.PARTITION, 2_836_386,
                "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
                optional=True,
            ),
        ),
    ),
}  # fmt: skip


def choose(names: list[str]) -> list[DataSet]:
    """The data sets of these names.

    Raises:
        ValueError: there is no such data set.
    """
    for name in names:
        if name not in DATASETS:
            raise ValueError(f"NAME must be one of {', '.join(DATASETS)}, got {name!r}")
    return [DATASETS[name] for name in names]


def find(dataset: DataSet, file: DataFile, folder: Path) -> Path | None:
    """Where a file lies below the data set's folder, be it unpacked; None where it does not."""
    unpacked = file.name.removesuffix(".gz").removesuffix(".zip")
    if dataset.name == "celeba":
        return celeba.find(folder, file.name) or celeba.find(folder, unpacked)
    return next((p for n in (file.name, unpacked) if (p := folder / n).exists()), None)


def is_published(path: Path, file: DataFile) -> bool:
    """Whether a file's content, packed or not, is what was published.

    Raises:
        DataError: it cannot be read.
    """
    try:
        if path.stat().st_size == file.size and sha256(path) == file.sha256:
            return True
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not file.unpacked_md5:
        return False
    content = hashlib.md5(read_bytes(path), usedforsecurity=False)
    return content.hexdigest() == file.unpacked_md5


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    import pooch

    return str(pooch.file_hash(str(path), "sha256"))
