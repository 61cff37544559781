"""Networks, losses and metrics against what is registered under their names."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from dukd_basicsr.errors import did_you_mean
from dukd_basicsr.options.components import REQUIRED, Component, list_components
from dukd_basicsr.options.foreign import find_misspelt
from dukd_basicsr.options.report import Report, join, read_text_number, show

_SCALE = ('upscale', 'scale')
_CHANNELS = ('num_in_ch', 'in_chans')
_PAIRED = ('PairedImageDataset', 'UpcycledImageDataset', 'RealESRGANDataset')


def check_component(
    kind: str,
    given: Mapping[str, Any],
    key: str,
    report: Report,
    *,
    supplied: Iterable[str] = (),
    known: Iterable[str] = (),
    arguments: bool = True,
) -> Component | None:
    """Check that `type` is registered and that the other keys are its arguments.

    Args:
        kind (str): 'arch', 'dataset', 'loss', 'metric' or 'model'.
        given (Mapping): The section.
        key (str): Its dotted key.
        report (Report): Collects the errors.
        supplied (Iterable[str]): Arguments that the program supplies.
        known (Iterable[str]): Keys that are for the program.
        arguments (bool): Check the arguments too.

    Returns:
        Component | None: What is registered, None where nothing is.
    """
    name = given.get('type')
    if name is None:
        report.error(join(key, 'type'), f'missing key: the {kind}.')
        return None
    component = list_components(kind).get(name) if isinstance(name, str) else None
    if component is None:
        misspelt = find_misspelt(name, list_components(kind))
        report.error(join(key, 'type'), f'{show(name)} is not registered.{advise_name(kind, misspelt)}')
    elif arguments:
        _check_arguments(component, given, key, report, {*supplied}, {*known, 'type'})
    return component


def advise_name(kind: str, meant: str | None) -> str:
    """What to write in place of a name that is not registered: the one that was meant, or any, one's own included.

    Args:
        kind (str): As for `check_component`.
        meant (str | None): A registered name, where this one is misspelt.
    """
    if meant is not None:
        return f' Did you mean "{meant}"? For one of your own, add --import FILE.py.'
    allowed = ', '.join(sorted(list_components(kind)))
    return f' Allowed: {allowed}. One of your own, or of another repository, is registered by --import FILE.py.'


def _check_arguments(
    component: Component, given: Mapping[str, Any], key: str, report: Report, supplied: set[str], known: set[str]
) -> None:
    allowed = set(component.parameters) - supplied
    misspelt = set()
    for name in list(given):
        if name in known:
            continue
        if name in allowed:
            value = _read_number(given, name, component.parameters[name], join(key, name), report)
            _check_number(name, value, component.parameters[name], join(key, name), report)
            continue
        full = join(key, name)
        close = difflib.get_close_matches(str(name), allowed | known, n=1)
        # **kwargs swallow what they do not know, so that a misspelt argument silently changes the run.
        if close or not component.takes_any:
            misspelt |= {*close}
            report.error(full, report.moved.get(full, f'unknown key.{did_you_mean(str(name), allowed | known)}'))
    for name, default in component.parameters.items():
        if default is REQUIRED and name not in {*given, *supplied, *misspelt}:
            report.error(join(key, name), f'missing key: {given["type"]} needs this argument.')


def _read_number(given: Mapping[str, Any], name: str, default: object, path: str, report: Report) -> Any:
    """An argument; where it is a number that YAML 1.1 takes for text, the section has the number from now on."""
    number = None if isinstance(default, str) else read_text_number(given[name], path, report)
    if number is not None and isinstance(given, MutableMapping):
        given[name] = int(number) if isinstance(default, int) and number.is_integer() else number
    return given[name]


def _check_number(name: str, value: object, default: object, path: str, report: Report) -> None:
    """Where a number is due by its default: no text, no nan; and `img_range` divides."""
    due = isinstance(default, (int, float)) and not isinstance(default, bool)
    if due and isinstance(value, str):
        report.error(path, f'{show(value)} is text, and a number is due; write one, e.g. {name}: {default}.')
    elif isinstance(value, float) and not math.isfinite(value):
        report.error(path, f'{value} is not a finite number.')
    elif name == 'img_range' and isinstance(value, (int, float)) and value <= 0:
        report.error(path, f'{value} is too small; it must be above 0.')


def check_networks(options: Mapping[str, Any], strict: bool, report: Report) -> None:
    """Every `network_*`: registered, with known arguments; student and teacher for one scale and the same channels.

    Args:
        options (Mapping): The whole file.
        strict (bool): Check scale and channels too: networks of other models may be of any kind.
        report (Report): Collects the errors.
    """
    found = {}
    for key, given in _iterate_networks(options):
        component = check_component('arch', given, key, report)
        if component is not None:
            found[key] = (component, given)
    if not strict:
        return
    for key, (component, given) in found.items():
        _check_scale(key, component, given, options.get('scale'), report)
    _check_channels(found, report)
    if 'network_g' in found:
        _check_images(*found['network_g'], options.get('datasets'), report)
    for key, (_, given) in found.items() if not report.errors else ():
        if given['type'] == 'EDSR' and given.get('num_in_ch', 3) != 3:
            text = 'but EDSR subtracts a mean of 3 channels; write another type, e.g. MSRResNet.'
            report.error(f'{key}.num_in_ch', f'{given["num_in_ch"]}, {text}')


def _iterate_networks(options: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each `network_*` by its key; the members of a list as `network_t[0]`."""
    for key, given in options.items():
        if not str(key).startswith('network_'):
            continue
        if isinstance(given, Mapping):
            yield key, given
        elif isinstance(given, list):
            yield from ((f'{key}[{place}]', one) for place, one in enumerate(given) if isinstance(one, Mapping))


