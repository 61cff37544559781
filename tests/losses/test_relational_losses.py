"""RKD, CrossKD and MiPKD against second implementations, at their end points, and where their gradients go."""

import itertools
import math

import pytest
import torch
from torch import nn

from dukd_basicsr.losses.crosskd_loss import CrossKDLoss
from dukd_basicsr.losses.mipkd_loss import MiPKDLoss, Mixer
from dukd_basicsr.losses.rkd_loss import RKDLoss, measure_angles, scale_distances, square_distances
from tests.losses.toy_maps import connected, maps

# --- RKD ---


def huber(x):
    return 0.5 * x * x if abs(x) <= 1 else abs(x) - 0.5


def norm(x):
    return math.sqrt(sum(a * a for a in x))


def minus(x, y):
    return [a - b for a, b in zip(x, y, strict=True)]


def relations(points):
    """Distances over their mean, and cosines of angles, by the paper's definitions."""
    pairs = list(itertools.permutations(range(len(points)), 2))
    lengths = [norm(minus(points[i], points[j])) for i, j in pairs]
    mean = sum(lengths) / len(lengths)
    cosines = []
    for i, j, k in itertools.permutations(range(len(points)), 3):
        e, f = minus(points[i], points[j]), minus(points[k], points[j])
        cosines.append(sum(a * b for a, b in zip(e, f, strict=True)) / (norm(e) * norm(f)))
    return [length / mean for length in lengths], cosines


def test_rkd_is_the_mean_huber_loss_of_distances_and_angles():
    (student,), (teacher,) = maps((4, 2, 2, 3)), maps((4, 3, 1, 2), seed=1)  # of other widths and sizes
    teacher = torch.cat([teacher[:3], 8 * teacher[3:]])  # an outlier, for the linear part of Huber's loss
    sides = [relations([sample.flatten().tolist() for sample in x]) for x in (student, teacher)]
    by_distance, by_angle = (
        sum(huber(a - b) for a, b in zip(s, t, strict=True)) / len(s) for s, t in zip(*sides, strict=True)
    )
    assert max(abs(a - b) for a, b in zip(sides[0][0], sides[1][0], strict=True)) > 1
    found = RKDLoss(2.0, 3.0, 5.0)
    assert found([student], [teacher]).item() == pytest.approx(2 * (3 * by_distance + 5 * by_angle), rel=1e-9)
    assert RKDLoss(angle_weight=0)([student], [teacher]).item() == pytest.approx(by_distance, rel=1e-9)
    assert RKDLoss(distance_weight=0)([student], [teacher]).item() == pytest.approx(2 * by_angle, rel=1e-9)


def test_rkd_adds_up_the_taps_and_resizes_none():
    student, teacher = maps((4, 2, 4, 4), (4, 2, 8, 8)), maps((4, 3, 4, 4), (4, 3, 4, 4), seed=1)
    each = [RKDLoss()([s], [t]).item() for s, t in zip(student, teacher, strict=True)]
    assert RKDLoss()(student, teacher).item() == pytest.approx(sum(each), rel=1e-12)


def test_relations_do_not_see_a_shift_a_turn_or_a_scale():
    (x,) = maps((5, 2, 3, 3))
    turned = 3 * (x.flip(-1).roll(1, 1) + 7)  # a permutation of the coordinates is a turn
    for relation in (scale_distances, measure_angles):
        torch.testing.assert_close(relation(square_distances(turned)), relation(square_distances(x)))
    assert RKDLoss()([turned], [x]).item() == pytest.approx(0, abs=1e-12)
    corner = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]).view(3, 2, 1, 1)  # sides 3, 4, 5
    assert scale_distances(square_distances(corner)).tolist() == pytest.approx([0.75, 1, 0.75, 1.25, 1, 1.25])
    assert sorted(measure_angles(square_distances(corner)).tolist()) == pytest.approx(
        [0, 0, 0.6, 0.6, 0.8, 0.8], abs=1e-6
    )


