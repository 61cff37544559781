"""What is told of a plan before anything is made, a line a fact."""

from __future__ import annotations

from dukd_basicsr.commands.distill.options_file import Settings
from dukd_basicsr.commands.distill.photographs import Survey
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.commands.distill.students import Student
from dukd_basicsr.commands.distill.teacher import Teacher


def describe_plan(
    request: Request,
    settings: Settings,
    teacher: Teacher,
    student: Student,
    found: Survey,
    measured: tuple[float, float, float, float],
) -> dict[str, str]:
    """Word to line, in the order in which they are shown.

    Args:
        request (Request): What was asked for.
        settings (Settings): What the options file will say.
        teacher (Teacher): As it was recognised.
        student (Student): As it was chosen.
        found (Survey): The photographs.
        measured (tuple): Seconds of an iteration with labels made live and from a cache, the student's milliseconds for
            a 1280x720 output, and the share that the chosen precision takes of plain float32's seconds.
    """
    live, cached, student_ms, share = measured
    (large, small), rest = (teacher.figures, student.figures), []
    rest += [f'{found.too_small} too small'] if found.too_small else []
    rest += [f'{found.doubles} there twice'] if found.doubles else []
    held = 'validated with' if found.of_own else 'held out by the hash of their content'
    left_out = f'; left out: {" and ".join(rest)}' if rest else ''
    labels = 'from a cache' if settings.cached else 'made live'
    step, other = (cached, live) if settings.cached else (live, cached)
    way = 'made live' if settings.cached else 'from a cache'
    instead = '' if settings.real else f', with labels {way} {other:.3g} s'
    method = 'logits distillation' + ', upcycled crops in the last quarter' * (settings.late or settings.real)
    method += ", LR by Real-ESRGAN's degradations" * settings.real
    return {
        'teacher': (
            f'{teacher.describe()}; {teacher.psnr:.2f} dB on crops of your photographs (bicubic {teacher.bicubic:.2f})'
        ),
        **({'note': ' '.join(teacher.notes)} if teacher.notes else {}),
        'student': (
            f'{student.name}, {small.describe()}, {student_ms:.0f} ms for a 1280x720 output here: '
            f'{large.params / small.params:.1f} times fewer parameters, {large.macs / small.macs:.1f} times fewer '
            'multiply-accumulates'
        ),
        'photographs': f'{len(found.train)} to train on, {len(found.held_out)} {held}{left_out}',
        'precision': _describe_way(settings, share),
        'method': f'{method}; learning rate {settings.rate:g}, half a cosine',
        'labels': f'{labels}: an iteration takes {step:.3g} s{instead}',
        'length': (
            f'{settings.iterations:,} iterations of {settings.batch} LR patches of {settings.patch}x{settings.patch}'
        ),
        'folder': str(request.out),
    }


def _describe_way(settings: Settings, share: float) -> str:
    if not settings.channels_last:
        return 'float32: neither channels_last nor bfloat16 is quicker here'
    what = 'bfloat16 convolutions, channels_last' if settings.bf16 else 'float32, channels_last'
    return f'{what}: an iteration takes {share:.2f} of the seconds of plain float32 here'
