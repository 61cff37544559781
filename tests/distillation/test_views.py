import torch

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.distillation.views import View, answer_views, forward_by_size, label_views


class Counting:
    """Doubles its input's values and counts its calls."""

    def __init__(self):
        self.shapes = []

    def __call__(self, x):
        self.shapes.append(tuple(x.shape))
        return 2 * x


def exploding(x):
    raise AssertionError('was asked')


def test_equal_sizes_share_one_pass_and_come_back_under_their_names(device):
    shapes = {'a': (2, 3, 8, 8), 'b': (1, 3, 4, 4), 'c': (3, 3, 8, 8)}
    inputs = {name: torch.rand(shape, device=device) for name, shape in shapes.items()}
    net = Counting()
    outputs = forward_by_size(net, inputs)
    assert net.shapes == [(5, 3, 8, 8), (1, 3, 4, 4)]
    assert outputs.keys() == inputs.keys()
    for name, x in inputs.items():
        assert torch.equal(outputs[name], 2 * x)


def test_teacher_is_asked_only_for_labels_that_a_term_needs_and_nobody_brought():
    x = torch.rand(2, 3, 4, 4)
    views = {
        'brought': View(x, label=torch.ones(1)),
        'unneeded': View(x, ask_teacher=False),
        'unneeded but brought': View(x, label=torch.ones(1), ask_teacher=False),
    }
    assert label_views(exploding, views) == {'brought': torch.ones(1)}
    net = Counting()
    labels = label_views(net, views | {'asked': View(x)})
    assert net.shapes == [(2, 3, 4, 4)]
    assert torch.equal(labels['asked'], 2 * x)


def test_teacher_sees_clean_inputs_without_a_graph():
    x = torch.rand(4, 3, 4, 4, requires_grad=True)
    transform = InvertibleTransform.sample(4, prob=1.0)
    labels = label_views(lambda u: 2 * u, {'v': View(x, transform=transform)})
    assert torch.equal(labels['v'], 2 * x)
    assert not labels['v'].requires_grad


def test_student_sees_the_transformed_input_and_its_answer_is_turned_back(device):
    x = torch.rand(4, 3, 4, 4, device=device)
    transform = InvertibleTransform.sample(4, ops=('hflip', 'vflip', 'transpose'), prob=1.0, device=device)
    net = Counting()
    seen = []
    views = {'plain': View(x), 'v': View(x, transform=transform)}
    outputs = answer_views(lambda u: seen.append(u) or net(u), views)
    assert torch.equal(seen[0], torch.cat([x, transform(x)]))
    assert torch.equal(outputs['v'], 2 * transform(x))
    for name, view in views.items():
        assert torch.equal(view.turn_back(outputs[name]), 2 * x)


def test_a_view_of_some_samples_has_what_belongs_to_them(device):
    lq, gt, label = (torch.rand(4, 3, side, side, device=device) for side in (2, 4, 4))
    view = View(lq, gt=gt, label=label, ask_teacher=False)
    some = view.select(torch.tensor([2, 0]).to(device))
    for found, whole in ((some.lq, lq), (some.gt, gt), (some.label, label)):
        assert torch.equal(found, torch.stack([whole[2], whole[0]]))
    assert not some.ask_teacher
    assert View(lq).select(torch.tensor([1]).to(device)).gt is None
    assert view.select(None).lq is lq
