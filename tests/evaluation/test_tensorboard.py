"""What TensorBoard is shown, read back from its event files or from a board that only remembers."""

import copy
import os
import signal

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_psnr
from basicsr.models import build_model
from basicsr.utils import tensor2img
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dukd_basicsr.distillation.teacher import NoTeacher, Teacher, TeacherGroup
from dukd_basicsr.errors import RunStopped
from dukd_basicsr.evaluation.pictures import MARGIN
from dukd_basicsr.evaluation.teacher_metrics import log_teacher_metrics
from dukd_basicsr.evaluation.tensorboard import CROP, SHOWN, TeacherImages, draw_crops
from dukd_basicsr.evaluation.validation import Share, validate
from dukd_basicsr.models.dukd_model import DUKDModel
from tests.evaluation.toy_validation import METRICS, SIZES, loader_of, options, write_images
from tests.toys import Exploding
from tests.training import test_loop as test_compat_train

datasets, run = test_compat_train.datasets, test_compat_train.run
TERMS = {'l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix'}


class Writer:
    def __init__(self):
        self.scalars, self.images = {}, {}

    def add_scalar(self, tag, value, step):
        self.scalars[tag] = value

    def add_image(self, tag, picture, step, dataformats):
        assert dataformats == 'HWC'
        self.images[tag] = picture


def model_of(folder, model_type='DistillModel', tensorboard=True):
    opt = options(folder, model_type)
    opt['logger'] = {'use_tb_logger': tensorboard}
    torch.manual_seed(3)
    return build_model(copy.deepcopy(opt))


def count_asked(teacher, monkeypatch):
    asked, forward = [], teacher.forward
    monkeypatch.setattr(teacher, 'forward', lambda lq: asked.append(lq.shape[-2:]) or forward(lq))
    return asked


def validated(model, folder):
    writer = Writer()
    validate(model, loader_of(folder), 5, writer, False, Share())
    return writer


def rounded(net, sample):
    with torch.no_grad():
        return tensor2img([net(sample['lq'][None])])


