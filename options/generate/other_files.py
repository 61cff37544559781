"""The test files, and the real-world file that differs from one written by hand."""

from __future__ import annotations

from pathlib import Path

from dukd_basicsr.options import shipped
from options.generate.blocks import METRICS, fill, write_general, write_paired_sets
from options.generate.networks import ARCHITECTURES
from options.generate.training import Training

FOLDER = Path(__file__).parents[1]
"""Where the options files lie."""
FIRST_LINE = f'{shipped.MODELINE}{shipped.SCHEMA}\n'
"""Where editors find what is allowed in the file."""
REAL, REAL_SWINIR = 'train_dukd_real_rrdb_to_compact_x4.yml', 'train_dukd_real_swinir_x4.yml'


def write_real_file() -> str:
    """Return the real-world file of SwinIR: that of RRDBNet and SRVGGNetCompact, written by hand, with other networks.

    Raises:
        ValueError: The file written by hand has changed where they differ.
    """
    text = (FOLDER / REAL).read_text(encoding='ascii')
    head = (
        '# DUKD for real photographs: SwinIR 180x36 -> 60x24, x4\n'
        "# The teacher is 003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_PSNR.pth of SwinIR's authors.\n"
        "# The paper's real-world table has SwinIR alone, by KD and by DUKD, 11.9 M -> 1.24 M parameters, and NIQE.\n"
        '# These have 11.7 M -> 1.05 M, with the upsampler of those weights. Its data and degradation we do not know:\n'
        '# they are those of train_dukd_real_rrdb_to_compact_x4.yml, without sharpening. KD: --force_yml name=KD\n'
        '# train:dukd_opt:loss_weight=0, which does not save its views.\n'
        f'# basicsr train -opt options/{REAL_SWINIR} [--auto_resume]\n'
    )
    swinir = ARCHITECTURES['swinir']
    networks = fill(f'# network structures\nnetwork_g:\n{swinir.student}\nnetwork_t:\n{swinir.teacher}\n', 4)
    networks = networks.replace('pixelshuffle', 'nearest+conv').replace('img_size: 48', 'img_size: 64')
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


def write_test_file(arch: str, scale: int) -> str:
    """Return the test file of the student of an architecture."""
    student, training = ARCHITECTURES[arch], Training('dukd_', arch, arch, scale)
    head = (
        f'# The student of {training.file}, x{scale}. A student needs no teacher in a test, so this is '
        f'{student.alone_model}.\n# basicsr test -opt options/test_{arch}_x{scale}.yml\n'
        '# Another student of this size: '
        '--force_yml name=KD path:pretrain_network_g=experiments/NAME/models/net_g_250000.pth\n'
        '# Another architecture: copy its network_g from the file it was trained with.\n'
    )
    return fill(
        head
        + write_general(f'test_DUKD_{student.title}_x{scale}_{student.student_tag}', student.alone_model)
        + f'{write_paired_sets("test")}\n# network structures\nnetwork_g:\n{student.student}'
        + f'\n# path\npath:\n  pretrain_network_g: experiments/{training.name}/models/net_g_250000.pth\n'
        + '  param_key_g: params_ema  # the averaged weights; params for a run with ema_decay: 0\n'
        + '  strict_load_g: true\n\n# validation settings\nval:\n  save_img: false\n'
        + f"  suffix: ~  # of saved images' names; ~ for the name of the run\n{METRICS}",
        scale,
    )
