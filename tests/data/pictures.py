"""Pictures for tests: made, encoded, put into folders of classes, packed and scanned."""

import io
import tarfile

import numpy as np
from PIL import Image

from sklearnish.data._sources.images.source import images_in_folder, images_in_tar


def smooth(height=48, width=64, seed=0):
    """A picture that survives JPEG."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels, form="JPEG", mode=None, **keywords):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image = image.convert(mode) if mode else image
    settings = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "PNG": {}}[form]
    image.save(file, form, **{**settings, **keywords})
    return file.getvalue()


def put(path, form="PNG", seed=0, **keywords):
    """Write a small picture, and the folders around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(smooth(6, 8, seed), form, **keywords))
    return path


def classes(root):
    """Three classes of 2 pictures in three formats, one of them in a folder of its own."""
    for i, (name, form) in enumerate([("cat", "JPEG"), ("dog", "PNG"), ("ant", "WEBP")]):
        (root / name / "deep").mkdir(parents=True)
        (root / name / f"1.{form.lower()}").write_bytes(encoded(smooth(seed=i), form))
        (root / name / "deep" / f"0.{form.lower()}").write_bytes(encoded(smooth(seed=9), form))
    return root


def pack(path, folder, mode="w", arcname="root"):
    with tarfile.open(path, mode) as tar:
        tar.add(folder, arcname=arcname)
    return path


def paths_of(source):
    return source.read(np.arange(source.n_rows), ["path"])["path"].to_pylist()


def scanned(form, folder, **keywords):
    """Scan a folder, or a tar of it."""
    if form == "folder":
        return images_in_folder(folder, **keywords)
    tar = folder.parent / "packed.tar"
    arcname = {"tar": ".", "tar of the folder itself": folder.name}[form]
    return images_in_tar(pack(tar, folder, arcname=arcname), **keywords)


FORMS = ["folder", "tar", "tar of the folder itself"]
