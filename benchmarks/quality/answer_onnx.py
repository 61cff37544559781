"""Ask onnxruntime for what ONNX files make of images: numpy and onnxruntime alone, so that an emulated CPU can run it.

    python benchmarks/quality/answer_onnx.py IMAGES.npz OUT_FOLDER MODEL.onnx ...

IMAGES.npz holds (1, C, H, W) float32 arrays; OUT_FOLDER/MODEL.npz gets (sH, sW, C) uint8 ones under the same names.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def answer(model: Path, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One thread; clamped, then rounded."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), settings, providers=['CPUExecutionProvider'])
    found = {}
    for name, image in images.items():
        (output,) = session.run(None, {'lq': image})
        found[name] = (output[0].clip(0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return found


def main() -> None:
    images, out, *models = map(Path, sys.argv[1:])
    with np.load(images) as file:
        shown = dict(file)
    for model in models:
        np.savez(out / f'{model.stem}.npz', **answer(model, shown))


if __name__ == '__main__':
    main()