def test_relations_in_fp32_keep_their_digits_on_features_far_from_zero():
    (x,) = maps((6, 4, 8, 8))
    exact = RKDLoss()([x], [x.flip(0)])
    found = RKDLoss()([(x + 100).float()], [(x.flip(0) + 100).float()])
    assert found.item() == pytest.approx(exact.item(), rel=1e-3)


def test_the_gradient_of_rkd_is_that_of_finite_differences_and_the_teacher_gets_none():
    (student,), (teacher,) = maps((4, 2, 2, 2)), maps((4, 3, 2, 2), seed=1)
    assert torch.autograd.gradcheck(lambda x: RKDLoss()([x], [teacher]), [student.requires_grad_()])
    teacher.requires_grad_()
    RKDLoss()([student], [teacher]).backward()
    assert teacher.grad is None
    assert not list(connected(RKDLoss(), [student], [teacher]).parameters())


def test_samples_that_are_the_same_have_a_finite_gradient():
    (student,), (teacher,) = maps((4, 2, 2, 2)), maps((4, 2, 2, 2), seed=1)
    student = student[[0, 0, 1, 2]].requires_grad_()
    RKDLoss()([student], [teacher]).backward()
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize(('samples', 'given'), [(1, {}), (2, {'distance_weight': 0})])
def test_too_few_samples_have_no_relations(samples, given):
    (student,), (teacher,) = maps((samples, 2, 2, 2)), maps((samples, 2, 2, 2), seed=1)
    loss = RKDLoss(**given)([student.requires_grad_()], [teacher])
    loss.backward()
    assert loss.item() == 0
    assert student.grad.abs().max() == 0


# --- CrossKD ---


