"""Every loss against a second implementation written as sums, its end points, and where its gradient goes."""

import math

import pytest
import torch
from torch import nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.losses.at_loss import ATLoss, map_attention
from dukd_basicsr.losses.csd_loss import CSDLoss, contrast, load_vgg
from dukd_basicsr.losses.fakd_loss import FAKDLoss, compare_channels, compare_pixels, compare_samples
from dukd_basicsr.losses.feature_loss import FeatureLoss, build_adapter, resize_map
from dukd_basicsr.losses.fitnet_loss import FitNetLoss
from dukd_basicsr.losses.fsp_loss import FSPLoss, measure_flow
from dukd_basicsr.losses.wavelet_loss import WaveletLoss, transform_haar
from tests.losses.toy_maps import connected, maps
from tests.toys import save_vgg

ALL = {'affinities': ['spatial', 'channel', 'instance'], 'largest_side': None}
FEATURE_LOSSES = [FitNetLoss(), ATLoss(), FAKDLoss(), FAKDLoss(**ALL), FSPLoss()]
INSTANCES = pytest.mark.parametrize('loss', FEATURE_LOSSES, ids=lambda loss: type(loss).__name__)


# --- oracles: the papers' formulas as sums over indices ---


def cosine(x, y):
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    return dot / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def test_fitnet_is_half_the_mean_square_after_the_regressor():
    (student,), (teacher,) = maps((2, 3, 4, 5)), maps((2, 5, 4, 5), seed=1)
    loss = connected(FitNetLoss(2.0), [student], [teacher])
    weight, bias = loss.adapters[0].weight[:, :, 0, 0], loss.adapters[0].bias
    total = 0.0
    for b in range(2):
        for y in range(4):
            for x in range(5):
                regressed = weight @ student[b, :, y, x] + bias
                total += ((regressed - teacher[b, :, y, x]) ** 2).sum()
    assert loss([student], [teacher]).item() == pytest.approx(2.0 * 0.5 * total.item() / teacher.numel(), rel=1e-12)


@pytest.mark.parametrize('power', [1.0, 2.0])
def test_at_is_one_minus_the_cosine_of_attention_maps(power):
    (student,), (teacher,) = maps((2, 3, 3, 4)), maps((2, 5, 3, 4), seed=1)
    expected = 0.0
    for b in range(2):
        q_s, q_t = ([sum(abs(v) ** power for v in x[b, :, i, j].tolist()) for i in range(3) for j in range(4)]
                    for x in (student, teacher))  # fmt: skip
        expected += (1 - cosine(q_s, q_t)) / 2
    assert ATLoss(3.0, power)([student], [teacher]).item() == pytest.approx(3.0 * expected, rel=1e-12)


def test_fakd_is_the_mean_absolute_difference_of_affinities():
    (student,), (teacher,) = maps((2, 3, 2, 3)), maps((2, 3, 2, 3), seed=1)
    expected = {'spatial': 0.0, 'channel': 0.0, 'instance': 0.0}
    for b in range(2):
        s, t = ([[x[b, c, i, j].item() for c in range(3)] for i in range(2) for j in range(3)]
                for x in (student, teacher))  # fmt: skip
        expected['spatial'] += sum(abs(cosine(s[p], s[q]) - cosine(t[p], t[q])) for p in range(6) for q in range(6))
        s, t = ([[row[c] for row in side] for c in range(3)] for side in (s, t))
        expected['channel'] += sum(abs(cosine(s[p], s[q]) - cosine(t[p], t[q])) for p in range(3) for q in range(3))
    inner = [torch.einsum('bchw,dchw->bd', x, x) for x in (student, teacher)]
    rows = [g / torch.einsum('bd,bd->b', g, g).sqrt()[:, None] for g in inner]
    expected['instance'] = (rows[0] - rows[1]).abs().sum().item()
    sizes = {'spatial': 2 * 36, 'channel': 2 * 9, 'instance': 4}
    for name, size in sizes.items():
        found = FAKDLoss(1.5, [name], None)([student], [teacher]).item()
        assert found == pytest.approx(1.5 * expected[name] / size, rel=1e-12), name
    together = FAKDLoss(1.5, list(sizes), None)([student], [teacher]).item()
    assert together == pytest.approx(1.5 * sum(expected[name] / sizes[name] for name in sizes), rel=1e-12)


