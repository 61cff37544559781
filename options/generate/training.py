"""The training files: a method, a teacher, a student and a scale, with the variants that some of them have."""

from __future__ import annotations

from dataclasses import dataclass

from options.generate.blocks import (
    DIV2K_EPOCH,
    DUKD_PARTS,
    IN_BATCH_PARTS,
    LOGGING,
    METRICS,
    SCHEDULE,
    TRAIN_SET,
    fill,
    write_general,
    write_paired_sets,
)
from options.generate.methods import METHODS, RIVALS, choose_entry
from options.generate.networks import ARCHITECTURES


@dataclass(frozen=True)
class Training:
    """One training file."""

    method: str
    """A key of METHODS."""
    teacher: str
    student: str
    """Keys of ARCHITECTURES; without a teacher both are the student's."""
    scale: int
    staged: bool = False
    """Start from the x2 student of the same method and architectures."""
    data: str = 'DIV2K'
    """Or 'DF2K', for twice as many iterations."""
    upcycled: bool = False
    """Train from the teacher's labels that `basicsr upcycle` has written, without the teacher."""
    in_batch: bool = False
    """Upcycle in place of plain samples, late in the training."""

    @property
    def pair(self) -> str:
        """As in the file's name, e.g. 'edsr' or 'edsr_to_rcan'."""
        return self.student if self.teacher == self.student else f'{self.teacher}_to_{self.student}'

    @property
    def file(self) -> str:
        """E.g. 'train_dukd_edsr_x4.yml'."""
        return f'train_{self.method}{self.pair}_x{self.scale}{self._suffix}.yml'

    @property
    def _suffix(self) -> str:
        tags = '_from_x2' * self.staged + '_upcycled' * self.upcycled + '_in_batch' * self.in_batch
        return tags + '_df2k' * (self.data == 'DF2K')

    @property
    def _iterations(self) -> str:
        return '500k' if self.data == 'DF2K' else '250k'

    @property
    def name(self) -> str:
        """Of the run, e.g. 'DUKD_EDSR_x4_f256b32_f64b32_DIV2K_250k_B16'."""
        teacher, student = ARCHITECTURES[self.teacher], ARCHITECTURES[self.student]
        title = student.title if self.teacher == self.student else f'{teacher.title}_{student.title}'
        tags = f'{teacher.teacher_tag}_{student.student_tag}' if self.method else student.student_tag
        suffix = self._suffix.removesuffix('_df2k')
        return f'{self.method.upper()}{title}_x{self.scale}_{tags}_{self.data}_{self._iterations}_B16{suffix}'

    def write(self) -> str:
        """Return the content of the whole file."""
        teacher, student = ARCHITECTURES[self.teacher], ARCHITECTURES[self.student]
        networks = f'# network structures\nnetwork_g:\n{student.student}'
        if self.method:
            networks += f'\nnetwork_t:\n{teacher.teacher}'
        return fill(
            self._write_head()
            + write_general(self.name, METHODS[self.method][0] or student.alone_model)
            + f'{self._write_train_set()}\n{write_paired_sets("val")}\n{networks}\n{self._write_paths()}'
            + f'\n# training settings\ntrain:\n{self._write_schedule()}\n{self._write_losses()}'
            + f'\n# validation settings\nval:\n  val_freq: !!float 5e3\n  save_img: false\n{METRICS}{LOGGING}',
            self.scale,
        )

    def _write_head(self) -> str:
        teacher, student = ARCHITECTURES[self.teacher], ARCHITECTURES[self.student]
        title, dukd = METHODS[self.method][1], f'train_dukd_{self.pair}_x{self.scale}.yml'
        to = f'{student.title} {student.student_size}' if self.teacher != self.student else student.student_size
        sizes = f'{teacher.title} {teacher.teacher_size} -> {to}'
        if not self.method:
            sizes = f'{student.title} {student.student_size}'
        role = '' if self.method == 'dukd_' else f': the baseline of {dukd}'
        if self.method == 'dukd_':
            role = ', across architectures' if self.teacher != self.student else ": the paper's networks and schedule"
            role += ', from the x2 student' if self.staged else '' if self.in_batch else ', from scratch'
            role += ', its labels from a cache' if self.upcycled else ''
            role += ', in the seconds of KD' if self.in_batch else ''
        lines = [f'# {title}, {sizes}, x{self.scale}{role}.']
        if self.method:
            file = teacher.teacher_files[self.scale].removeprefix('../')
            lines.append(f'# The teacher is {file} of {teacher.teacher_source}.')
        if self.data == 'DF2K':
            lines.append('# The paper compares this, on the 3,450 images of DIV2K and Flickr2K for 500,000 iterations,')
            lines.append(f'# with {dukd} on DIV2K for 250,000. For the data: basicsr prepare DF2K.')
        if self.upcycled:
            lines.append('# First, once for all students and ablations of this teacher:')
            lines.append(f'# basicsr upcycle -opt options/{self.file}')
            lines.append('# Then without the teacher; network_t and its weights may be missing:')
        lines.append(f'# basicsr train -opt options/{self.file} [--auto_resume]')
        return '\n'.join(lines) + '\n'

    def _write_schedule(self) -> str:
        """Twice as long on DF2K, and the milestones with it."""
        numbers = (('100000, 200000', '200000, 400000'), ('250000', '500000')) if self.data == 'DF2K' else ()
        text = SCHEDULE
        for old, new in numbers:
            text = text.replace(old, new)
        return text

    def _write_train_set(self) -> str:
        is_div2k = self.data == 'DIV2K'
        train_set = TRAIN_SET.replace('{data}_train', 'DIV2K_train' if is_div2k else self.data)
        train_set = train_set.replace('{data}', self.data).replace('{epoch}', DIV2K_EPOCH if is_div2k else '')
        if not self.upcycled:
            return train_set
        cache = f'datasets/DIV2K/DIV2K_train_X{{scale}}_{ARCHITECTURES[self.teacher].title}_upcycled.lmdb'
        plain, roots = '    type: PairedImageDataset\n', '    io_backend:\n'
        text = train_set.replace(plain, '    type: UpcycledImageDataset\n')
        return text.replace(roots, f'    dataroot_upcycled: {cache}\n{roots}')

    def _write_paths(self) -> str:
        path = '# path\npath:\n'
        if self.staged:
            first = Training(self.method, self.teacher, self.student, 2)
            path += (
                f'  # The student of {first.file}: train that first. Layers of the same shape are\n'
                '  # taken, the rest starts anew and is listed. The paper gains about 0.13 dB on Urban100 from it.\n'
                f'  pretrain_network_g: experiments/{first.name}/models/net_g_latest.pth\n  strict_load_g: false\n'
            )
        else:
            path += '  pretrain_network_g: ~\n  strict_load_g: true\n'
        if self.method:
            file = ARCHITECTURES[self.teacher].teacher_files[self.scale]
            file = f'experiments/pretrained_models/{file}'.replace('pretrained_models/../', '')
            path += f'  pretrain_network_t: {file}\n'
            path += f'  param_key_t: {ARCHITECTURES[self.teacher].teacher_key}\n  strict_load_t: true\n'
        return path + '  resume_state: ~\n'

    def _write_losses(self) -> str:
        student = ARCHITECTURES[self.student]
        text = '  # losses'
        if self.method in RIVALS:
            text += '. Networks, data and schedule are those of the other methods; weights: docs/losses.md.'
        elif self.method:
            text += '. The paper does not give its weights: 1 everywhere, one method for all networks.\n'
            text += (
                '  # The authors have no file for this pair.'
                if self.teacher != self.student or not student.authors
                else f"  # The authors' DUKD file of {student.title} x{self.scale} has\n"
                f'  # {student.authors[self.scale]}.'
            )
        blocks = []
        for name in ('pixel_opt', *METHODS[self.method][2]):
            block = f'  {name}:\n    type: L1Loss\n    loss_weight: 1.0\n    reduction: mean\n'
            parts = IN_BATCH_PARTS if self.in_batch else DUKD_PARTS
            blocks.append(block + (parts if name == 'dukd_opt' else ''))
        if self.method in RIVALS:
            entry = choose_entry(self.method, self.student).replace('\n', '\n      ')
            blocks.append(f'  feature_opt:\n    {self.method[:-1]}:\n      {entry}\n')
        return text + '\n' + '\n'.join(blocks)
