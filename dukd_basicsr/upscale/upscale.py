"""`basicsr upscale`: every image found, enlarged, written; what cannot be read is said and passed over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dukd_basicsr.data.atomic import write_result
from dukd_basicsr.errors import RunError, UserError, format_bytes
from dukd_basicsr.evaluation.pictures import CROP, Panel, draw_side_by_side, encode_png, find_most_different_crop
from dukd_basicsr.networks.acceleration import find_device
from dukd_basicsr.networks.cost import read_physical_memory
from dukd_basicsr.networks.open_network import Opened, open_network
from dukd_basicsr.networks.tiling import Tiler, is_exact
from dukd_basicsr.upscale.encoding import encode, fit_to_format, to_8_bit
from dukd_basicsr.upscale.enlarge import Enlarger
from dukd_basicsr.upscale.files import Job, plan
from dukd_basicsr.upscale.images import Picture, UnusableImageError, read, read_size

_BYTES_PER_PIXEL, _BYTES_TO_COMPARE = 32, 76
"""Of an enlarged image, and more for a comparison picture: measured on one of 4000x4000."""


def upscale_images(
    inputs: Sequence[Path],
    out: Path,
    weights: Path,
    opt: Path | None = None,
    *,
    tile: int | None = None,
    kind: str = 'png',
    compare: bool = False,
    force: bool = False,
    skip_existing: bool = False,
    device: str | None = None,
) -> None:
    """Enlarge all images.

    Args:
        inputs (Sequence[Path]): Files, and folders that are searched with all of their sub-folders.
        out (Path): Folder of the results.
        weights (Path): Checkpoint or exported file.
        opt (Path | None): Options file with the network, where the weights do not tell it.
        tile (int | None): Side of the tiles in LR pixels, of all images that are larger; None: what memory allows.
        kind (str): Suffix of the results: png, jpg or webp.
        compare (bool): Whether to draw each image beside its bicubic enlargement, in out/compare.
        force (bool): Whether to write over results that are there.
        skip_existing (bool): Whether to leave images alone whose results are there.
        device (str | None): 'cpu' or 'cuda'; None: cuda where there is one.

    Raises:
        UserError: A mistake in what was asked for; said before the first image is computed.
        RunError: Some files were passed over, and all others are written; or nothing more can be written.
    """
    if tile is not None and tile < 1:
        raise UserError(f'--tile: {tile} is no side of a tile; write pixels of the small image, e.g. 256.')
    planned = plan(inputs, out, kind, compare, force or skip_existing)
    jobs = [job for job in planned if not (skip_existing and job.is_done())]
    if len(jobs) < len(planned):
        sys.stderr.write(f'basicsr upscale: {len(planned) - len(jobs)} of {len(planned)} are there already.\n')
    place = _choose_device(device)
    opened = open_network(weights, opt)
    if opened.channels not in (1, 3):
        raise UserError(f'{weights}: a network of {opened.channels} channels; images have 1 or 3.')
    for note in opened.notes:
        sys.stderr.write(f'basicsr upscale: {note}\n')
    tiler = Tiler(opened.net.to(place), opened.channels, place, tile)
    failed = _Enlarging(Enlarger(tiler, opened.scale), opened, kind).enlarge_all(jobs)
    done = len(jobs) - failed
    sys.stdout.write(f'{done} of {len(jobs)} images enlarged x{opened.scale} by {opened.name}: {out}\n')
    if failed:
        raise RunError(f'{failed} of {len(jobs)} images could not be enlarged; each is named above.')


def _choose_device(name: str | None) -> torch.device:
    if name == 'cuda' and not torch.cuda.is_available():
        raise UserError(f'--device cuda: torch {torch.__version__} sees no CUDA device; write --device cpu.')
    return find_device(name)


class _Enlarging:
    """The images one after the other, under one progress bar that counts LR pixels."""

    def __init__(self, enlarger: Enlarger, opened: Opened, kind: str) -> None:
        self.enlarger, self.opened, self.kind = enlarger, opened, kind
        self.tiles_explained = is_exact(opened.net)

    def enlarge_all(self, jobs: Sequence[Job]) -> int:
        """How many could not be enlarged."""
        failed, sizes = 0, [height * width for height, width in (read_size(job.source) for job in jobs)]
        with tqdm(total=sum(sizes), desc='upscale', unit='px', unit_scale=True, dynamic_ncols=True) as self.bar:
            done = 0
            for number, (job, size) in enumerate(zip(jobs, sizes, strict=True), 1):
                self.bar.set_postfix_str(f'{number}/{len(jobs)} {job.source.name}')
                try:
                    self.enlarge_one(job, done, size)
                except UnusableImageError as error:
                    self.say(f'{job.source}: {error}; it was passed over.')
                    failed += 1
                done += size
                self.move_to(done)
        return failed

    def enlarge_one(self, job: Job, done: int, size: int) -> None:
        """Read, enlarge and write an image."""
        picture = read(job.source)

        def progress(tiles: int, of: int) -> None:
            self.move_to(done + size * tiles // of)
            if of > 1 and not self.tiles_explained:
                self.tiles_explained = True
                overlap = self.enlarger.tiler.overlap
                self.say(
                    f'{self.opened.name} may see further than the {overlap} pixels by which its tiles overlap, so they '
                    'may differ a little from the image as a whole.'
                )

        self.require_memory(picture, _BYTES_PER_PIXEL + (_BYTES_TO_COMPARE if job.comparison else 0))
        try:
            large = self.enlarger(picture, progress)
        except (RuntimeError, MemoryError, RunError) as error:  # torch has no kind of its own for the CPU's memory
            reason = str(error).partition('\n')[0] or 'no memory'
            remedy = '; a smaller --tile takes less memory' if 'memory' in reason else ''
            raise UnusableImageError(f'{self.opened.name} failed on it ({reason}){remedy}') from None
        shown = fit_to_format(large, self.kind)
        write_result(job.target, encode(shown, self.kind))
        if job.comparison is not None:
            write_result(job.comparison, self.compare(picture, large))
        for note in shown.notes:
            self.say(f'{job.source}: {note}.')

    def require_memory(self, picture: Picture, a_pixel: int) -> None:
        """Refuse what Linux would end the process for."""
        height, width = (side * self.opened.scale for side in picture.pixels.shape[:2])
        need, there = height * width * a_pixel, read_physical_memory()
        if need > there:
            raise UnusableImageError(
                f'its {width}x{height} enlarged pixels take about {format_bytes(need)}, and there are '
                f'{format_bytes(there)}; cut it into parts'
            )

    def compare(self, picture: Picture, large: Picture) -> bytes:
        """PNG: bicubic beside the network, and where they differ most."""
        images = [_to_bgr(self.enlarger.enlarge_bicubic(picture)), _to_bgr(large.pixels)]
        crop = min(CROP, *images[0].shape[:2])
        panels = [Panel(name, image) for name, image in zip(('bicubic', self.opened.name), images, strict=True)]
        return encode_png(draw_side_by_side(panels, find_most_different_crop(images, crop), crop))

    def move_to(self, pixels: int) -> None:
        self.bar.update(pixels - self.bar.n)

    def say(self, text: str) -> None:
        self.bar.write(f'basicsr upscale: {text}', file=sys.stderr)


def _to_bgr(pixels: np.ndarray) -> np.ndarray:
    """8-bit BGR, or grey, as OpenCV draws it."""
    return np.ascontiguousarray(to_8_bit(pixels)[..., ::-1] if pixels.shape[2] == 3 else to_8_bit(pixels)[..., 0])
