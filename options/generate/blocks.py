"""The parts of an options file as text; {scale}, {gt_size} and {patch} are filled in at last."""

from __future__ import annotations

LR_PATCH = 48
TEST_SETS = ('Set5', 'Set14', 'B100', 'Urban100')

DUKD_PARTS = """\
    zoom_in:  # crops of the HR patch, labelled by the teacher; ~ switches it off
      num: 1
    zoom_out:  # the LR patch shrunk by scale, with the LR patch as ground truth; ~ switches it off
      gt: true
    consistency:  # random invertible augmentation of the student's input; ~ switches it off
      ops: [invert, hflip, vflip, transpose]
      prob: 0.3
      views: [zoom_in, zoom_out]
"""
IN_BATCH_PARTS = """\
    zoom_in:  # crops of the HR patch, labelled by the teacher
      num: 1
    zoom_out: ~
    consistency:  # random invertible augmentation of the student's input; ~ switches it off
      ops: [invert, hflip, vflip, transpose]
      prob: 0.3
      views: [zoom_in]
    in_batch: 0.375  # 6 of the 16 samples make a crop in place of a pair: an iteration costs what KD's costs
    schedule:  # KD while the student is young, upcycling for the last 30 % of the iterations
      start: 175000
"""
TRAIN_SET = """\
  train:
    name: {data}
    type: PairedImageDataset
    dataroot_gt: datasets/{data}/{data}_train_HR_sub.lmdb
    dataroot_lq: datasets/{data}/{data}_train_LR_bicubic_X{scale}_sub.lmdb
    io_backend:
      type: lmdb

    gt_size: {gt_size}  # LR patches of {patch}x{patch}
    use_hflip: true
    use_rot: true

    # data loader
    num_worker_per_gpu: 6
    batch_size_per_gpu: 16
{epoch}    dataset_enlarge_ratio: 100
    prefetch_mode: ~
"""
DIV2K_EPOCH = """\
    # The workers start anew with every epoch, here of 100 times the 32,592 sub-images: 203,700 iterations.
"""
SCHEDULE = """\
  ema_decay: 0.999
  optim_g:
    type: Adam
    lr: !!float 1e-4
    weight_decay: 0
    betas: [0.9, 0.99]

  scheduler:
    type: MultiStepLR
    milestones: [100000, 200000]
    gamma: 0.1

  total_iter: 250000
  warmup_iter: -1  # no warm up
"""
METRICS = """\

  metrics:
    psnr:  # metric name, can be arbitrary
      type: calculate_psnr
      crop_border: {scale}
      test_y_channel: true
    ssim:
      type: calculate_ssim
      crop_border: {scale}
      test_y_channel: true
"""
LOGGING = """\

# logging settings
logger:
  print_freq: 100
  save_checkpoint_freq: !!float 5e3
  use_tb_logger: true
  wandb:
    project: ~
    resume_id: ~

# dist training settings
dist_params:
  backend: nccl
  port: 29500
"""


def fill(text: str, scale: int) -> str:
    """Put the numbers of a scale into a text."""
    numbers = {'scale': scale, 'gt_size': scale * LR_PATCH, 'patch': LR_PATCH}
    for name, number in numbers.items():
        text = text.replace(f'{{{name}}}', str(number))
    return text


def write_general(name: str, model_type: str) -> str:
    """Return the head of an options file, up to its data sets."""
    return (
        f'# general settings\nname: {name}\nmodel_type: {model_type}\nscale: {{scale}}\n'
        'num_gpu: auto  # all GPUs; 0 for the CPU\nmanual_seed: 10\n\n# dataset and data loader settings\ndatasets:\n'
    )


def write_paired_sets(phase: str) -> str:
    """Return the sections of the four test sets, `val`, `val_1` and so on."""
    sections = [
        f'  {phase}{f"_{number}" if number else ""}:\n    name: {name}\n    type: PairedImageDataset\n'
        f'    dataroot_gt: datasets/{name}/GTmod{{scale}}\n    dataroot_lq: datasets/{name}/LRbicx{{scale}}\n'
        '    io_backend:\n      type: disk\n'
        for number, name in enumerate(TEST_SETS)
    ]
    return '\n'.join(sections)
