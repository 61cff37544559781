"""What TensorBoard is shown of a validation beside its metrics: how far the student is from its teacher, and pictures.

`teacher_gap/<set>`: mean PSNR of the student's images against the teacher's, both rounded to 8 bits, measured as the
first `calculate_psnr` of `val.metrics` is. `pictures_GT_student_teacher/<set>/<image>`: a crop of the first images, at
the same place in every validation. Without a teacher (training alone, or from a complete cache, for which it is not
loaded) there is no gap to measure, and the pictures are of ground truth and student; without such a metric there is no
protocol to measure a gap by. Only with `logger.use_tb_logger: true`; no random number is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from basicsr.utils import tensor2img
from torch import Tensor, nn

from dukd_basicsr.evaluation.metrics import score
from dukd_basicsr.evaluation.pictures import find_most_different_crop, magnify, put_side_by_side

if TYPE_CHECKING:
    from basicsr.models.sr_model import SRModel

GAP = 'teacher_gap'
SHOWN = 3
"""How many images of a set are shown: its first ones."""
CROP = 96
"""Side of the crop that is shown of each, in HR pixels, twice as large: some 60 KiB a picture in the event file."""
KEPT_BYTES = 2**30
"""The most bytes of teacher images that a process keeps: all of Set5, Set14, B100, Urban100 and DIV2K's 100 take
1.1 GiB in one process. What is beyond is asked for again at every validation, which costs time and never memory."""


@dataclass(frozen=True)
class Image:
    """What is left of one image once the networks are done with it; tensors on the CPU, (1, C, H, W) in [0, 1]."""

    path: str
    """As the data set names it."""
    lq: Tensor
    result: Tensor
    gt: Tensor | None
    teacher: np.ndarray | None = None
    """(H, W, 3) or (H, W), uint8, BGR; only where something is made of it."""
    shown: bool = False


class TeacherImages:
    """What a teacher makes of validation images, in 8 bits: each asked for once, and kept as long as there is room.

    Several teachers give the mean of their outputs, which is what the student learns of them, whether they are
    averaged or drawn.

    Args:
        limit (int): Bytes that may be kept.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.room = limit
        self._kept: dict[tuple[str, str], np.ndarray] = {}

    def find(self, set_name: str, path: str) -> np.ndarray | None:
        """The image made of `path` of a set, (H, W, 3) or (H, W), uint8, BGR; None if it was not kept."""
        return self._kept.get((set_name, path))

    def keep(self, set_name: str, path: str, outputs: Sequence[Tensor]) -> np.ndarray:
        """Round what the teachers answered, (1, C, H, W) each, and keep it where it fits; returns the image."""
        image = tensor2img([torch.stack([output.cpu() for output in outputs]).mean(0)])
        if image.nbytes <= self.room:
            self.room -= image.nbytes
            self._kept[set_name, path] = image
        return image


def is_wanted(opt: Mapping[str, Any]) -> bool:
    """Whether a run writes to TensorBoard; asked of the options, since all ranks must know and one has the writer."""
    return bool(opt.get('is_train') and (opt.get('logger') or {}).get('use_tb_logger') and 'debug' not in opt['name'])


class Board:
    """The part of one validation of one set that goes to TensorBoard only; does nothing in a run without it.

    Args:
        model (SRModel): Or a subclass; with `net_t`, if it has a teacher, whose images it keeps as `teacher_images`.
        set_name (str): The set's.
        rank (int): Of this process: the first one's images are shown.
    """

    def __init__(self, model: SRModel, set_name: str, rank: int) -> None:
        self.model, self.set_name = model, set_name
        self.wanted = is_wanted(model.opt)
        self.number_shown = SHOWN if self.wanted and rank == 0 else 0
        self.teachers: Sequence[nn.Module] = getattr(getattr(model, 'net_t', None), 'members', ())
        metrics = (model.opt['val'].get('metrics') or {}).values()
        self.psnr = next((metric for metric in metrics if metric['type'] == 'calculate_psnr'), None)
        self.pictures: dict[str, np.ndarray] = {}

    def watch(self, images: Iterable[Image]) -> Iterator[Image]:
        """The images, each with the teacher's where something will be made of it."""
        for number, image in enumerate(images):
            shown = number < self.number_shown and image.gt is not None
            asked = self.wanted and self.teachers and (shown or self.psnr)
            yield replace(image, shown=shown, teacher=self._find_teacher_image(image) if asked else None)

    def finish(self, image: Image, sr: np.ndarray, gt: np.ndarray | None) -> dict[str, float]:
        """Take one of `watch` in 8 bits, (H, W, 3) or (H, W), BGR; returns its gap, if there is one."""
        teacher = image.teacher
        if image.shown and gt is not None and gt.shape == sr.shape:
            panels = {'GT': gt, 'student': sr} | ({} if teacher is None else {'teacher': teacher})
            tag = f'pictures_{"_".join(panels)}/{self.set_name}/{Path(image.path).stem}'
            self.pictures[tag] = draw_crops(list(panels.values()), tensor2img([image.lq]))
        if teacher is None or self.psnr is None:
            return {}
        return score(sr, teacher, {GAP: self.psnr})

    def write(self, tb_logger: Any, scores: Sequence[Mapping[str, float]], iteration: int | str) -> None:
        """Write what there is.

        Args:
            tb_logger (SummaryWriter | None): Of the first process; the others have none.
            scores (Sequence[Mapping[str, float]]): With what `finish` returned, of the images of all processes.
            iteration (int | str): Where the run is.
        """
        if not self.wanted or tb_logger is None:
            return
        gaps = [score[GAP] for score in scores if GAP in score]
        if gaps:
            tb_logger.add_scalar(f'{GAP}/{self.set_name}', sum(gaps) / len(gaps), iteration)
        for tag, picture in self.pictures.items():
            tb_logger.add_image(tag, picture[..., ::-1], iteration, dataformats='HWC')

    def _find_teacher_image(self, image: Image) -> np.ndarray:
        images = getattr(self.model, 'teacher_images', None)
        if images is None:
            images = self.model.teacher_images = TeacherImages()
        found = images.find(self.set_name, image.path)
        if found is not None:
            return found
        lq = image.lq.to(self.model.device)
        compiled = (self.model.opt.get('train') or {}).get('compile')
        with torch.compiler.set_stance('force_eager') if compiled else nullcontext():  # images have many sizes
            return images.keep(self.set_name, image.path, [teacher(lq) for teacher in self.teachers])


def draw_crops(images: Sequence[np.ndarray], lq: np.ndarray) -> np.ndarray:
    """The crop in which bicubic enlargement fails most, of each image, enlarged: the same place whatever is trained.

    Args:
        images (Sequence[np.ndarray]): Left to right, the ground truth first; (H, W, 3) or (H, W), uint8, of one size.
        lq (np.ndarray): What they are made of, (h, w, 3) or (h, w), uint8.

    Returns:
        np.ndarray: (2 * side, W, 3) uint8, on white; the side is CROP, or the image's where that is shorter.
    """
    gt = images[0]
    enlarged = cv2.resize(lq, gt.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    side = min(CROP, *gt.shape[:2])
    corner = find_most_different_crop([gt, enlarged], side)
    return put_side_by_side([magnify(image, corner, side, 2) for image in images])
