"""Runs commands of the real dvc without paying for its start each time.

DVC needs half a second to import itself. This process imports it once and forks for each command, so that a command
costs what it does. The child is the real command line (`dvc.cli.main`) with its own directory, environment and streams.

A request is one line of JSON on stdin: {"argv": [...], "cwd": path, "env": {...}, "stdout": path, "stderr": path}.
The answer is one line on stdout: the exit code.
"""

import json
import os
import signal
import sys

import dvc.cli
import dvc.dvcfile
import dvc.output
import dvc.repo
import dvc.repo.experiments
import dvc.repo.experiments.queue.workspace
import dvc.repo.experiments.run
import dvc.repo.index
import dvc.repo.reproduce
import dvc.stage
import dvc_data.index
import pygit2  # noqa: F401
from dvc.cli.parser import get_main_parser

LIMIT_SECONDS = 300


def child(request):
    os.setsid()
    signal.alarm(LIMIT_SECONDS)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    sys.argv = ["dvc", *request["argv"]]
    code = 1
    try:
        code = dvc.cli.main(request["argv"]) or 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def main():
    get_main_parser()
    answers = os.fdopen(os.dup(1), "w")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    main()
