import subprocess
import sys

import pytest

from skerry_core.errors import UserMustActError
from skerry_operator.cli import keys
from skerry_operator.cli.lazy import load, reporting_errors
from skerry_operator.cli.main import COMMANDS


def test_help_lists_every_command_with_its_own_first_line(run):
    answer = run("--help")
    assert answer.exit_code == 0
    for name, command in COMMANDS.items():
        assert command.help in answer.stdout
        assert load(name, command.target).help.startswith(command.help)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(run, name):
    answer = run(name, "--help")
    assert answer.exit_code == 0
    assert f"skerry {name}" in answer.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom skerry_operator.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'kubernetes', 'minio', 'numpy', 'onnx', 'onnxruntime', 'sigstore', 'pydantic', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_usage_errors_are_exit_code_2(run):
    for args in (["nothing"], ["package"], ["status", "--no-such-option"], ["keys", "new", "house"]):
        answer = run(*args)
        assert answer.exit_code == 2, args
        assert "Traceback" not in answer.stderr


def test_tells_its_version(run):
    answer = run("--version")
    assert answer.exit_code == 0
    assert answer.stdout.split(".")[0].isdigit()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserMustActError("Reason", "do this"), "error: do this\n"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "error: /x: No such file or directory\n"),
        (PermissionError(13, "Permission denied"), "error: Permission denied\n"),
        (ZeroDivisionError("by zero"), "error: unexpected ZeroDivisionError: by zero (SKERRY_DEBUG=1 shows where"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(run, monkeypatch, tmp_path, error, line):
    def fail():
        raise error

    monkeypatch.setattr(keys, "generate_key_pair", fail)
    answer = run("keys", "new", "hub", "--out", tmp_path)
    assert answer.exit_code == 1
    assert answer.stderr.startswith(line)
    assert answer.stderr.count("\n") == 1
    monkeypatch.setenv("SKERRY_DEBUG", "1")
    assert run("keys", "new", "hub", "--out", tmp_path).exception is error


def test_a_broken_pipe_is_left_to_typer():
    def fail():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        reporting_errors(fail)()