def test_pooled_fakd_is_that_of_averaged_cells():
    (student,), (teacher,) = maps((1, 3, 5, 4)), maps((1, 3, 5, 4), seed=1)

    def averaged(x):  # sides of at most 3: cells of 2x2, smaller at the lower edge
        return torch.stack([torch.stack([x[..., i : i + 2, j : j + 2].mean((-2, -1)) for j in (0, 2)], -1)
                            for i in (0, 2, 4)], -2)  # fmt: skip

    exact = FAKDLoss(largest_side=None)([averaged(student)], [averaged(teacher)])
    torch.testing.assert_close(FAKDLoss(largest_side=3)([student], [teacher]), exact)
    assert compare_pixels(student, 3).shape == (1, 6, 6)
    assert compare_pixels(student, 5).shape == (1, 20, 20)


def test_fsp_is_the_mean_square_between_flows_of_neighbouring_taps():
    student, teacher = maps(*[(2, 3, 4, 5)] * 3), maps(*[(2, 3, 4, 5)] * 3, seed=1)
    expected = 0.0
    for one in range(2):
        g_s, g_t = (sum(torch.einsum('bi,bj->bij', x[one][..., y, z], x[one + 1][..., y, z])
                        for y in range(4) for z in range(5)) / 20 for x in (student, teacher))  # fmt: skip
        expected += sum((a - b) ** 2 for a, b in zip(g_s.flatten().tolist(), g_t.flatten().tolist(), strict=True)) / 18
    assert FSPLoss(0.5)(student, teacher).item() == pytest.approx(0.5 * expected, rel=1e-12)


def test_flow_averages_the_larger_map():
    first, second = maps((1, 2, 4, 4), (1, 3, 2, 2))
    cells = first.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    torch.testing.assert_close(measure_flow(first, second), torch.einsum('bihw,bjhw->bij', cells, second) / 4)


