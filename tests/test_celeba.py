"""CelebA, read from small files in the official layout."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vase_rl.envs import DataError, SpriteStream, celeba, make_source
from vase_rl.envs.celeba import choose_split, decode, open_images, read_partition
from vase_rl.envs.families import load_bank

COUNT = 12
PARTITION = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2]


def picture(number: int) -> np.ndarray:
    """An aligned image, `20 * number` in the patch around the face and white elsewhere."""
    image = np.full((218, 178, 3), 255, np.uint8)
    image[121 - 64 : 121 + 64, 89 - 64 : 89 + 64] = 20 * number
    return image


def jpeg(image: np.ndarray) -> bytes:
    done, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return bytes(content)


def write_celeba(root: Path, form: str, partition: bool = True) -> Path:
    """The official layout: `img_align_celeba.zip` or what it unpacks to, and the partition."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for number in range(1, COUNT + 1):
        path = folder / "img_align_celeba" / f"{number:06d}.jpg"
        path.write_bytes(jpeg(picture(number)))
    if form == "zip":
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            archive.mkdir("img_align_celeba")
            for path in sorted((folder / "img_align_celeba").iterdir()):
                archive.write(path, f"img_align_celeba/{path.name}")
        shutil.rmtree(folder / "img_align_celeba")
    if partition:
        lines = [f"{number:06d}.jpg {part}\n" for number, part in enumerate(PARTITION, start=1)]
        (folder / "list_eval_partition.txt").write_text("".join(lines))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_celeba(tmp_path, "zip")


def greys(root: Path, split: str = "train", **options: bool) -> list[int]:
    """Which pictures a split shows, by the grey around the face; it must be even."""
    bank = load_bank("celeba", 32, split=split, data_dir=root, **options)
    patches = bank.images[np.arange(len(bank))]
    assert patches.shape == (len(bank), 32, 32)
    assert patches.dtype == np.uint8
    assert np.ptp(patches.astype(int), axis=(1, 2)).max() <= 4, "the patch is not the face's"
    assert bank.factors["class"].tolist() == [0] * len(bank)
    return [round(float(patch.mean()) / 20) for patch in patches]


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_the_patch_around_the_face_in_the_official_splits(tmp_path, form):
    write_celeba(tmp_path, form)
    assert greys(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert greys(tmp_path, "test") == [9, 10, 11, 12]


def test_without_a_partition_every_tenth_image_is_for_tests(tmp_path):
    write_celeba(tmp_path, "zip", partition=False)
    assert greys(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]
    assert greys(tmp_path, "test") == [10]


def test_folders_as_the_authors_sort_them(tmp_path, root):
    folder = root / "celeba"
    for name, place in (("img_align_celeba.zip", "Img"), ("list_eval_partition.txt", "Eval")):
        (folder / place).mkdir()
        (folder / name).rename(folder / place / name)
    assert greys(tmp_path, "test") == [9, 10, 11, 12]


def test_colours_become_grey_as_luminance(tmp_path):
    image = picture(1)
    image[57:185, 25:153] = (30, 200, 90)
    folder = tmp_path / "CelebA" / "img_align_celeba"
    folder.mkdir(parents=True)
    (folder / "000001.jpg").write_bytes(jpeg(image))
    patch = load_bank("celeba", 64, data_dir=tmp_path).images[np.array([0])]
    assert patch.shape == (1, 64, 64)
    # OpenCV's images are blue, green, red; the weights are those of BT.601.
    assert np.allclose(patch, 0.114 * 30 + 0.587 * 200 + 0.299 * 90, atol=3)


def test_sources_show_the_patch_as_the_whole_frame(root):
    batch = make_source("celeba", size=32, data_dir=root).sample(40)
    assert batch.frames.shape == (40, 32, 32, 1)
    shown = np.rint(batch.frames.mean(axis=(1, 2, 3)) / 20)
    assert set(shown) == {1, 2, 3, 4, 5, 6}
    negative = make_source("inverted-celeba", size=32, data_dir=root).sample(40).frames
    shown = np.rint((255 - negative.mean(axis=(1, 2, 3))) / (0.8 * 20))
    assert set(shown) == {1, 2, 3, 4, 5, 6}


def test_images_are_read_when_they_are_shown_and_once(root, monkeypatch):
    reads = []
    read = celeba.ZipStore.read
    monkeypatch.setattr(
        celeba.ZipStore, "read", lambda self, name: (reads.append(name), read(self, name))[1]
    )
    bank = load_bank("celeba", 24, data_dir=root)
    assert reads == []
    for _ in range(2):
        bank.images[np.array([2, 5, 2])]
    assert reads == ["000003.jpg", "000006.jpg"]


def test_a_full_store_of_patches_keeps_no_more(root, monkeypatch):
    monkeypatch.setattr(celeba, "KEPT_BYTES", 2 * 28**2)
    bank = load_bank("celeba", 28, data_dir=root)
    patches = bank.images[np.arange(6)]
    assert np.array_equal(bank.images[np.arange(6)], patches)
    assert len(bank.images._kept) == 2


def shown_by_a_child(bank, answers) -> None:
    means = bank.images[np.arange(6)].mean(axis=(1, 2))
    answers.put((means, bank.images._store._process == os.getpid()))


def test_a_forked_process_reads_on_its_own(root):
    bank = load_bank("celeba", 20, data_dir=root)
    store, process = open_images(root / "celeba"), os.getpid()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=shown_by_a_child, args=(bank, answers))
    with warnings.catch_warnings():
        # Newer Pythons warn of any fork beside threads; the child only reads a file.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    means, on_its_own = answers.get()
    child.join()
    assert on_its_own
    assert np.allclose(means, 20 * np.arange(1, 7), atol=2)
    assert store._process == process


