import pytest

from dukd_basicsr.cli import main
from dukd_basicsr.web.runtime import FILES
from tests.toys import STUDENT, save_weights


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / 'net.pth', STUDENT)
    (tmp_path / 'runtime').mkdir()
    for name in FILES:
        (tmp_path / 'runtime' / name).write_bytes(b'x')
    return tmp_path


def test_a_page_is_written_and_said_how_to_look_at(place, capsys):
    words = ['export', 'net.pth', '--web', 'my page', '--web-runtime', 'runtime']
    assert main(words) == 0
    assert (place / 'my page' / 'index.html').is_file()
    assert "python3 -m http.server --directory 'my page'" in capsys.readouterr().out
    assert main(words) == 2
    assert capsys.readouterr().err == 'basicsr export: my page is not empty; give a new folder: --web DIR.\n'


def test_a_runtime_without_a_page_is_a_mistake(place, capsys):
    assert main(['export', 'net.pth', '-o', 'net.onnx', '--web-runtime', 'runtime']) == 2
    assert '--web-runtime is for --web DIR' in capsys.readouterr().err
    assert not (place / 'net.onnx').exists()


@pytest.mark.parametrize('words', [[], ['-o', 'net.onnx', '--web', 'page']])
def test_one_of_file_and_page_is_asked_for(place, capsys, words):
    with pytest.raises(SystemExit) as error:
        main(['export', 'net.pth', *words])
    assert error.value.code == 2
    assert '--web' in capsys.readouterr().err