def find_argument(component: Component, given: Mapping[str, Any], names: Iterable[str]) -> tuple[str, Any] | None:
    """The first of these arguments that the network has, and its value, given or by default."""
    for name in names:
        if name in component.parameters:
            return name, given.get(name, component.parameters[name])
    return None


def find_number(network: Mapping[str, Any] | None, names: Iterable[str]) -> tuple[str, int] | None:
    """The first of these arguments that a network of the options has, where its value is a whole number."""
    name = network.get('type') if isinstance(network, Mapping) else None
    component = list_components('arch').get(name) if isinstance(name, str) else None
    found = find_argument(component, network or {}, names) if component else None
    return found if found and isinstance(found[1], int) else None


def _check_scale(key: str, component: Component, given: Mapping[str, Any], scale: Any, report: Report) -> None:
    argument = find_argument(component, given, _SCALE)
    if argument is None or not isinstance(scale, int) or isinstance(scale, bool):
        return
    name, value = argument
    if isinstance(value, (int, float)) and value != scale:
        how = '' if name in given else ' by default'
        report.error(join(key, name), f'{value}{how}, but scale: {scale}; write {name}: {scale}.')


def _check_channels(found: Mapping[str, tuple[Component, Mapping[str, Any]]], report: Report) -> None:
    """Every teacher sees the student's images and answers in its channels."""
    if 'network_g' not in found:
        return
    for key in (key for key in found if key.startswith('network_t')):
        for names in (_CHANNELS, ('num_out_ch', *_CHANNELS)):
            student, teacher = (find_argument(*found[which], names) for which in ('network_g', key))
            if not (student and teacher and isinstance(student[1], int) and isinstance(teacher[1], int)):
                continue
            if student[1] != teacher[1]:
                report.error(
                    f'{key}.{teacher[0]}',
                    f'{teacher[1]}, but network_g.{student[0]}: {student[1]}; '
                    'teacher and student need the same channels.',
                )


def _check_images(component: Component, given: Mapping[str, Any], datasets: Any, report: Report) -> None:
    """The student takes and gives what its data sets have: RGB, or luma with `color: y`."""
    for name, dataset in datasets.items() if isinstance(datasets, Mapping) else ():
        if not isinstance(dataset, Mapping) or dataset.get('type') not in _PAIRED:
            continue
        images = 1 if dataset.get('color') == 'y' else 3
        for names in (_CHANNELS, ('num_out_ch', *_CHANNELS)):
            argument = find_argument(component, given, names)
            if argument and isinstance(argument[1], int) and argument[1] != images:
                report.error(
                    f'network_g.{argument[0]}',
                    f'{argument[1]}, but the images of datasets.{name} have {images}; write {argument[0]}: {images}.',
                )
