"""Values that cannot be, or do not go together."""

from __future__ import annotations

from tests.torture.mistakes.case import Case, text
from tests.toys import DELETE

SR = {'model_type': 'SRModel', 'network_t': DELETE, 'train.kd_opt': DELETE, 'train.dukd_opt': DELETE}
SWINIR = {
    'type': 'SwinIR', 'upscale': 2, 'window_size': 8, 'embed_dim': 4, 'depths': [1], 'num_heads': [1], 'mlp_ratio': 1,
    'upsampler': 'pixelshuffle',
}  # fmt: skip

VALUES = [
    Case('`lr: 1e-4`, text in YAML 1.1',
         'x.yml: train.optim_g.lr: 1e-4 is text in YAML 1.1 and is read as the number; other programs need 1.0e-4 or '
         '!!float 1e-4.',
         {'train.optim_g.lr': '1e-4'}, warning=True),
    Case('`total_iter: many`',
         'x.yml: train.total_iter: "many" is not a number.',
         {'train.total_iter': 'many'}),
    Case('`name: a/b`',
         'x.yml: name: "a/b" cannot be the name of a folder.',
         {'name': 'a/b'}),
    Case('a name of two lines',
         'x.yml: name: "a\\nb" cannot be the name of a folder.',
         {'name': 'a\nb'}),
    Case('a name of 300 letters',
         f'x.yml: name: "{"n" * 56}... cannot be the name of a folder; write at most 200 bytes.',
         {'name': 'n' * 300}),
    Case('a billion zoom-in crops',
         'x.yml: train.dukd_opt.zoom_in.num: 1000000000 is too large; the most is 256.',
         {'train.dukd_opt.zoom_in': {'num': 10**9}}),
    Case('an epoch without end',
         'x.yml: datasets.train.dataset_enlarge_ratio: 1e+18 is too large; the most is 100000.',
         {'datasets.train.dataset_enlarge_ratio': 1e18}),
    Case('a border wider than any image',
         'x.yml: val.metrics.psnr.crop_border: 1000000 is too large; the most is 1000.',
         {'val.metrics.psnr.crop_border': 10**6}),
    Case('a patch that `scale` does not divide',
         'x.yml: datasets.train.gt_size: 15 is not a multiple of scale: 2; write e.g. 14.',
         {'datasets.train.gt_size': 15}),
    Case('a patch that cannot be zoomed out',
         'x.yml: train.dukd_opt.zoom_out: an LR patch of 9 (gt_size: 18) does not shrink by scale: 2; write gt_size: '
         '4 or a multiple of it, or zoom_out: ~.',
         {'datasets.train.gt_size': 18}),
    Case('a window that no zoomed-out patch fills',
         'x.yml: train.dukd_opt.zoom_out: a zoomed-out patch of 4 pixels cannot fill the window 16 of network_g, not '
         'even mirrored; write gt_size: 32 or more, or zoom_out: ~.',
         {'network_g': {**SWINIR, 'window_size': 16}}),
    Case('a window that no patch fills',
         'x.yml: datasets.train.gt_size: an LR patch of 8 pixels cannot fill the window 32 of network_g, not even '
         'mirrored; write gt_size: 32 or more.',
         {'network_g': {**SWINIR, 'window_size': 32}, 'train.dukd_opt.zoom_out': None}),
    Case('a patch that is no multiple of the window, without padding',
         'x.yml: network_g.window_size: an LR patch of 8 (gt_size: 16) is not a multiple of the window 3; write '
         'gt_size: 6 or a multiple of it.',
         {**SR, 'network_g': {**SWINIR, 'window_size': 3}}),
    Case('`persistent_workers` without workers',
         'x.yml: datasets.train.persistent_workers: needs num_worker_per_gpu of at least 1; write '
         'persistent_workers: false.',
         {'datasets.train.persistent_workers': True}),
    Case('`prefetch_mode: cuda` on the CPU',
         'x.yml: datasets.train.prefetch_mode: cuda needs a GPU, but num_gpu: 0; write prefetch_mode: ~.',
         {'datasets.train.prefetch_mode': 'cuda'}),
    Case('fp16 on the CPU',
         'x.yml: train.amp: fp16 needs a GPU, but num_gpu: 0; write bf16 or leave it out.',
         {'train.amp': 'fp16'}),
    Case('int8 training of a student that was never trained',
         'x.yml: path.pretrain_network_g: missing key: train.int8_opt refines a trained student; name its checkpoint.',
         {'train.int8_opt': {'calibrate': 'datasets'}}),
    Case('int8 training in half precision',
         'x.yml: train.amp: it does not go together with train.int8_opt; write amp: ~.',
         {'train.int8_opt': {'calibrate': 'datasets'}, 'train.amp': 'bf16', 'path.pretrain_network_g': 'teacher.pth'}),
    Case('`int8_opt: true`',
         'x.yml: train.int8_opt: true is not possible; write {calibrate: FOLDER}, or ~ for a student of '
         'float32.',
         {'train.int8_opt': True}),
    Case('a batch that cannot be divided',
         'x.yml: train.accumulate: 3 does not divide batch_size_per_gpu: 2; write e.g. 2.',
         {'train.accumulate': 3}),
    Case('a gradient of no length',
         'x.yml: train.grad_clip: 0 is too small; it must be above 0.',
         {'train.grad_clip': 0}),
    Case('no checkpoints kept',
         'x.yml: train.keep_checkpoints: 0 is too small; the least is 1.',
         {'train.keep_checkpoints': 0}),
    Case('an unknown optimizer',
         'x.yml: train.optim_g.type: "AdamX" is unknown. Did you mean "Adam"?',
         {'train.optim_g.type': 'AdamX'}),
    Case('an unknown scheduler',
         'x.yml: train.scheduler.type: "StepLR" is unknown. Did you mean "MultiStepLR"?',
         {'train.scheduler.type': 'StepLR'}),
    Case('an unknown loss',
         'x.yml: train.pixel_opt.type: "L1Losss" is not registered. Did you mean "L1Loss"? '
         'For one of your own, add --import FILE.py.',
         {'train.pixel_opt.type': 'L1Losss'}),
    Case('an unknown network',
         'x.yml: network_g.type: "EDSRR" is not registered. Did you mean "EDSR"? '
         'For one of your own, add --import FILE.py.',
         {'network_g.type': 'EDSRR'}),
    Case('an unknown dataset',
         'x.yml: datasets.train.type: "PairedImgDataset" is not registered. Did you mean "PairedImageDataset"? '
         'For one of your own, add --import FILE.py.',
         {'datasets.train.type': 'PairedImgDataset'}),
    Case('an unknown metric',
         'x.yml: val.metrics.psnr.type: "calculate_psrn" is not registered. Did you mean "calculate_psnr"? '
         'For one of your own, add --import FILE.py.',
         {'val.metrics.psnr.type': 'calculate_psrn'}),
    Case('an unknown model',
         'x.yml: model_type: "DUKD" is not registered. Did you mean "DUKDModel"? '
         'For one of your own, add --import FILE.py.',
         {'model_type': 'DUKD'}),
    Case('an unknown operation of consistency',
         'x.yml: train.dukd_opt.consistency.ops[1]: "rotate" is unknown. Allowed: hflip, invert, permute, '
         'translate, transpose, vflip.',
         {'train.dukd_opt.consistency.ops': ['invert', 'rotate']}),
    Case('both parts of DUKD switched off',
         'x.yml: train.dukd_opt.zoom_in: zoom_in and zoom_out are both ~, which leaves nothing; leave one out for '
         'its default, or write model_type: DistillModel.',
         {'train.dukd_opt.zoom_in': None, 'train.dukd_opt.zoom_out': None}),
    Case('a zoomed-out patch without any label',
         'x.yml: train.dukd_opt.zoom_out: gt and teacher are both false, which leaves it no label; write zoom_out: ~ '
         'to switch it off.',
         {'train.dukd_opt.zoom_out': {'gt': False, 'teacher': False}}),
    Case('more grid crops than cells',
         'x.yml: train.dukd_opt.zoom_in.num: an HR patch has 4 cells of an LR patch, not 5; write 4 or less, or '
         'crops: random.',
         {'train.dukd_opt.zoom_in': {'num': 5, 'crops': 'grid'}}),
    Case('features of a plain pair that only the student sees turned',
         'x.yml: train.dukd_opt.consistency.views: with lq the student sees the plain pair turned and the teacher does '
         'not, so train.feature_opt would compare other pixels; leave lq out.',
         {'train.dukd_opt.consistency': {'views': ['lq']}, 'train.feature_opt': {'at': {'type': 'ATLoss'}}}),
    Case('upcycling that begins after the last iteration',
         'x.yml: train.dukd_opt.schedule.start: 4 is not before the end, total_iter: 4; write an earlier iteration.',
         {'train.dukd_opt.schedule': {'start': 4}}),
    Case('a span that ends before it begins',
         'x.yml: train.dukd_opt.schedule.end: 1 is before start: 2; write a later iteration, or leave it out for all '
         'at once.',
         {'train.dukd_opt.schedule': {'start': 2, 'end': 1}}),
    Case('a batch too small to be upcycled in',
         'x.yml: train.dukd_opt.in_batch: batch_size_per_gpu: 2 has not enough samples for a plain one and one for '
         'each of zoom_in and zoom_out; write batch_size_per_gpu: 3 or more.',
         {'train.dukd_opt.in_batch': 0.5}),
    Case('a share of a batch below one sample',
         'x.yml: train.dukd_opt.in_batch: 0.1 of batch_size_per_gpu: 4 does not leave a plain sample and an upcycled '
         'one; write 0.25 to 0.75.',
         {'datasets.train.batch_size_per_gpu': 4, 'train.dukd_opt.in_batch': 0.1, 'train.dukd_opt.zoom_out': None}),
    Case('several crops in the place of one sample',
         'x.yml: train.dukd_opt.zoom_in.num: 2, but with in_batch a sample makes way for one crop; write num: 1 and a '
         'larger in_batch.',
         {'datasets.train.batch_size_per_gpu': 4, 'train.dukd_opt.in_batch': 0.5, 'train.dukd_opt.zoom_in.num': 2}),
    Case('a model without its loss',
         'x.yml: train.kd_opt: missing key: DistillModel needs this loss; without teacher: model_type: SRModel.',
         {'model_type': 'DistillModel', 'train.dukd_opt': DELETE,
                                          'train.kd_opt': DELETE}),
    Case('a teacher for a model without one',
         'x.yml: network_t: SRModel has no teacher; write model_type: DistillModel.',
         {'model_type': 'SRModel', 'train.kd_opt': DELETE,
                                                   'train.dukd_opt': DELETE}),
    Case('periods that end before `total_iter`',
         'x.yml: train.scheduler.periods: their sum 3 is below total_iter: 4.',
         {'train.scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [3]}}),
    Case('a milestone beyond `total_iter`',
         'x.yml: train.scheduler.milestones: 9 is beyond total_iter: 4.',
         {'train.scheduler.milestones': [2, 9]}, warning=True),
    Case('metrics that cut another border than `scale`',
         'x.yml: val.metrics.psnr.crop_border: 4 is not scale: 2; published numbers cut the scale.',
         {'val.metrics.psnr.crop_border': 4}, warning=True),
    Case('YAML that runs code',
         'x.yml: line 1, column 7: not plain YAML: could not determine a constructor for the tag '
         "'tag:yaml.org,2002:python/object/apply:os.system'.",
         disk=text('name: toy', 'name: !!python/object/apply:os.system [touch evil]')),
    Case('YAML that cannot be read',
         "x.yml: line 2, column 11: not plain YAML: did not find expected ',' or ']'.",
         disk=text('name: toy', 'name: [toy')),
]  # fmt: skip