def linear_rest(inputs, seed):
    """The rest of a network as a matrix over channels: known, linear, and frozen unless asked."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, inputs, generator=generator, dtype=torch.float64)


def rest(*matrices):
    return lambda place, features: torch.einsum('oc,bchw->bohw', matrices[place], features)


def test_crosskd_is_the_l1_between_the_teachers_image_and_that_from_adapted_features():
    student, teacher = maps((2, 2, 3, 4), (2, 4, 3, 4)), maps(*[(2, 4, 3, 4)] * 2, seed=1)
    (label,) = maps((2, 3, 3, 4), seed=2)
    loss, matrices = connected(CrossKDLoss(0.5), student, teacher), [linear_rest(4, seed) for seed in (3, 4)]
    weight, bias = loss.adapters[0].weight[:, :, 0, 0], loss.adapters[0].bias
    assert isinstance(loss.adapters[1], nn.Identity)
    total = 0.0
    for b, y, x in itertools.product(range(2), range(3), range(4)):
        adapted = [weight @ student[0][b, :, y, x] + bias, student[1][b, :, y, x]]
        for matrix, features in zip(matrices, adapted, strict=True):
            total += (matrix @ features - label[b, :, y, x]).abs().sum().item()
    found = loss(student, teacher, label=label, teacher_from=rest(*matrices))
    assert found.item() == pytest.approx(0.5 * total / label.numel(), rel=1e-12)


def test_crosskd_is_zero_where_the_student_has_the_teachers_features():
    (teacher,), matrix = maps((2, 4, 3, 4)), linear_rest(4, 0)
    label = rest(matrix)(0, teacher)
    same = CrossKDLoss()
    assert same([teacher], [teacher], label=label, teacher_from=rest(matrix)).item() == 0
    assert same([teacher + 1], [teacher], label=label, teacher_from=rest(matrix)).item() > 0.1


def test_the_gradient_of_crosskd_passes_the_rest_to_the_student_and_its_adapter():
    (student,), (teacher,) = maps((2, 3, 2, 2)), maps((2, 4, 2, 2), seed=1)
    (label,), matrix = maps((2, 3, 2, 2), seed=2), linear_rest(4, 3)
    loss = connected(CrossKDLoss(), [student], [teacher])

    def value(x):
        return loss([x], [teacher], label=label, teacher_from=rest(matrix))

    assert torch.autograd.gradcheck(value, [student.requires_grad_()])
    for each in (teacher, label):
        each.requires_grad_()
    value(student).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in loss.parameters())
    assert teacher.grad is None
    assert label.grad is None


# --- MiPKD ---

STUDENT_ROUTE, TEACHER_ROUTE = 2**63 - 1, 0
"""Seeds of a step in which every tap goes on in this network."""


def mipkd(student, teacher, **given):
    return connected(MiPKDLoss(**given), student, teacher)


def value_of(loss, student, teacher, label, matrices, seeds=(STUDENT_ROUTE, 5)):
    loss.draw(*seeds)
    return loss(student, teacher, label=label, student_from=rest(*matrices[0]), teacher_from=rest(*matrices[1]))


def toys(taps=1, samples=2):
    """Maps of both networks, the label, and both rests."""
    student, teacher = maps(*[(samples, 2, 4, 5)] * taps), maps(*[(samples, 3, 4, 5)] * taps, seed=1)
    (label,) = maps((samples, 3, 4, 5), seed=2)
    return student, teacher, label, [[linear_rest(width, 10 * width + tap) for tap in range(taps)] for width in (2, 3)]


def convolve(layer, x):
    """A 3x3 convolution as a sum over shifted images."""
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    height, width = x.shape[-2:]
    total = layer.bias[None, :, None, None].expand(len(x), -1, height, width)
    for dy, dx in itertools.product(range(3), range(3)):
        shifted = padded[..., dy : dy + height, dx : dx + width]
        total = total + torch.einsum('oc,bchw->bohw', layer.weight[..., dy, dx], shifted)
    return total


def l1(x, y):
    return (x - y).abs().sum() / x.numel()


@pytest.mark.parametrize('route', [STUDENT_ROUTE, TEACHER_ROUTE, 0b10])
def test_mipkd_is_the_sum_of_its_priors_over_the_taps(route):
    student, teacher, label, matrices = toys(taps=2)
    loss = mipkd(student, teacher, loss_weight=0.5, feature_weight=2.0, block_weight=3.0, reconstruction_weight=5.0)
    loss.draw(route, 5)
    masks = [loss.draw_mask(place, s) for place, s in enumerate(student)]
    expected = 0.0
    for place, (mixer, s, t) in enumerate(zip(loss.adapters, student, teacher, strict=True)):
        latent_s, latent_t = convolve(mixer.encode_student, s), convolve(mixer.encode_teacher, t)
        mixture = masks[place] * latent_t + ~masks[place] * latent_s
        ours, theirs = convolve(mixer.decode_student, mixture), convolve(mixer.decode_teacher, mixture)
        expected += 2 * l1(theirs, t)
        expected += 5 * (
            l1(convolve(mixer.decode_teacher, latent_t), t) + l1(convolve(mixer.decode_student, latent_s), s)
        )
        by_student = route >> place & 1
        image = torch.einsum('oc,bchw->bohw', matrices[0 if by_student else 1][place], ours if by_student else theirs)
        expected += 3 * l1(image, label)
    assert value_of(loss, student, teacher, label, matrices, (route, 5)).item() == pytest.approx(
        0.5 * expected.item(), rel=1e-12
    )


def test_of_the_teachers_features_alone_the_feature_prior_is_the_teachers_auto_encoder():
    student, teacher, label, matrices = toys()
    loss = mipkd(student, teacher, teacher_share=1.0, block_weight=0, reconstruction_weight=0)
    (mixer,) = loss.adapters
    expected = l1(convolve(mixer.decode_teacher, convolve(mixer.encode_teacher, teacher[0])), teacher[0])
    assert value_of(loss, student, teacher, label, matrices).item() == pytest.approx(expected.item(), rel=1e-12)


def test_mipkd_is_zero_where_mixers_give_back_and_the_student_is_the_teacher():
    (features,), matrix = maps((2, 3, 4, 5)), linear_rest(3, 0)
    loss = mipkd([features], [features])
    for layer in loss.adapters[0].children():
        nn.init.dirac_(layer.weight)
    for route in (STUDENT_ROUTE, TEACHER_ROUTE):
        label = rest(matrix)(0, features)
        assert value_of(loss, [features], [features], label, [[matrix]] * 2, (route, 1)).item() == pytest.approx(0)


def test_masks_are_of_the_share_new_in_every_step_and_tap_and_the_same_for_parts_of_a_batch():
    (features,) = maps((4, 6, 20, 20))
    loss = mipkd([features], [features], teacher_share=0.25, latent=8)
    loss.draw(1, 7)
    masks = [loss.draw_mask(place, features) for place in (0, 1)]
    assert masks[0].shape == (4, 8, 20, 20)
    assert masks[0].float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(masks[0], loss.draw_mask(0, features))
    loss.seen = 2
    assert torch.equal(masks[0][2:], loss.draw_mask(0, features[2:]))
    loss.draw(1, 2**40)
    everything = [*masks[0], *masks[1], *loss.draw_mask(0, features)]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(everything, 2))


def test_parts_of_a_batch_have_the_mean_loss_of_the_batch():
    student, teacher, label, matrices = toys(taps=2, samples=4)
    loss = mipkd(student, teacher)
    whole = value_of(loss, student, teacher, label, matrices)
    loss.draw(STUDENT_ROUTE, 5)
    parts = [loss([s[i : i + 2] for s in student], [t[i : i + 2] for t in teacher], label=label[i : i + 2],
                  student_from=rest(*matrices[0]), teacher_from=rest(*matrices[1])) for i in (0, 2)]  # fmt: skip
    torch.testing.assert_close(sum(parts) / 2, whole, rtol=1e-12, atol=0)


def test_routes_are_even_and_independent_of_the_process():
    from dukd_basicsr.data.seeds import step_seed

    loss, counts = MiPKDLoss(), torch.zeros(2, 2)
    for iteration in range(400):
        loss.draw(step_seed(10, 0, iteration), step_seed(10, 1, iteration))
        counts[int(loss.is_students_turn(0)), int(loss.is_students_turn(1))] += 1
    assert counts.sum() == 400
    assert counts.min() > 60
    assert counts.max() < 140


@pytest.mark.parametrize('route', [STUDENT_ROUTE, TEACHER_ROUTE])
def test_the_gradient_of_mipkd_reaches_student_and_mixers(route):
    student, teacher, label, matrices = toys()
    loss = mipkd(student, teacher)

    def value(x):
        return value_of(loss, [x], teacher, label, matrices, (route, 5))

    student[0].requires_grad_()
    for each in (*teacher, label):
        each.requires_grad_()
    value(student[0]).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in loss.parameters())
    assert all(each.grad is None for each in (*teacher, label))
    loss.weights = (*loss.weights[:2], 0)  # the auto-encoders are not differentiated with respect to the student
    assert torch.autograd.gradcheck(value, [student[0]])


def test_auto_encoders_train_the_mixers_and_not_the_student():
    student, teacher, label, matrices = toys()
    loss = mipkd(student, teacher, feature_weight=0, block_weight=0)
    student[0].requires_grad_()
    value_of(loss, student, teacher, label, matrices).backward()
    assert student[0].grad is None or student[0].grad.abs().max() == 0
    assert all(parameter.grad.abs().max() > 0 for parameter in loss.parameters())


def test_mixers_are_drawn_from_their_own_generator_and_as_wide_as_said():
    before = torch.random.get_rng_state()
    first, second = (Mixer(2, 6, 4, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(dict(first.state_dict()), dict(second.state_dict()), rtol=0, atol=0)
    assert first.encode_teacher.weight.shape == (4, 6, 3, 3)
    assert first.decode_student.weight.shape == (2, 4, 3, 3)
    assert first.encode_teacher.weight.abs().max() <= (6 * 9) ** -0.5