def test_wavelet_is_the_l1_of_haar_coefficients():
    x, y = maps((2, 3, 8, 12), (2, 3, 8, 12))
    h = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2)

    def matrices(side):  # analysis filters of one axis as rows: low ones, then high ones
        rows = torch.zeros(side, side, dtype=torch.float64)
        for place in range(side // 2):
            rows[place, 2 * place : 2 * place + 2] = h[0]
            rows[side // 2 + place, 2 * place : 2 * place + 2] = h[1]
        return rows

    rest, expected = x - y, 0.0
    for _ in range(2):
        height, width = rest.shape[-2:]
        both = matrices(height) @ rest @ matrices(width).T
        half = both[..., : height // 2, : width // 2]
        expected += (both.abs().sum() - half.abs().sum()) / (3 * half.numel())
        rest = half
    expected += rest.abs().mean()
    assert WaveletLoss(2.0, levels=2)(x, y).item() == pytest.approx(2.0 * expected.item(), rel=1e-12)


def test_haar_keeps_energy_and_continues_odd_sides_by_zero():
    (x,) = maps((1, 1, 5, 3))
    bands = transform_haar(x)
    assert all(band.shape == (1, 1, 3, 2) for band in bands)
    torch.testing.assert_close(sum(band.square().sum() for band in bands), x.square().sum())
    assert bands[0][0, 0, 2, 1] == x[0, 0, 4, 2] / 2


@pytest.mark.parametrize(('batch', 'most', 'negatives'), [(4, 2, 2), (4, 10, 3), (1, 10, 1)])
def test_contrast_is_the_ratio_of_distances_to_the_next_samples(batch, most, negatives):
    shapes = [(batch, 3, 4, 4), (batch, 5, 2, 2)]
    student, teacher, negative = maps(*shapes), maps(*shapes, seed=1), maps(*shapes, seed=2)
    weights = (0.25, 1.0)
    for i, found in enumerate(contrast(student, teacher, negative, weights, most).tolist()):
        others = [(i + k) % batch for k in range(1, negatives + 1)]
        expected = 0.0
        for weight, s, t, n in zip(weights, student, teacher, negative, strict=True):
            near = (s[i] - t[i]).abs().sum() / s[i].numel()
            far = sum((s[i] - n[k]).abs().sum() / s[i].numel() for k in others)
            expected += (weight * near / far).item()
        assert found == pytest.approx(expected, rel=1e-6)


# --- end points and invariances ---


@INSTANCES
def test_equal_features_cost_nothing_and_others_do(loss):
    student = maps(*[(3, 4, 6, 6)] * 2)
    same = connected(loss, student, student)
    assert same(student, student).item() == pytest.approx(0, abs=1e-15)
    assert same(student, maps(*[(3, 4, 6, 6)] * 2, seed=1)).item() > 1e-3


def test_affinities_and_attention_do_not_see_what_they_should_not():
    (x,) = maps((2, 3, 4, 4))
    scale = torch.rand(2, 1, 4, 4, dtype=torch.float64) + 0.1
    torch.testing.assert_close(compare_pixels(x * scale), compare_pixels(x))  # the length of a pixel
    torch.testing.assert_close(compare_pixels(x[:, [2, 0, 1]]), compare_pixels(x))  # the order of channels
    torch.testing.assert_close(compare_channels(x.flip(-1)), compare_channels(x))  # the order of pixels
    torch.testing.assert_close(compare_samples(-3 * x), compare_samples(x))
    torch.testing.assert_close(map_attention(-3 * x[:, [2, 0, 1]]), map_attention(x))
    assert torch.equal(map_attention(torch.zeros(1, 2, 3, 3)), torch.zeros(1, 9))
    ones = torch.diagonal(compare_pixels(x), dim1=1, dim2=2)
    torch.testing.assert_close(ones, torch.ones_like(ones))


def test_at_of_disjoint_attention_is_one():
    student, teacher = torch.zeros(2, 1, 1, 3, 4)
    student[..., 0], teacher[..., 2] = 1.0, 5.0
    assert ATLoss()([student], [teacher]).item() == pytest.approx(1, rel=1e-6)


def test_wavelet_of_a_constant_difference_is_the_constant_times_two_to_the_levels():
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    assert WaveletLoss(levels=4)(x, x).item() == 0
    assert WaveletLoss(levels=4)(x + 0.5, x).item() == pytest.approx(0.5 * 2**4, rel=1e-12)
    assert WaveletLoss(levels=0)(x + 0.5, x).item() == pytest.approx(0.5, rel=1e-12)


# --- gradients ---


@INSTANCES
def test_the_gradient_reaches_the_student_and_its_adapter_but_not_the_teacher(loss):
    student = [x.requires_grad_() for x in maps(*[(2, 3, 6, 6)] * 2)]
    teacher = [x.requires_grad_() for x in maps(*[(2, 5, 3, 8)] * 2, seed=1)]
    loss = connected(loss, student, teacher)
    loss(student, teacher).backward()
    for each in (*student, *loss.parameters()):
        assert torch.isfinite(each.grad).all()
        assert each.grad.abs().max() > 0
    assert all(each.grad is None for each in teacher)
    assert len(list(loss.parameters())) == (4 if loss.same_width else 0)


@INSTANCES
def test_the_gradient_is_that_of_finite_differences(loss):
    student, teacher = maps(*[(2, 3, 3, 3)] * 2), maps(*[(2, 4, 3, 3)] * 2, seed=1)
    loss = connected(loss, student, teacher)
    assert torch.autograd.gradcheck(lambda *x: loss(x, teacher), [x.requires_grad_() for x in student])


def test_the_gradient_is_proportional_to_the_weight():
    gradients = []
    for weight in (1.0, 1e6):  # the authors' FAKD left it unchanged
        (student,), (teacher,) = maps((2, 3, 6, 6)), maps((2, 3, 6, 6), seed=1)
        FAKDLoss(weight)([student.requires_grad_()], [teacher]).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(gradients[1], 1e6 * gradients[0])


def test_losses_of_outputs_leave_the_label_alone(tmp_path):
    loss = CSDLoss(save_vgg(tmp_path / 'vgg19.pth'))
    output, label = torch.rand(2, 2, 3, 32, 32).unbind()
    for criterion, inputs in ((WaveletLoss(), ()), (loss, (torch.rand(2, 3, 16, 16),))):
        student, teacher = output.clone().requires_grad_(), label.clone().requires_grad_()
        criterion(student, teacher, *inputs).backward()
        assert student.grad.abs().max() > 0
        assert torch.isfinite(student.grad).all()
        assert teacher.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())


# --- CSD's network ---


def test_csd_shows_vgg_images_as_it_was_trained(tmp_path):
    path = save_vgg(tmp_path / 'vgg19.pth')
    before = torch.random.get_rng_state()
    loss = CSDLoss(path, 2.0, negatives=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not loss.vgg.training
    from torchvision import transforms

    from dukd_basicsr.resize import imresize

    output, label, lq = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 16, 16)
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = torch.zeros(2)
    for weight, end in zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), (2, 7, 12, 21, 30), strict=True):
        s, t, n = (loss.vgg[:end](normalize(x)) for x in (output, label, imresize(lq, 2)))
        expected += weight * (s - t).abs().mean((1, 2, 3)) / (s - n.flip(0)).abs().mean((1, 2, 3))
    assert loss(output, label, lq).item() == pytest.approx(2 * expected.mean().item(), rel=1e-5)
    assert loss(label, label, lq).item() == pytest.approx(0, abs=1e-6)


