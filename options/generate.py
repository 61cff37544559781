"""Write the family of options files: every teacher, student, scale and method from the tables below.

python options/generate.py            writes the files that differ
python options/generate.py --check    writes nothing, names the files that differ, exits 1 if there are any
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SCALES = (2, 3, 4)
LR_PATCH = 48
TEST_SETS = ('Set5', 'Set14', 'B100', 'Urban100')

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
METHODS = {  # by the file name's part: model, title, the losses after pixel_opt
    'dukd_': ('DUKDModel', 'Data upcycling distillation (DUKD)', ('kd_opt', 'dukd_opt')),
    'kd_': ('DistillModel', 'Logits distillation', ('kd_opt',)),
    '': (None, 'The student alone', ()),
}
RIVALS = {  # as METHODS: title, the losses after pixel_opt, and its entry of feature_opt (docs/losses.md on weights)
    'fitnet_': ('FitNet hints', ('kd_opt',), 'type: FitNetLoss\nloss_weight: 3.0e-5'),
    'at_': ('Attention transfer (AT)', ('kd_opt',), 'type: ATLoss\nloss_weight: 0.03'),
    'fakd_': (
        'Feature-affinity distillation (FAKD)',
        ('kd_opt',),
        "type: FAKDLoss\nloss_weight: 0.08  # its authors' 10, for images in 0..255\naffinities: [spatial]\n"
        'largest_side: 24  # pixels are averaged 2x2 first; ~ for all of them, in 14 times the memory',
    ),
    'fsp_': ('Flow of the solution procedure (FSP)', ('kd_opt',), 'type: FSPLoss\nloss_weight: 1.0e-7'),
    'wavelet_': (
        'The wavelet loss of MTKD',
        (),
        'type: WaveletLoss\nloss_weight: 10.0  # its authors have 1, and 0.1 of ground truth\nlevels: 4',
    ),
    'csd_': (
        'Contrastive distillation (CSD)',
        (),
        "type: CSDLoss\nloss_weight: 0.8  # its authors' 200, for images in 0..255\nnegatives: 10\n"
        "vgg: experiments/pretrained_models/vgg19-dcbb9e9d.pth  # torchvision's VGG19",
    ),
    'rkd_': (
        'Relational distillation (RKD)',
        ('kd_opt',),
        "type: RKDLoss\nloss_weight: 0.1\ndistance_weight: 1.0\nangle_weight: 2.0  # its authors' 1 : 2",
    ),
    'crosskd_': ('Cross-head distillation (CrossKD)', (), 'type: CrossKDLoss\nloss_weight: 1.0'),
    'mipkd_': (
        'Mixture of priors (MiPKD)',
        ('kd_opt',),
        "type: MiPKDLoss\nloss_weight: 1.0\nfeature_weight: 0.004  # the paper's 1, over img_range\n"
        "block_weight: 0.1  # the paper's\nreconstruction_weight: 0.004",
    ),
}
OF_IMG_RANGE_1 = {
    'fitnet_': [('3.0e-5', '0.5')],
    'fsp_': [('1.0e-7', '10.0')],
    'mipkd_': [("0.004  # the paper's 1, over img_range", "1.0  # the paper's"), ('0.004', '1.0')],
}
"""What differs in the entries of RIVALS where features are of images in 0..1, as SwinIR's."""
METHODS |= {name: ('DistillModel', title, losses) for name, (title, losses, _) in RIVALS.items()}
REAL, REAL_SWINIR = 'train_dukd_real_rrdb_to_compact_x4.yml', 'train_dukd_real_swinir_x4.yml'
ACROSS = (('edsr', 'rcan'), ('swinir', 'rcan'), ('swinir', 'edsr'), ('rcan', 'edsr'))
"""Teacher and student of the examples across architectures, x4."""

