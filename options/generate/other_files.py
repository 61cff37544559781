"""The test files, and the real-world files that differ from one written by hand."""

from __future__ import annotations

from collections.abc import Mapping
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
REAL_GAN = 'train_dukd_real_gan_rrdb_to_compact_x4.yml'
_NAME = 'DUKD_Real_RRDB_x4plus_to_Compact_f64c16_DIV2K_400k_B12'
_ADAM = '    type: Adam\n    lr: !!float 1e-4\n    weight_decay: 0\n    betas: [0.9, 0.99]\n'
_ADVERSARIAL = f"""\
  # losses against ground truth, with the weights of Real-ESRGAN
  perceptual_opt:
    type: PerceptualLoss
    layer_weights:  # before the activations
      conv1_2: 0.1
      conv2_2: 0.1
      conv3_4: 1.0
      conv4_4: 1.0
      conv5_4: 1.0
    vgg_type: vgg19
    use_input_norm: true
    range_norm: false
    perceptual_weight: 1.0
    style_weight: 0
    criterion: l1

  gan_opt:
    type: GANLoss
    gan_type: vanilla
    real_label_val: 1.0
    fake_label_val: 0.0
    loss_weight: !!float 1e-1

  optim_d:
{_ADAM}
  net_d_iters: 1  # the student is trained in every iteration
  net_d_init_iters: 0

"""


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
    return _replace_once(
        text,
        {
            'DUKD_Real_RRDB_x4plus_to_Compact_f64c16': 'DUKD_Real_SwinIR_x4_c180s36_c60s24',
            "gt_usm: true  # sharpened HR images, as this teacher's training had": 'gt_usm: false',
            'RealESRGAN_x4plus.pth': '003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_PSNR.pth',
        },
    )


def write_real_gan_file() -> str:
    """Return the file that goes on from the student of the real-world file, with Real-ESRGAN's losses too.

    Raises:
        ValueError: The file written by hand has changed where they differ.
    """
    text = (FOLDER / REAL).read_text(encoding='ascii')
    head = (
        '# DUKD for real photographs, with a discriminator: Real-ESRGAN x4plus (RRDBNet 64x23) ->\n'
        '# SRVGGNetCompact 64x16, x4.\n'
        f'# It goes on from the student of {REAL}: train that first, as\n'
        '# Real-ESRGAN trains Real-ESRNet. Discriminator, losses against ground truth, rates and schedule are those\n'
        '# of Real-ESRGAN, the distillation is that of the first file. Which weights are best is not measured.\n'
        f'# basicsr train -opt options/{REAL_GAN} [--auto_resume]\n'
    )
    discriminator = (
        'network_d:\n  type: UNetDiscriminatorSN\n  num_in_ch: 3\n  num_feat: 64\n  skip_connection: true\n\n'
    )
    text = head + text[text.index('# general settings') :]
    return _replace_once(
        text,
        {
            f'name: {_NAME}': f'name: {_NAME.replace("Real_", "Real_GAN_")}',
            'zoom_in_degraded: true': 'gan_gt_usm: false  # what the discriminator takes for real is not sharpened\n'
            'zoom_in_degraded: true',
            '# path\n': f'{discriminator}# path\n',
            '  pretrain_network_g: ~\n': f'  pretrain_network_g: experiments/{_NAME}/models/net_g_400000.pth\n'
            '  param_key_g: params_ema\n',
            '  strict_load_t: true\n': '  strict_load_t: true\n  pretrain_network_d: ~\n',
            '    lr: !!float 2e-4\n': '    lr: !!float 1e-4\n',
            'milestones: [200000, 320000]': 'milestones: [400000]',
            '# validation settings\n': f'{_ADVERSARIAL}# validation settings\n',
        },
    )


def _replace_once(text: str, changes: Mapping[str, str]) -> str:
    """The text with each of these passages, which stand in it once, replaced."""
    for old, new in changes.items():
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
