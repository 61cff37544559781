"""Which networks the family has: teachers, students, and what is known of the authors' own files."""

from __future__ import annotations

from dataclasses import dataclass

SCALES = (2, 3, 4)

_RGB = '  img_range: 255.\n  rgb_mean: [0.4488, 0.4371, 0.4040]\n'
_EDSR = (
    '  type: EDSR\n  num_in_ch: 3\n  num_out_ch: 3\n  num_feat: {width}\n  num_block: 32\n'
    '  upscale: {scale}\n  res_scale: 0.1\n' + _RGB
)
_RCAN = (
    '  type: RCAN\n  num_in_ch: 3\n  num_out_ch: 3\n  num_feat: 64\n  num_group: 10\n  num_block: {blocks}\n'
    '  squeeze_factor: 16\n  upscale: {scale}\n  res_scale: 1\n' + _RGB
)
_SWINIR = (
    '  type: SwinIR\n  upscale: {scale}\n  in_chans: 3\n  img_size: 48  # the LR patch\n  window_size: 8\n'
    '  img_range: 1.\n  depths: {sixes}\n  embed_dim: {width}\n  num_heads: {sixes}\n  mlp_ratio: 2\n'
    '  upsampler: pixelshuffle\n  resi_connection: 1conv\n'
)


@dataclass(frozen=True)
class Architecture:
    """One architecture of the paper: its teacher, its student, and the authors' settings of its DUKD files."""

    title: str
    teacher: str
    """Options of the teacher; {scale} is filled in."""
    student: str
    teacher_size: str
    """As in sentences, e.g. '256x32'."""
    student_size: str
    teacher_tag: str
    """As in names of runs, e.g. 'f256b32'."""
    student_tag: str
    teacher_files: dict[int, str]
    """Published weights by scale."""
    teacher_source: str
    authors: dict[int, str]
    """What the authors' DUKD file of a scale has where ours has one method; notes of the student's losses."""
    teacher_key: str = 'params'
    """Which weights of the teacher's file."""
    alone_model: str = 'SRModel'
    """Trains and tests the student without a teacher; stock BasicSR pads windows in SwinIRModel only."""


_FIVE = 'pixel:kd = 5:1 (ours 1:1), also on zoom-out (zoom_out: {weight_gt: 5})'
_EDSR_FILES = {2: 'be38e77d', 3: '3660f70d', 4: '76ee1c8f'}
ARCHITECTURES = {
    'edsr': Architecture(
        title='EDSR',
        teacher=_EDSR.replace('{width}', '256'),
        student=_EDSR.replace('{width}', '64'),
        teacher_size='256x32',
        student_size='64x32',
        teacher_tag='f256b32',
        student_tag='f64b32',
        teacher_files={s: f'EDSR_Lx{s}_f256b32_DIV2K_official-{tag}.pth' for s, tag in _EDSR_FILES.items()},
        teacher_source="BasicSR's model zoo",
        authors={
            2: f'{_FIVE}, and 2 zoom-in crops (ours 1)',
            3: _FIVE,
            4: f'{_FIVE},\n  # and an x2 student to start from (ours: train_dukd_edsr_x4_from_x2.yml)',
        },
    ),
    'rcan': Architecture(
        title='RCAN',
        teacher=_RCAN.replace('{blocks}', '20'),
        student=_RCAN.replace('{blocks}', '6'),
        teacher_size='10x20',
        student_size='10x6',
        teacher_tag='g10b20',
        student_tag='g10b6',
        teacher_files={s: f'RCAN_BIX{s}.pt' for s in SCALES},
        teacher_source="RCAN's authors (their layout is read as it is)",
        authors={
            2: 'pixel:kd = 1:1 (as ours), but no consistency (ours 0.3) and no zoom-out (ours on)',
            3: 'pixel:kd = 2:1 (ours 1:1), also on zoom-out (zoom_out: {weight_gt: 2})',
            4: 'pixel:kd = 1:1 (as ours), but consistency 0.0 (ours 0.3) and no zoom-out (ours on)',
        },
    ),
    'swinir': Architecture(
        title='SwinIR',
        teacher=_SWINIR.replace('{width}', '180').replace('{sixes}', str([6] * 6)),
        student=_SWINIR.replace('{width}', '60').replace('{sixes}', str([6] * 4)),
        teacher_size='180x36',
        student_size='60x24',
        teacher_tag='c180s36',
        student_tag='c60s24',
        teacher_files={s: f'001_classicalSR_DIV2K_s48w8_SwinIR-M_x{s}.pth' for s in SCALES},
        teacher_source="SwinIR's authors",
        authors={
            2: 'pixel:kd = 5:1 (ours 1:1), no zoom-out (ours on) and embed_dim 18 (ours 60, as their file is named)',
            3: 'pixel:kd = 5:1 (ours 1:1) and no zoom-out (ours on)',
            4: 'pixel:kd = 5:1 (ours 1:1) and no zoom-out (ours on)',
        },
        alone_model='SwinIRModel',
    ),
}
PAPER = tuple(ARCHITECTURES)
"""Those with a teacher, a student and files of each scale."""
ARCHITECTURES['edsr_f64b16'] = Architecture(
    title='EDSR',
    teacher=_EDSR.replace('{width}', '64'),
    student=_EDSR.replace('{width}', '64').replace('num_block: 32', 'num_block: 16'),
    teacher_size='64x32',
    student_size='64x16',
    teacher_tag='f64b32',
    student_tag='f64b16',
    teacher_files={4: '../EDSR_x4_f64b32_DIV2K_250k_B16/models/net_g_250000.pth'},
    teacher_source='train_edsr_x4.yml: train that first',
    authors={},
    teacher_key='params_ema',
)


def _describe_student(title: str, options: str, size: str, tag: str) -> Architecture:
    """A network that has no teacher of its own kind here."""
    return Architecture(
        title=title, teacher='', student=options, teacher_size='', student_size=size, teacher_tag='', student_tag=tag,
        teacher_files={}, teacher_source='', authors={},
    )  # fmt: skip


SMALL = ('compact', 'ecbsr', 'span')
"""Students for phones and real time, in their published sizes."""
ARCHITECTURES |= {
    'compact': _describe_student(
        'SRVGGNetCompact',
        '  type: SRVGGNetCompact\n  num_in_ch: 3\n  num_out_ch: 3\n  num_feat: 64\n  num_conv: 16\n'
        '  upscale: {scale}\n  act_type: prelu\n',
        '64x16',
        'f64c16',
    ),
    'ecbsr': _describe_student(
        'ECBSR',
        '  type: ECBSR  # 95,472 parameters in training, 16,768 deployed (x4)\n  num_in_ch: 3\n  num_out_ch: 3\n'
        '  num_block: 4\n  num_channel: 16\n  with_idt: false\n  act_type: prelu\n  scale: {scale}\n',
        'M4C16',
        'm4c16',
    ),
    'span': _describe_student(
        'SPAN',
        "  type: SPAN  # spandrel's; 2,236,728 parameters in training, 426,288 deployed (x4)\n"
        '  num_in_ch: 3\n  num_out_ch: 3\n  feature_channels: 48\n  upscale: {scale}\n  norm: true\n' + _RGB,
        '48',
        'f48',
    ),
}
ACROSS = (
    ('edsr', 'rcan'), ('swinir', 'rcan'), ('swinir', 'edsr'), ('rcan', 'edsr'), *(('edsr', name) for name in SMALL),
)  # fmt: skip
"""Teacher and student of the examples across architectures, x4."""