_DUKD_PARTS = """\
    zoom_in:  # crops of the HR patch, labelled by the teacher; ~ switches it off
      num: 1
    zoom_out:  # the LR patch shrunk by scale, with the LR patch as ground truth; ~ switches it off
      gt: true
    consistency:  # random invertible augmentation of the student's input; ~ switches it off
      ops: [invert, hflip, vflip, transpose]
      prob: 0.3
      views: [zoom_in, zoom_out]
"""
_IN_BATCH_PARTS = """\
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
_TRAIN_SET = """\
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
_SCHEDULE = """\
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
_METRICS = """\

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
_LOGGING = """\

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


@dataclass(frozen=True)
class Training:
    """One training file."""

    method: str
    """A key of METHODS."""
    teacher: str
    student: str
    """Keys of ARCHITECTURES; without a teacher both are the student's."""
    scale: int
    staged: bool = False
    """Start from the x2 student of the same method and architectures."""
    data: str = 'DIV2K'
    """Or 'DF2K', for twice as many iterations."""
    upcycled: bool = False
    """Train from the teacher's labels that `basicsr upcycle` has written, without the teacher."""
    in_batch: bool = False
    """Upcycle in place of plain samples, late in the training."""

    @property
    def pair(self) -> str:
        """As in the file's name, e.g. 'edsr' or 'edsr_to_rcan'."""
        return self.student if self.teacher == self.student else f'{self.teacher}_to_{self.student}'

    @property
    def file(self) -> str:
        """E.g. 'train_dukd_edsr_x4.yml'."""
        return f'train_{self.method}{self.pair}_x{self.scale}{self._suffix}.yml'

    @property
    def _suffix(self) -> str:
        tags = '_from_x2' * self.staged + '_upcycled' * self.upcycled + '_in_batch' * self.in_batch
        return tags + '_df2k' * (self.data == 'DF2K')

    @property
    def _iterations(self) -> str:
        return '500k' if self.data == 'DF2K' else '250k'

    @property
    def name(self) -> str:
        """Of the run, e.g. 'DUKD_EDSR_x4_f256b32_f64b32_DIV2K_250k_B16'."""
        teacher, student = ARCHITECTURES[self.teacher], ARCHITECTURES[self.student]
        title = student.title if self.teacher == self.student else f'{teacher.title}_{student.title}'
        tags = f'{teacher.teacher_tag}_{student.student_tag}' if self.method else student.student_tag
        suffix = self._suffix.removesuffix('_df2k')
        return f'{self.method.upper()}{title}_x{self.scale}_{tags}_{self.data}_{self._iterations}_B16{suffix}'

    def text(self) -> str:
        """The whole file."""
        teacher, student = ARCHITECTURES[self.teacher], ARCHITECTURES[self.student]
        networks = f'# network structures\nnetwork_g:\n{student.student}'
        if self.method:
            networks += f'\nnetwork_t:\n{teacher.teacher}'
        return _fill(
            self._head()
            + _general(self.name, METHODS[self.method][0] or student.alone_model)
            + f'{self._train_set()}\n{_paired_sets("val")}\n{networks}\n{self._paths()}'
            + f'\n# training settings\ntrain:\n{self._schedule()}\n{self._losses()}'
            + f'\n# validation settings\nval:\n  val_freq: !!float 5e3\n  save_img: false\n{_METRICS}{_LOGGING}',
            self.scale,
        )

    def _head(self) -> str:
        teacher, student = ARCHITECTURES[self.teacher], ARCHITECTURES[self.student]
        title, dukd = METHODS[self.method][1], f'train_dukd_{self.pair}_x{self.scale}.yml'
        to = f'{student.title} {student.student_size}' if self.teacher != self.student else student.student_size
        sizes = f'{teacher.title} {teacher.teacher_size} -> {to}'
        if not self.method:
            sizes = f'{student.title} {student.student_size}'
        role = '' if self.method == 'dukd_' else f': the baseline of {dukd}'
        if self.method == 'dukd_':
            role = ', across architectures' if self.teacher != self.student else ": the paper's networks and schedule"
            role += ', from the x2 student' if self.staged else '' if self.in_batch else ', from scratch'
            role += ', its labels from a cache' if self.upcycled else ''
            role += ', in the seconds of KD' if self.in_batch else ''
        lines = [f'# {title}, {sizes}, x{self.scale}{role}.']
        if self.method:
            file = teacher.teacher_files[self.scale].removeprefix('../')
            lines.append(f'# The teacher is {file} of {teacher.teacher_source}.')
        if self.data == 'DF2K':
            lines.append('# The paper compares this, on the 3,450 images of DIV2K and Flickr2K for 500,000 iterations,')
            lines.append(f'# with {dukd} on DIV2K for 250,000. For the data: basicsr prepare DF2K.')
        if self.upcycled:
            lines.append('# First, once for all students and ablations of this teacher:')
            lines.append(f'# basicsr upcycle -opt options/{self.file}')
            lines.append('# Then without the teacher; network_t and its weights may be missing:')
        lines.append(f'# basicsr train -opt options/{self.file} [--auto_resume]')
        return '\n'.join(lines) + '\n'

    def _schedule(self) -> str:
        """Twice as long on DF2K, and the milestones with it."""
        numbers = (('100000, 200000', '200000, 400000'), ('250000', '500000')) if self.data == 'DF2K' else ()
        text = _SCHEDULE
        for old, new in numbers:
            text = text.replace(old, new)
        return text

    def _train_set(self) -> str:
        epoch = ('    # The workers start anew with every epoch, here of 100 times the 32,592 sub-images: 203,700 '
                 'iterations.\n' if self.data == 'DIV2K' else '')  # fmt: skip
        train_set = _TRAIN_SET.replace('{data}_train', 'DIV2K_train' if self.data == 'DIV2K' else self.data)
        train_set = train_set.replace('{data}', self.data).replace('{epoch}', epoch)
        if not self.upcycled:
            return train_set
        cache = f'datasets/DIV2K/DIV2K_train_X{{scale}}_{ARCHITECTURES[self.teacher].title}_upcycled.lmdb'
        plain, roots = '    type: PairedImageDataset\n', '    io_backend:\n'
        text = train_set.replace(plain, '    type: UpcycledImageDataset\n')
        return text.replace(roots, f'    dataroot_upcycled: {cache}\n{roots}')

    def _paths(self) -> str:
        path = '# path\npath:\n'
        if self.staged:
            first = Training(self.method, self.teacher, self.student, 2)
            path += (
                f'  # The student of {first.file}: train that first. Layers of the same shape are\n'
                '  # taken, the rest starts anew and is listed. The paper gains about 0.13 dB on Urban100 from it.\n'
                f'  pretrain_network_g: experiments/{first.name}/models/net_g_latest.pth\n  strict_load_g: false\n'
            )
        else:
            path += '  pretrain_network_g: ~\n  strict_load_g: true\n'
        if self.method:
            file = ARCHITECTURES[self.teacher].teacher_files[self.scale]
            file = f'experiments/pretrained_models/{file}'.replace('pretrained_models/../', '')
            path += f'  pretrain_network_t: {file}\n'
            path += f'  param_key_t: {ARCHITECTURES[self.teacher].teacher_key}\n  strict_load_t: true\n'
        return path + '  resume_state: ~\n'

    def _losses(self) -> str:
        student = ARCHITECTURES[self.student]
        text = '  # losses'
        if self.method in RIVALS:
            text += '. Networks, data and schedule are those of the other methods; weights: docs/losses.md.'
        elif self.method:
            text += '. The paper does not give its weights: 1 everywhere, one method for all networks.\n'
            text += (
                '  # The authors have no file for this pair.'
                if self.teacher != self.student or not student.authors
                else f"  # The authors' DUKD file of {student.title} x{self.scale} has\n"
                f'  # {student.authors[self.scale]}.'
            )
        blocks = []
        for name in ('pixel_opt', *METHODS[self.method][2]):
            block = f'  {name}:\n    type: L1Loss\n    loss_weight: 1.0\n    reduction: mean\n'
            parts = _IN_BATCH_PARTS if self.in_batch else _DUKD_PARTS
            blocks.append(block + (parts if name == 'dukd_opt' else ''))
        if self.method in RIVALS:
            entry = rival(self.method, self.student).replace('\n', '\n      ')
            blocks.append(f'  feature_opt:\n    {self.method[:-1]}:\n      {entry}\n')
        return text + '\n' + '\n'.join(blocks)


