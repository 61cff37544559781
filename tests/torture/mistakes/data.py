"""Images that are missing, damaged or do not suit the run."""

from __future__ import annotations

from tests.torture.mistakes.case import Case, cut, removed, written
from tests.torture.mistakes.workplace import encoded, replace_value, write_lmdb

DATA = [
    Case('a folder that is not there',
         'datasets.val.dataroot_lq: there is no val/LRx2 in <root>; correct the path, or make it with: basicsr '
         'prepare FOLDER '
         '--name NAME.',
         {'datasets.val.dataroot_lq': 'val/LRx2'}),
    Case('an LMDB that is not there',
         'datasets.train.dataroot_gt: there is no datasets/toy/toy_HR_sub.lmdb in <root>; with the HR images in a '
         'folder '
         'FOLDER, run: basicsr prepare FOLDER --name toy.',
         {'datasets.train.dataroot_gt': 'datasets/toy/toy_HR_sub.lmdb'}),
    Case('HR and LR images from one place',
         'x.yml: datasets.train.dataroot_lq: HR.lmdb is dataroot_gt too; LR and HR images differ.',
         {'datasets.train.dataroot_lq': 'HR.lmdb'}),
    Case('an LMDB without data.mdb',
         'datasets.train.dataroot_lq: <root>/LR.lmdb has no data.mdb; remove this incomplete LMDB and run basicsr '
         'prepare.',
         disk=removed('LR.lmdb/data.mdb')),
    Case('an LMDB that is cut off',
         'datasets.train.dataroot_gt: <root>/HR.lmdb/data.mdb is cut off: it has 14336 bytes of 28672; remove this '
         'LMDB and run basicsr prepare.',
         disk=cut('HR.lmdb/data.mdb', 0.5)),
    Case('an LMDB that is none',
         'datasets.train.dataroot_gt: <root>/HR.lmdb/data.mdb is damaged (File is not an LMDB file); remove this '
         'LMDB and run basicsr prepare.',
         disk=written('HR.lmdb/data.mdb', b'x' * 10_000)),
    Case('an LMDB that is empty',
         'datasets.train.dataroot_gt: <root>/HR.lmdb/data.mdb is empty; remove this LMDB and run basicsr prepare.',
         disk=written('HR.lmdb/data.mdb', b'')),
    Case('LMDBs whose keys do not pair',
         'datasets.train.dataroot_lq: the key 0001 of <root>/HR.lmdb is not in it (3 are missing); make both with '
         'one basicsr prepare.',
         disk=lambda folder: (removed('LR.lmdb/data.mdb')(folder),
                              write_lmdb(folder / 'LR.lmdb', {'0000': (16, 16), '9999': (16, 16)}))),
    Case('LMDBs of another scale',
         'datasets.train.dataroot_lq: 0000 is 8x8 in it and 32x32 in <root>/HR.lmdb, which is not scale: 2; name the '
         'LMDB of that scale.',
         disk=lambda folder: (removed('LR.lmdb/data.mdb')(folder),
                              write_lmdb(folder / 'LR.lmdb', {f'{number:04}': (8, 8) for number in range(4)}))),
    Case('an image of an LMDB that is cut off',
         'datasets.train.dataroot_gt: the image 0002 of <root>/HR.lmdb is cut off after 3152 bytes (1 of 4 are '
         'damaged); remove this LMDB and run basicsr prepare.',
         disk=lambda folder: replace_value(folder / 'HR.lmdb', '0002', encoded(32, 32)[:-20])),
    Case('an image of an LMDB that is not there',
         'datasets.train.dataroot_lq: the image 0001 of <root>/LR.lmdb is not there (1 of 4 are damaged); remove '
         'this LMDB and run basicsr prepare.',
         disk=lambda folder: replace_value(folder / 'LR.lmdb', '0001', None)),
    Case('an image of an LMDB that is none',
         'datasets.train.dataroot_gt: the image 0003 of <root>/HR.lmdb is no PNG, JPEG, WebP, BMP or TIFF (1 of 4 '
         'are damaged); remove this LMDB and run basicsr prepare.',
         disk=lambda folder: replace_value(folder / 'HR.lmdb', '0003', b'<html>')),
    Case('an image of another size than meta_info.txt says',
         'datasets.train.dataroot_gt: the image 0003 of <root>/HR.lmdb is 32x30, but its meta_info.txt says 32x32 (1 '
         'of 4 are damaged); remove this LMDB and run basicsr prepare.',
         disk=lambda folder: replace_value(folder / 'HR.lmdb', '0003', encoded(32, 30))),
    Case('an image of a folder that is cut off',
         'datasets.val.dataroot_gt: <root>/val/HR/1.png is cut off after 1475 bytes (1 of 2 are damaged); put the '
         'image there again, or remove it and its pair.',
         disk=cut('val/HR/1.png', 0.7)),
    Case('an image of a folder that is empty',
         'datasets.val.dataroot_lq: <root>/val/LR/0.png is empty (1 of 2 are damaged); put the image there again, or '
         'remove it and its pair.',
         disk=written('val/LR/0.png', b'')),
    Case('a file among the images that is none',
         'datasets.val.dataroot_lq: <root>/val/LR/notes.txt is no PNG, JPEG, WebP, BMP or TIFF (1 of 3 are damaged); '
         'put the image there again, or remove it and its pair.',
         disk=lambda folder: [(folder / 'val' / kind / 'notes.txt').write_text('x') for kind in ('HR', 'LR')]),
    Case('an image without pair',
         "datasets.val.dataroot_lq: <root>/val/LR has no 1.png, the LR image that filename_tmpl: '{}' gives for one "
         'of <root>/val/HR (1 are missing).',
         disk=removed('val/LR/1.png')),
    Case('folders of another scale',
         'datasets.val.dataroot_lq: <root>/val/LR/1.png is 8x9 and <root>/val/HR/1.png 24x28, which is not scale: 2; '
         'name the folder of that scale.',
         disk=written('val/LR/1.png', encoded(8, 9))),
    Case('`filename_tmpl` of other names',
         "datasets.val.dataroot_lq: <root>/val/LR has no 0x2.png, the LR image that filename_tmpl: '{}x2' gives for "
         'one of <root>/val/HR (2 are missing).',
         {'datasets.val.filename_tmpl': '{}x2'}),
    Case('`filename_tmpl` without a place for the name',
         'x.yml: datasets.val.filename_tmpl: "x2" needs {} where the name of the HR image stands, e.g. \'{}x4\'.',
         {'datasets.val.filename_tmpl': 'x2'}),
    Case('a patch larger than the smallest image',
         'datasets.train.gt_size: 40 is larger than the smallest HR image, 0000 with 32x32; write a smaller one.',
         {'datasets.train.gt_size': 40}),
    Case('a batch larger than the dataset',
         'datasets.train.batch_size_per_gpu: 4 images times dataset_enlarge_ratio: 1 do not fill a batch of 5; write '
         'dataset_enlarge_ratio: 2.',
         {'datasets.train.batch_size_per_gpu': 5}),
    Case('a list of images with one that is not there',
         'datasets.val.meta_info_file: line 2 of <root>/list.txt names 7.png, but there is no image '
         '<root>/val/HR/7.png; correct the line, or write ~ to use all images of the folders.',
         {'datasets.val.meta_info_file': 'list.txt'},
         disk=written('list.txt', b'0.png (24,28,3)\n7.png (24,28,3)\n')),
]  # fmt: skip