def test_a_run_with_tensorboard_writes_everything_and_trains_the_same(run, datasets, tmp_path):
    logger = {'logger': {'print_freq': 1, 'save_checkpoint_freq': 6, 'use_tb_logger': True}}
    with_board = (run(**logger) / 'models' / 'net_g_6.pth').read_bytes()
    events = EventAccumulator(str(tmp_path / 'tb_logger' / 'toy'), size_guidance={'images': 0}).Reload()
    logger['logger']['use_tb_logger'] = False
    assert (run(**logger) / 'models' / 'net_g_6.pth').read_bytes() == with_board
    tags = events.Tags()
    assert set(tags['scalars']) == {f'losses/{term}' for term in TERMS} | {
        'learning_rate/0', 'metrics/V/psnr', 'teacher_gap/V'
    }  # fmt: skip
    assert [each.step for each in events.Scalars('losses/l_kd')] == [1, 2, 3, 4, 5, 6]
    assert [each.value for each in events.Scalars('learning_rate/0')] == pytest.approx([1e-3] * 4 + [1e-4] * 2)
    assert [each.step for each in events.Scalars('teacher_gap/V')] == [2, 4, 6]
    assert tags['images'] == ['pictures_GT_student_teacher/V/rocket']
    pictures = events.Images('pictures_GT_student_teacher/V/rocket')
    assert [each.step for each in pictures] == [2, 4, 6]
    bgr = cv2.imdecode(np.frombuffer(pictures[0].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert bgr.shape == (64, 3 * 64 + 2 * MARGIN, 3)
    gt = cv2.imread(str(datasets / 'datasets' / 'V' / 'GTmod2' / 'rocket.png'))
    places = [np.abs(gt[:, left : left + 32].astype(int) - bgr[::2, :64:2]).sum() for left in range(9)]
    assert min(places) == 0


def test_a_stopped_run_leaves_all_its_points(run, tmp_path, monkeypatch):
    def signalled(self, current_iter, stock=DUKDModel.optimize_parameters):
        stock(self, current_iter)
        if current_iter == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(DUKDModel, 'optimize_parameters', signalled)
    with pytest.raises(RunStopped):
        run(logger={'print_freq': 1, 'save_checkpoint_freq': 6, 'use_tb_logger': True})
    events = EventAccumulator(str(tmp_path / 'tb_logger' / 'toy')).Reload()
    assert [each.step for each in events.Scalars('losses/l_kd')] == [1, 2, 3]


def test_the_gap_is_the_mean_psnr_between_student_and_teacher(tmp_path):
    write_images(tmp_path)
    model = model_of(tmp_path)
    model.opt['val']['metrics'] = {name: METRICS[name] for name in ('ssim', 'psnr', 'flat')}
    writer = validated(model, tmp_path)
    gaps = []
    for sample in loader_of(tmp_path).dataset:
        student, teacher = rounded(model.net_g_ema, sample), rounded(model.net_t.net, sample)
        gaps.append(calculate_psnr(student, teacher, crop_border=2, test_y_channel=True))
    assert writer.scalars['teacher_gap/toys'] == pytest.approx(np.mean(gaps), abs=1e-9)
    assert len(writer.images) == SHOWN
    assert set(model.metric_results) == {'psnr', 'ssim', 'flat'}


def test_the_teacher_is_asked_once_for_an_image(tmp_path, monkeypatch):
    write_images(tmp_path)
    model = model_of(tmp_path)
    asked = count_asked(model.net_t, monkeypatch)
    gaps = [validated(model, tmp_path).scalars['teacher_gap/toys'] for _ in range(2)]
    assert [tuple(size) for size in asked] == SIZES
    assert gaps[0] == gaps[1]

    model.teacher_images = TeacherImages(limit=2 * 40 * 48 * 3)  # room for two of 40x48; the rest is asked for again
    for _ in range(2):
        assert validated(model, tmp_path).scalars['teacher_gap/toys'] == gaps[0]
    assert len(asked) == 2 * len(SIZES) + len(SIZES) - 2
    assert model.teacher_images.room == 0


def test_what_the_check_before_training_made_is_used(tmp_path, monkeypatch):
    write_images(tmp_path)
    model = model_of(tmp_path)
    expected = validated(model, tmp_path).scalars['teacher_gap/toys']
    opt = model.opt | {'datasets': {'val': loader_of(tmp_path).dataset.opt}}
    asked = count_asked(model.net_t, monkeypatch)
    model.teacher_images = log_teacher_metrics(model.net_t.members, opt, model.device)
    assert validated(model, tmp_path).scalars['teacher_gap/toys'] == expected
    assert len(asked) == len(SIZES)
    opt['logger'] = {'use_tb_logger': False}
    unused = log_teacher_metrics(model.net_t.members, opt, model.device)
    assert unused.find('toys', str(tmp_path / 'lq' / 'photo0.png')) is None


@pytest.mark.parametrize('model_type', ['SRModel', 'DistillModel'])
def test_without_a_teacher_there_are_pictures_and_no_gap(tmp_path, model_type):
    write_images(tmp_path)
    model = model_of(tmp_path, model_type)
    if model_type == 'DistillModel':
        model.net_t = NoTeacher()
    writer = validated(model, tmp_path)
    assert not [tag for tag in writer.scalars if 'gap' in tag]
    assert sorted(writer.images) == [f'pictures_GT_student/toys/photo{number}' for number in range(SHOWN)]


def test_a_run_without_tensorboard_asks_no_teacher(tmp_path):
    write_images(tmp_path)
    model = model_of(tmp_path, tensorboard=False)
    model.net_t = Teacher(Exploding())
    assert not validated(model, tmp_path).images
    model.opt |= {'logger': {'use_tb_logger': True}, 'is_train': False}  # basicsr test
    assert not validated(model, tmp_path).images


def test_without_a_psnr_there_is_no_protocol_for_a_gap(tmp_path):
    write_images(tmp_path)
    model = model_of(tmp_path)
    model.opt['val']['metrics'] = {'ssim': METRICS['ssim']}
    writer = validated(model, tmp_path)
    assert 'teacher_gap/toys' not in writer.scalars
    assert len([tag for tag in writer.images if 'teacher' in tag]) == SHOWN


def test_all_processes_measure_and_the_first_one_writes(tmp_path, monkeypatch):
    write_images(tmp_path)
    model = model_of(tmp_path)
    expected = validated(model, tmp_path).scalars['teacher_gap/toys']
    shares, asked = {}, count_asked(model.net_t, monkeypatch)

    def gather(self, values):
        shares[self.rank] = values
        return [shares[place % 2][place // 2] for place in range(len(SIZES))] if len(shares) == 2 else values

    monkeypatch.setattr(Share, 'gather', gather)
    model.teacher_images = TeacherImages()
    validate(model, loader_of(tmp_path), 5, None, False, Share(1, 2))
    assert len(asked) == 2
    writer = Writer()
    validate(model, loader_of(tmp_path), 5, writer, False, Share(0, 2))
    assert len(asked) == len(SIZES)
    assert writer.scalars['teacher_gap/toys'] == expected
    assert sorted(tag[-6:] for tag in writer.images) == ['photo0', 'photo2', 'photo4']


def test_several_teachers_give_the_mean_of_their_outputs(tmp_path):
    write_images(tmp_path)
    model = model_of(tmp_path)
    nets = [model.net_t.net, copy.deepcopy(model.net_g)]
    model.net_t = TeacherGroup([Teacher(net) for net in nets], 'random')
    validated(model, tmp_path)
    sample = loader_of(tmp_path).dataset[0]
    with torch.no_grad():
        mean = (nets[0](sample['lq'][None]) + nets[1](sample['lq'][None])) / 2
    found = model.teacher_images.find('toys', sample['lq_path'])
    assert np.abs(found.astype(int) - tensor2img([mean])).max() <= 1


@pytest.mark.parametrize('shape', [(120, 130, 3), (120, 130), (40, 30, 3)])
def test_pictures_show_one_place_of_all_images(shape):
    rng = np.random.default_rng(0)
    gt = np.full(shape, 90, np.uint8)
    gt[-20:, -20:] = rng.integers(0, 256, gt[-20:, -20:].shape, np.uint8)  # the only place where bicubic fails
    lq = cv2.resize(gt, (shape[1] // 2, shape[0] // 2), interpolation=cv2.INTER_AREA)
    side = min(CROP, *shape[:2])
    for student in (gt // 2, rng.integers(0, 256, shape, np.uint8)):
        picture = draw_crops([gt, student], lq)
        assert picture.shape == (2 * side, 4 * side + MARGIN, 3)
        left, right = picture[::2, : 2 * side : 2], picture[1::2, -2 * side :: 2]
        windows = np.lib.stride_tricks.sliding_window_view(gt.reshape(*shape[:2], -1)[..., 0], (side, side))
        here = np.argwhere((windows == left[..., 0]).all((2, 3)))
        assert len(here) == 1
        top, first = here[0]
        assert (student.reshape(*shape[:2], -1)[top : top + side, first : first + side, 0] == right[..., 0]).all()
        assert (picture[:, 2 * side : 2 * side + MARGIN] == 255).all()