def rival(method: str, student: str) -> str:
    """The entry of feature_opt of a method, for a student."""
    entry = RIVALS[method][2]
    for old, new in OF_IMG_RANGE_1.get(method, ()) if student == 'swinir' else ():
        entry = entry.replace(old, new)
    return entry


def real_text() -> str:
    """The real-world file of SwinIR: that of RRDBNet into SRVGGNetCompact, written by hand, with other networks."""
    text = (HERE / REAL).read_text(encoding='ascii')
    head = (
        '# DUKD for real photographs: SwinIR 180x36 -> 60x24, x4\n'
        "# The teacher is 003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_PSNR.pth of SwinIR's authors.\n"
        "# The paper's real-world table has SwinIR alone, by KD and by DUKD, 11.9 M -> 1.24 M parameters, and NIQE.\n"
        '# These have 11.7 M -> 1.05 M, with the upsampler of those weights. Its data and degradation we do not know:\n'
        '# they are those of train_dukd_real_rrdb_to_compact_x4.yml, without sharpening. KD: --force_yml name=KD\n'
        '# train:dukd_opt:loss_weight=0, which does not save its views.\n'
        f'# basicsr train -opt options/{REAL_SWINIR} [--auto_resume]\n'
    )
    swinir = [block.replace('pixelshuffle', 'nearest+conv').replace('img_size: 48', 'img_size: 64')
              for block in (ARCHITECTURES['swinir'].student, ARCHITECTURES['swinir'].teacher)]  # fmt: skip
    networks = _fill(f'# network structures\nnetwork_g:\n{swinir[0]}\nnetwork_t:\n{swinir[1]}\n', 4)
    before, after = text.index('# network structures'), text.index('# path\n')
    text = head + text[text.index('# general settings') : before] + networks + text[after:]
    for old, new in (
        ('DUKD_Real_RRDB_x4plus_to_Compact_f64c16', 'DUKD_Real_SwinIR_x4_c180s36_c60s24'),
        ("gt_usm: true  # sharpened HR images, as this teacher's training had", 'gt_usm: false'),
        ('RealESRGAN_x4plus.pth', '003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_PSNR.pth'),
    ):
        if text.count(old) != 1:
            raise ValueError(f'{REAL} has no longer "{old}" once.')
        text = text.replace(old, new)
    return text


