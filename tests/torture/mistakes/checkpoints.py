"""Weights and training states that are missing, damaged, of another network, or evil."""

from __future__ import annotations

import torch

from tests.torture.mistakes.case import Case, cut, evil, removed, written
from tests.toys import TEACHER

RESUME = {'path.resume_state': 'experiments/same/training_states/4.state'}

CHECKPOINTS = [
    Case('weights that are not there',
         'path.pretrain_network_t: there is no file techer.pth in <root>; put it there or correct the path. Did you '
         'mean '
         '"teacher.pth"?',
         {'path.pretrain_network_t': 'techer.pth'}),
    Case('a folder in place of weights',
         'path.pretrain_network_t: HR.lmdb is a folder; name a file in it.',
         {'path.pretrain_network_t': 'HR.lmdb'}),
    Case('weights of another teacher',
         'path.pretrain_network_t: teacher.pth does not fit EDSR as configured: body.1.conv1.weight is only in the '
         'file; body.1.conv1.bias is only in the file; body.1.conv2.weight is only in the file; body.1.conv2.bias is '
         'only in the file. The file (it does not tell res_scale, img_range, rgb_mean: usual values are shown) fits '
         'network_t: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 8, num_block: 2, upscale: 2, res_scale: '
         '1.0, img_range: 255.0, rgb_mean: [0.4488, 0.4371, 0.404]}.',
         {'network_t': {**TEACHER, 'num_block': 1}}),
    Case('weights of another student',
         'path.pretrain_network_g: teacher.pth does not fit EDSR as configured: conv_first.weight is (8, 3, 3, 3) in '
         'the file, (4, 3, 3, 3) in the network; conv_first.bias is (8,) in the file, (4,) in the network; '
         'body.0.conv1.weight is (8, 8, 3, 3) in the file, (4, 4, 3, 3) in the network; body.0.conv1.bias is (8,) in '
         'the file, (4,) in the network; body.0.conv2.weight is (8, 8, 3, 3) in the file, (4, 4, 3, 3) in the '
         'network; and 10 more. The file (it does not tell res_scale, img_range, rgb_mean: usual values are shown) '
         'fits network_g: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 8, num_block: 2, upscale: 2, '
         'res_scale: 1.0, img_range: 255.0, rgb_mean: [0.4488, 0.4371, 0.404]}.',
         {'path.pretrain_network_g': 'teacher.pth'}),
    Case('weights that are not in the file',
         'teacher.pth: no network weights under param_key "state"; the file holds "epoch".',
         {'path.param_key_t': 'state'},
         disk=lambda folder: torch.save({'epoch': 1}, folder / 'teacher.pth')),
    Case("a teacher's file that is empty",
         'teacher.pth: not a readable checkpoint (<reason>); copy or download it again.',
         disk=written('teacher.pth', b'')),
    Case("a teacher's file that is cut off",
         'teacher.pth: not a readable checkpoint (<reason>); copy or download it again.',
         disk=cut('teacher.pth', 0.5)),
    Case("a teacher's file that would run code",
         'teacher.pth: refused, since loading it would run code that it brings along (a pickle of more than '
         'tensors); save its state dict alone with torch.save(net.state_dict(), ...) where you trust it.',
         disk=evil('teacher.pth')),
    Case("a student's file that is cut off",
         'student.pth: not a readable checkpoint (<reason>); copy or download it again.',
         {'path.pretrain_network_g': 'student.pth'},
         disk=cut('student.pth', 0.5)),
    Case("a student's file that would run code",
         'student.pth: refused, since loading it would run code that it brings along (a pickle of more than '
         'tensors); save its state dict alone with torch.save(net.state_dict(), ...) where you trust it.',
         {'path.pretrain_network_g': 'student.pth'},
         disk=evil('student.pth')),
    Case('a state to resume that is not there',
         'path.resume_state: there is no file experiments/same/5.state in <root>; put it there or correct the path.',
         {'path.resume_state': 'experiments/same/5.state'}),
    Case('a state of another network',
         'path.resume_state: experiments/other/models/net_g_4.pth does not fit EDSR as configured: conv_first.weight '
         'is (8, 3, 3, 3) in the file, (4, 3, 3, 3) in the network; conv_first.bias is (8,) in the file, (4,) in the '
         'network; body.0.conv1.weight is (8, 8, 3, 3) in the file, (4, 4, 3, 3) in the network; body.0.conv1.bias '
         'is (8,) in the file, (4,) in the network; body.0.conv2.weight is (8, 8, 3, 3) in the file, (4, 4, 3, 3) in '
         'the network; and 6 more. The file (it does not tell res_scale, img_range, rgb_mean: usual values are '
         'shown) fits network_g: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 8, num_block: 1, upscale: 2, '
         'res_scale: 1.0, img_range: 255.0, rgb_mean: [0.4488, 0.4371, 0.404]}.',
         {'path.resume_state': 'experiments/other/training_states/4.state'}),
    Case('`--auto_resume` with another network',
         '--auto_resume: experiments/other/models/net_g_4.pth does not fit EDSR as configured: conv_first.weight is '
         '(8, 3, 3, 3) in the file, (4, 3, 3, 3) in the network; conv_first.bias is (8,) in the file, (4,) in the '
         'network; body.0.conv1.weight is (8, 8, 3, 3) in the file, (4, 4, 3, 3) in the network; body.0.conv1.bias '
         'is (8,) in the file, (4,) in the network; body.0.conv2.weight is (8, 8, 3, 3) in the file, (4, 4, 3, 3) in '
         'the network; and 6 more. The file (it does not tell res_scale, img_range, rgb_mean: usual values are '
         'shown) fits network_g: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 8, num_block: 1, upscale: 2, '
         'res_scale: 1.0, img_range: 255.0, rgb_mean: [0.4488, 0.4371, 0.404]}.',
         {'name': 'other'}, argv=('--auto_resume',)),
    Case('a state that is cut off',
         'experiments/same/training_states/4.state cannot be resumed from: truncated or damaged: <reason>; name '
         'another state of its folder, or remove path.resume_state and add --auto_resume.',
         RESUME, disk=cut('experiments/same/training_states/4.state', 0.5)),
    Case('a state that would run code',
         'experiments/same/training_states/4.state cannot be resumed from: <reason>; name another state of its '
         'folder, or remove path.resume_state and add --auto_resume.',
         RESUME, disk=evil('experiments/same/training_states/4.state')),
    Case('a state whose weights are gone',
         'experiments/same/training_states/4.state cannot be resumed from: net_g_4.pth is not there; name another '
         'state of its folder, or remove path.resume_state and add --auto_resume.',
         RESUME, disk=removed('experiments/same/models/net_g_4.pth')),
]  # fmt: skip
