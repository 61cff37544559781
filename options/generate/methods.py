"""Which methods the family has: their models, titles and losses."""

from __future__ import annotations

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


def choose_entry(method: str, student: str) -> str:
    """Return the entry of feature_opt of a method, with the weights that fit a student."""
    entry = RIVALS[method][2]
    for old, new in OF_IMG_RANGE_1.get(method, ()) if student == 'swinir' else ():
        entry = entry.replace(old, new)
    return entry