def test_text(arch: str, scale: int) -> str:
    """The test file of the student of an architecture."""
    student, training = ARCHITECTURES[arch], Training('dukd_', arch, arch, scale)
    head = (
        f'# The student of {training.file}, x{scale}. A student needs no teacher in a test, so this is '
        f'{student.alone_model}.\n# basicsr test -opt options/test_{arch}_x{scale}.yml\n'
        '# Another student of this size: '
        '--force_yml name=KD path:pretrain_network_g=experiments/NAME/models/net_g_250000.pth\n'
        '# Another architecture: copy its network_g from the file it was trained with.\n'
    )
    return _fill(
        head
        + _general(f'test_DUKD_{student.title}_x{scale}_{student.student_tag}', student.alone_model)
        + f'{_paired_sets("test")}\n# network structures\nnetwork_g:\n{student.student}'
        + f'\n# path\npath:\n  pretrain_network_g: experiments/{training.name}/models/net_g_250000.pth\n'
        + '  param_key_g: params_ema  # the averaged weights; params for a run with ema_decay: 0\n'
        + '  strict_load_g: true\n\n# validation settings\nval:\n  save_img: false\n'
        + f"  suffix: ~  # of saved images' names; ~ for the name of the run\n{_METRICS}",
        scale,
    )


def _fill(text: str, scale: int) -> str:
    """Put the numbers of a scale in."""
    numbers = {'scale': scale, 'gt_size': scale * LR_PATCH, 'patch': LR_PATCH}
    for name, number in numbers.items():
        text = text.replace(f'{{{name}}}', str(number))
    return text


def _general(name: str, model_type: str) -> str:
    return (
        f'# general settings\nname: {name}\nmodel_type: {model_type}\nscale: {{scale}}\n'
        'num_gpu: auto  # all GPUs; 0 for the CPU\nmanual_seed: 10\n\n# dataset and data loader settings\ndatasets:\n'
    )


def _paired_sets(phase: str) -> str:
    """The sections of the four test sets, `val` and `val_1` and so on."""
    sections = [
        f'  {phase}{f"_{number}" if number else ""}:\n    name: {name}\n    type: PairedImageDataset\n'
        f'    dataroot_gt: datasets/{name}/GTmod{{scale}}\n    dataroot_lq: datasets/{name}/LRbicx{{scale}}\n'
        '    io_backend:\n      type: disk\n'
        for number, name in enumerate(TEST_SETS)
    ]
    return '\n'.join(sections)


def family() -> dict[str, str]:
    """Every file of the family: name to content."""
    own = itertools.product(('dukd_', 'kd_', ''), PAPER, SCALES)
    trainings = [Training(method, arch, arch, scale) for method, arch, scale in own]
    trainings += [Training('dukd_', teacher, student, 4) for teacher, student in ACROSS]
    trainings.append(Training('dukd_', 'edsr', 'edsr', 4, staged=True))
    trainings.append(Training('dukd_', 'edsr', 'edsr', 4, upcycled=True))
    trainings.append(Training('dukd_', 'edsr', 'edsr', 4, in_batch=True))
    trainings += [Training(method, arch, arch, 4) for method in RIVALS for arch in PAPER]
    trainings += [Training(method, 'edsr_f64b16', 'edsr_f64b16', 4) for method in ('dukd_', 'kd_', '')]
    trainings += [Training(method, 'edsr', 'edsr', 4, data='DF2K') for method in ('kd_', '')]
    files = {training.file: training.text() for training in trainings} | {REAL_SWINIR: real_text()}
    return files | {f'test_{arch}_x{scale}.yml': test_text(arch, scale) for arch in PAPER for scale in SCALES}


def main() -> int:
    """Write or check; see the module."""
    parser = argparse.ArgumentParser(description='Write the family of options files.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit 1 when a file differs')
    check = parser.parse_args().check
    wanted = {HERE / name: text.encode('ascii') for name, text in family().items()}
    different = [file for file, text in wanted.items() if not file.is_file() or file.read_bytes() != text]
    for file in different:
        if not check:
            file.write_bytes(wanted[file])
        sys.stdout.write(f'{file.name} {"differs" if check else "written"}\n')
    return int(check and bool(different))


if __name__ == '__main__':
    sys.exit(main())