GOOD = jpeg(picture(3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a JPEG starts with FFD8, got nothing"),
        (b"\x89PNG", "a JPEG starts with FFD8, got 8950"),
        (GOOD[: len(GOOD) // 2], "the JPEG is cut short: no FFD9 at the end of its"),
        (b"\xff\xd8 nothing of the kind \xff\xd9", "the JPEG cannot be decoded"),
        (jpeg(np.zeros((218, 200), np.uint8)), "an aligned image is 178x218 pixels, got 200x218"),
    ],
)
def test_damaged_images(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        decode(content)
    write_celeba(tmp_path, "folder")
    path = tmp_path / "celeba" / "img_align_celeba" / "000003.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        greys(tmp_path)
    assert f"{path.parent}: 000003.jpg: " in str(caught.value)
    assert greys(tmp_path, skip_bad=True) == [1, 2, 4, 4, 5, 6], "its neighbour stands in"


def test_skipped_images_are_counted_once(tmp_path):
    write_celeba(tmp_path, "folder")
    for number in (2, 3, 6):
        (tmp_path / "celeba" / "img_align_celeba" / f"{number:06d}.jpg").write_bytes(b"")
    env = SpriteStream("celeba:200", size=32, data_dir=tmp_path, skip_bad=True)
    observation, _ = env.reset(seed=0)
    seen = set()
    for _ in range(199):
        seen.add(round(float(observation.mean()) / 20))
        observation = env.step(0)[0]
    assert seen == {1, 4, 5}, "the last one's neighbour is the first"
    assert len(env.skipped) == 3
    assert all("got nothing" in line for line in env.skipped)


def test_nothing_stands_in_for_nothing(tmp_path):
    write_celeba(tmp_path, "folder")
    for path in (tmp_path / "celeba" / "img_align_celeba").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of its 6 images can be read, the first because of"):
        greys(tmp_path, skip_bad=True)


def test_a_zip_that_is_damaged_inside_names_the_member(root):
    path = root / "celeba" / "img_align_celeba.zip"
    content = bytearray(path.read_bytes())
    content[content.index(b"img_align_celeba/000004.jpg") + 400] ^= 0xFF
    path.write_bytes(content)
    message = r"zip: img_align_celeba/000004.jpg: the zip is damaged there \(Bad CRC-32"
    with pytest.raises(DataError, match=message):
        greys(root)
    assert greys(root, skip_bad=True) == [1, 2, 3, 5, 5, 6]


@pytest.mark.parametrize("keep", [0.5, 0])
def test_a_zip_that_is_cut_short(root, keep):
    path = root / "celeba" / "img_align_celeba.zip"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"img_align_celeba\.zip: not a whole zip file"):
        greys(root)


@pytest.mark.parametrize(
    ("line", "got"),
    [("000001.jpg", "'000001.jpg'"), ("000001.jpg 3", "'000001.jpg 3'"), ("", "''")],
)
def test_damaged_partitions(tmp_path, line, got):
    path = tmp_path / "list_eval_partition.txt"
    path.write_text(f"000000.jpg 1\n{line}\n000002.jpg 0\n")
    with pytest.raises(DataError, match=f"line 2 must be an image's name and 0, 1 or 2, got {got}"):
        read_partition(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt: cannot be read"):
        read_partition(path)


def test_a_partition_that_leaves_nothing(tmp_path, root):
    path = tmp_path / "celeba" / "list_eval_partition.txt"
    path.write_text("000001.jpg 0\n999999.jpg 2\n")
    assert greys(root) == [1]
    with pytest.raises(DataError, match=r"must leave an image for 'test', got none of the 12 in"):
        choose_split(open_images(root / "celeba"), path, "test")


def test_missing_images(tmp_path):
    message = r"data_dir must hold one of celeba/, CelebA/ for celeba"
    with pytest.raises(DataError, match=message):
        make_source("celeba", data_dir=tmp_path)
    (tmp_path / "celeba").mkdir()
    with pytest.raises(DataError, match=r"must hold img_align_celeba.zip or img_align_celeba/, go"):
        make_source("celeba", data_dir=tmp_path)
    (tmp_path / "celeba" / "img_align_celeba").mkdir()
    with pytest.raises(DataError, match=r"must hold images such as 000001.jpg, got none"):
        make_source("celeba", data_dir=tmp_path)
