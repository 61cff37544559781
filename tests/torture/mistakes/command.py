"""The machine and the command line."""

from __future__ import annotations

from tests.torture.mistakes.case import Case
from tests.torture.mistakes.workplace import FILE

COMMAND = [
    Case('more GPUs than there are',
         'num_gpu: 99, but torch <torch> sees <gpus> CUDA devices; write num_gpu: 0 for the CPU, or num_gpu: auto.',
         {'num_gpu': 99, 'datasets.train.dataset_enlarge_ratio': 100}),
    Case('nccl on the CPU',
         'dist_params.backend: nccl connects GPUs, and num_gpu: 0 puts this run on the CPU; write backend: '
         'gloo, or leave dist_params out.',
         {'dist_params': {'backend': 'nccl'}}, argv=('--launcher', 'pytorch')),
    Case('`--launcher pytorch` without torchrun',
         '--launcher pytorch was given, but torchrun has not started this process (RANK is not set); run: torchrun '
         '--nproc_per_node=N -m dukd_basicsr train -opt FILE --launcher pytorch.',
         argv=('--launcher', 'pytorch')),
    Case('`experiments` is a file',
         '<root>/experiments is a file, but runs are written to a folder of that name; rename it, or start from '
         'another folder.',
         disk=lambda folder: (
        (folder / 'experiments').rename(folder / 'runs'), (folder / 'experiments').touch())),
    Case('an options file that is not there',
         'x.yml: there is no such file in <root>. Did you mean "y.yml"?',
         disk=lambda folder: (folder / FILE).rename(folder / 'y.yml')),
    Case('`--force_yml` with an unknown key',
         'x.yml: train.total_itr: unknown key. Did you mean "total_iter"?',
         argv=('--force_yml', 'train:total_itr=3')),
    Case('`--force_yml` with an unknown section',
         '--force_yml trian:total_iter: there is no "trian". Did you mean "train"?',
         argv=('--force_yml', 'trian:total_iter=3')),
    Case('`--force_yml` without a value',
         '--force_yml train:total_iter: write key:key=value, for instance train:total_iter=1000.',
         argv=('--force_yml', 'train:total_iter')),
    Case('`--force_yml` with a value that is none',
         '--force_yml: [1, 2 is not a list of plain values.',
         argv=('--force_yml', 'train:total_iter=[1, 2')),
    Case('`--force_yml` with code as a value',
         'x.yml: train.total_iter: [\'__import__("os").system("touch evil")\'] is not a number.',
         argv=('--force_yml', 'train:total_iter=[__import__("os").system("touch evil")]')),
    Case('`--force_yml` with code as a key',
         'x.yml: train"];__import__("os").system("touch evil");opt["a: unknown key. Allowed: datasets, dist_params, '
         'find_unused_parameters, logger, manual_seed, model_type, name, network_d, network_g, network_t, num_gpu, '
         'path, scale, train, val.',
         argv=('--force_yml', 'train"];__import__("os").system("touch evil");opt["a=1')),
    Case('a training file for `basicsr test`',
         ['x.yml: datasets.train: a test knows the datasets test, test_1, ....',
          'x.yml: path.pretrain_network_g: missing key: a test needs the weights to test.'],
         command='test'),
]  # fmt: skip