def test_weights_that_are_no_vgg_are_sentences(tmp_path):
    with pytest.raises(UserError, match=r"vgg: .*nowhere\.pth: there is no such .* It is torchvision's vgg19"):
        load_vgg(str(tmp_path / 'nowhere.pth'))
    torch.save(nn.Conv2d(3, 8, 3).state_dict(), tmp_path / 'other.pth')
    with pytest.raises(UserError, match=r'vgg: .*other\.pth does not fit'):
        load_vgg(str(tmp_path / 'other.pth'))
    with pytest.raises(UserError, match='layer_weights: 2 numbers for 5 layers'):
        CSDLoss('unread.pth', layer_weights=[1.0, 1.0])


# --- what they share ---


def test_adapters_are_drawn_from_their_own_generator():
    before = torch.random.get_rng_state()
    first, second = (build_adapter(4, 6, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(dict(first.state_dict()), dict(second.state_dict()), rtol=0, atol=0)
    assert 0.3 < first.weight.abs().max() <= 0.5


def test_a_map_of_another_size_is_resized_without_a_shift():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert resize_map(ramp, (8, 8)) is ramp
    torch.testing.assert_close(resize_map(ramp, (4, 4))[0, 0, 0, 1:3], torch.tensor([2.5, 4.5]))


def test_fakd_adapts_channels_only():
    (student,), (teacher,) = maps((2, 3, 4, 4)), maps((2, 5, 4, 4), seed=1)
    assert not list(connected(FAKDLoss(affinities=['spatial', 'instance']), [student], [teacher]).parameters())
    both = connected(FAKDLoss(**ALL), [student], [teacher])
    channels = connected(FAKDLoss(affinities=['channel']), [student], [teacher])
    others = FAKDLoss(affinities=['spatial', 'instance'], largest_side=None)
    values = [loss([student], [teacher]).item() for loss in (both, channels, others)]
    assert values[0] == pytest.approx(values[1] + values[2], rel=1e-12)


@pytest.mark.parametrize('wrong', [['spacial'], [], 'spatial'])
def test_another_affinity_is_a_sentence(wrong):
    with pytest.raises(UserError, match=r'FAKDLoss: affinities: .* is not a list of affinities'):
        FAKDLoss(affinities=wrong)


def test_a_method_without_compare_says_so():
    with pytest.raises(NotImplementedError, match='FeatureLoss defines no compare'):
        FeatureLoss()(maps((1, 1, 1, 1)), maps((1, 1, 1, 1)))
