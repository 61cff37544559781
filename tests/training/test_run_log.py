"""Log files of runs."""

from dukd_basicsr.training import run_log


def test_runs_within_one_second_have_a_file_each(tmp_path):
    names = []
    for _ in range(3):
        file = run_log.find_free(tmp_path, 'train_toy_20261125_100000')
        file.write_text('a run')
        names.append(file.name)
    assert names == [f'train_toy_20261125_100000{end}.log' for end in ('', '_2', '_3')]
