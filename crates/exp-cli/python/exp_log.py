"""Logs metrics, parameters, images and artifacts of a run, in the files that DVCLive writes.

One file, no dependencies, Python 3.8 or newer: `exp log --python > exp_log.py` writes it. It may be copied anywhere.

    import exp_log

    exp_log.clear()                              # forget what an earlier run logged
    exp_log.log_params({"lr": 0.1, "layers": [64, 32]})
    for step in range(10):
        exp_log.log({"train/loss": 1 / (step + 1), "acc": 0.9}, step)
        exp_log.log_image(f"samples/{step}.png", figure)
    exp_log.log({"best": 0.9})                   # without a step: only the latest value
    exp_log.log_artifact("model.pkl", type="model", desc="the net")

Below `dvclive` (or `dir=`): `metrics.json` has the latest values, `plots/metrics/NAME.tsv` a line for each step,
`params.yaml` the parameters, `plots/images` the images. Inside of a project (a directory with `.dvc`) the `dvc.yaml`
of the current directory names them, so that `exp show` and `exp plots` find them. Any number of processes may log at a
time, `exp log` among them. A value that is wrong raises before anything is written.
"""

import atexit
import contextlib
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time

try:
    import fcntl
except ImportError:  # Not on Windows: processes that log at a time may lose each other's latest values there.
    fcntl = None

__all__ = ["clear", "log", "log_artifact", "log_image", "log_params"]

DIR = "dvclive"
_IMAGES = (".jpg", ".jpeg", ".gif", ".png")
_LEFT = ("plots/metrics", "plots/images", "plots/custom", "plots/sklearn")
_LEFT_FILES = ("metrics.json", "params.yaml", "report.html", "report.md")


def log(metrics, step=None, dir=DIR, timestamp=False):
    """Logs metrics by name; `/` in a name makes groups. With a step each gets a line in its table."""
    values = {name: (_parts(name), _metric(name, value)) for name, value in metrics.items()}
    with _locked(dir):
        path = os.path.join(dir, "metrics.json")
        summary = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                summary = json.load(file)
        for name, (parts, value) in values.items():
            _set_in(summary, name, parts, value)
        if step is not None:
            for parts, value in values.values():
                _append(os.path.join(dir, "plots", "metrics", *parts) + ".tsv", parts[-1], step, value, timestamp)
            summary["step"] = int(step)
        _replace(path, json.dumps(summary, indent=4) + "\n")
        _track(dir)
    if step is not None:
        _signal(step)


def log_params(params, dir=DIR):
    """Logs parameters by name: numbers, texts, truth values, lists and dicts of these."""
    blocks = {name: _yaml({name: value}) for name, value in params.items()}
    with _locked(dir):
        path = os.path.join(dir, "params.yaml")
        sections = _sections(_read(path))
        for name, block in blocks.items():
            _section(sections, name)[1] = block
        _replace(path, "".join(line for _, lines in sections for line in lines))
        _track(dir)


def log_image(name, image, dir=DIR):
    """Logs an image: the path of a file, bytes, a figure of matplotlib, or an image of PIL.

    Names such as `samples/3.png` are shown as steps with a slider.
    """
    is_path = isinstance(image, (str, os.PathLike))
    if is_path and not os.path.splitext(name)[1]:
        name += os.path.splitext(os.fspath(image))[1]
    parts = _parts(name)
    if os.path.splitext(name)[1].lower() not in _IMAGES:
        raise ValueError(f"{name!r} has to end in one of {', '.join(_IMAGES)}")
    with _locked(dir):
        path = os.path.join(dir, "plots", "images", *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if is_path:
            shutil.copyfile(image, path)
        elif isinstance(image, (bytes, bytearray)):
            with open(path, "wb") as file:
                file.write(image)
        elif hasattr(image, "savefig"):
            image.savefig(path)
        elif hasattr(image, "save"):
            image.save(path)
        else:
            raise TypeError(f"{type(image).__name__} is no image: give a path, bytes, or something that can save itself")
        _track(dir)


def log_artifact(path, type=None, name=None, desc=None, labels=None, meta=None, copy=False, cache=True, dir=DIR):
    """Tracks a file or directory as data, as `exp data add` does, and describes it in `dvc.yaml`.

    `copy` makes a copy below `dvclive/artifacts` and tracks that. Inside of a stage, declare the path as one of its
    outputs instead: then it is tracked there, and only described here.
    """
    path = os.fspath(path)
    if copy:
        target = os.path.join(dir, "artifacts", os.path.basename(os.path.normpath(path)))
        if os.path.isdir(target) and not os.path.islink(target):
            shutil.rmtree(target)
        elif os.path.lexists(target):
            os.remove(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        (shutil.copytree if os.path.isdir(path) else shutil.copy2)(path, target)
        path = target
    elif not os.path.exists(path):
        raise FileNotFoundError(path)
    root = _root()
    if root is None:
        _warn(f"{path} is in no project and is not tracked: `exp init` makes one")
        return
    if cache:
        _add(path)
    described = {"type": type, "desc": desc, "labels": labels, "meta": meta}
    described = {key: value for key, value in described.items() if value is not None}
    if described or name:
        name = name or os.path.splitext(os.path.basename(path))[0]
        if not re.fullmatch(r"[a-zA-Z0-9]([a-zA-Z0-9/_-]*[a-zA-Z0-9])?", name):
            _warn(f"{name!r} cannot be the name of an artifact: it is not described in dvc.yaml")
            return
        with _locked(dir):
            sections = _sections(_read("dvc.yaml"))
            lines = _section(sections, "artifacts")[1]
            if lines and lines[0].split(":", 1)[1].strip():
                _warn("`artifacts` of dvc.yaml is not written as an indented block: it is left alone")
                return
            inner = _sections("".join(_outdented(lines[1:])))
            entry = _section(inner, name)
            entry[1] = _yaml({name: {"path": path.replace(os.sep, "/"), **described}})
            body = ["  " + line for _, found in inner for line in found]
            _section(sections, "artifacts")[1] = ["artifacts:\n", *body]
            _replace("dvc.yaml", "".join(line for _, found in sections for line in found))


def clear(dir=DIR):
    """Removes what an earlier run logged, as DVCLive does when a run begins."""
    if not os.path.isdir(dir):
        return
    with _locked(dir):
        for name in _LEFT:
            shutil.rmtree(os.path.join(dir, name), ignore_errors=True)
        for name in _LEFT_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(dir, name))


# Values and names.


def _parts(name):
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or name.startswith("/") or ".." in parts or not name.isprintable():
        raise ValueError(f"{name!r} cannot be a name")
    return parts


def _metric(name, value):
    if hasattr(value, "item"):  # Scalars of NumPy, and tensors with one number.
        value = value.item()
    if not isinstance(value, (int, float, str)):
        raise TypeError(f"metric {name!r} is a {type(value).__name__}: give a number or text")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _set_in(table, name, parts, value):
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ValueError(f"{name!r} and a part of it cannot both have a value")
    if isinstance(table.get(parts[-1]), dict):
        raise ValueError(f"{name!r} and a part of it cannot both have a value")
    table[parts[-1]] = value


# Files.


@contextlib.contextmanager
def _locked(dir):
    """Keeps other processes from logging here meanwhile."""
    os.makedirs(dir, exist_ok=True)
    if fcntl is None:
        yield
        return
    held = os.open(dir, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # Not every file system has locks.
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _read(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _replace(path, text):
    """Replaces a file in one step, so that a reader never sees half of it."""
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    if os.path.exists(path):
        shutil.copymode(path, temporary)
    os.replace(temporary, path)


def _append(path, name, step, value, timestamp):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a+", encoding="utf-8", newline="") as file:
        file.seek(0)
        header = file.readline()
        if header and file.read()[-1:] not in ("", "\n"):
            file.write("\n")  # Whoever wrote the last line was stopped in the middle.
        if header:
            timestamp = header.startswith("timestamp\t")
        row = {"timestamp": int(time.time() * 1000)} if timestamp else {}
        row.update({"step": step, name: value})
        writer = csv.DictWriter(file, row.keys(), delimiter="\t", lineterminator=os.linesep)
        if not header:
            writer.writeheader()
        writer.writerow(row)


def _root():
    """Returns the directory of the project around the current one."""
    at = os.path.realpath(os.getcwd())
    while not os.path.isdir(os.path.join(at, ".dvc")):
        at, below = os.path.dirname(at), at
        if at == below:
            return None
    return at


def _signal(step):
    """Tells editors that a step has ended, as DVCLive does."""
    root = os.environ.get("DVC_ROOT") or _root()
    if root is None:
        return
    path = os.path.join(root, ".dvc", "tmp", "exps", "run", "DVCLIVE_STEP_COMPLETED")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _replace(path, json.dumps({"pid": os.getpid(), "step": step}))
    if path not in _signals:
        _signals.add(path)
        atexit.register(_unsignal, path)


_signals = set()


def _unsignal(path):
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _add(path):
    """Tracks data with the program that this file comes from."""
    program = os.environ.get("EXP_BIN") or shutil.which("exp")
    if program is None:
        _warn(f"{path} is not tracked: the program exp is not on the search path")
        return
    done = subprocess.run([program, "data", "add", "--quiet", path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        _warn(f"{path} is not tracked: {done.stderr.strip()}")


def _warn(message):
    print(f"warning: {message}", file=sys.stderr)


# YAML, as much of it as these files need.


def _track(dir):
    """Names what was logged in the dvc.yaml of this directory, unless it is named already."""
    if _root() is None:
        return
    base = os.path.relpath(dir).replace(os.sep, "/")
    if base == "." or base.startswith("../"):
        return
    wanted = (
        ("params", "params.yaml", ""),
        ("metrics", "metrics.json", ""),
        ("plots", "plots/metrics", ":\n    x: step"),
        ("plots", "plots/images", ""),
    )
    text = _read("dvc.yaml")
    sections, changed = _sections(text), False
    for key, name, props in wanted:
        path = f"{base}/{name}"
        if not os.path.exists(os.path.join(dir, name)) or _names(text, path):
            continue
        lines = _section(sections, key)[1]
        if not lines:
            lines.append(f"{key}:\n")
        elif lines[0].split(":", 1)[1].split("#")[0].strip():
            _warn(f"`{key}` of dvc.yaml is not written as a list with dashes: add {path} to it")
            continue
        if not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        indent = next((line[: line.index("-")] for line in lines[1:] if line.lstrip().startswith("- ")), "")
        lines.append(f"{indent}- {path}{props.replace(chr(10), chr(10) + indent)}\n")
        changed = True
    if changed:
        if not sections[0][1]:
            # An own file begins as DVCLive's does.
            order = {"params": 0, "metrics": 1, "plots": 2}
            if all(key is None or key in order for key, _ in sections):
                sections.sort(key=lambda section: order.get(section[0], -1))
        _replace("dvc.yaml", "".join(line for _, lines in sections for line in lines))


def _names(text, path):
    """Returns whether a list of a dvc.yaml names a path, or a directory above it."""
    items = re.findall(r"^\s*- *[\"']?(?:\./)?([^\"'\n#:]+?)/?[\"']? *(?::.*)?$", text, re.MULTILINE)
    return any(path == item or path.startswith(item + "/") for item in items)


def _sections(text):
    """Splits text into its top-level entries: pairs of a key and lines, first what stands before any."""
    sections = [[None, []]]
    for line in text.splitlines(keepends=True):
        found = re.match(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'\[{-][^#]*?)\s*:(?:\s|$)""", line)
        if found:
            key = found.group(1)
            if key.startswith('"'):
                key = json.loads(key)
            elif key.startswith("'"):
                key = key[1:-1].replace("''", "'")
            sections.append([key, [line]])
        else:
            sections[-1][1].append(line)
    return sections


def _section(sections, key):
    """Returns the entry of a key, a new one at the end if there is none."""
    for section in sections:
        if section[0] == key:
            return section
    last = sections[-1][1]
    if last and not last[-1].endswith("\n"):
        last[-1] += "\n"
    sections.append([key, []])
    return sections[-1]


def _outdented(lines):
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[indent:] for line in lines]


def _yaml(table, indent=""):
    """Writes a dict in block style, as DVCLive does."""
    lines = []
    for key, value in table.items():
        lines += _entry(f"{indent}{_scalar(str(key))}:", value, indent)
    return lines


def _entry(head, value, indent):
    if isinstance(value, dict) and value:
        return [f"{head}\n", *_yaml(value, indent + "  ")]
    if isinstance(value, (list, tuple)) and value:
        lines = [f"{head}\n"]
        for item in value:
            if isinstance(item, (dict, list, tuple)) and item:
                inner = _yaml(item, indent + "  ") if isinstance(item, dict) else _entry("", item, indent + "  ")[1:]
                lines += [f"{indent}- {inner[0][len(indent) + 2:]}", *inner[1:]]
            else:
                lines.append(f"{indent}- {_scalar(item)}\n")
        return lines
    text = _scalar(value)
    return [f"{head} {text}\n" if text else f"{head}\n"]


def _scalar(value):
    if hasattr(value, "item"):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        return repr(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} cannot be a parameter")
    return _text(value)


def _text(text):
    if not text.isprintable():
        return json.dumps(text)
    is_word = re.fullmatch(r"[^\W\d][\w./%() @+=-]*[\w./%()]|[^\W\d]", text)
    is_value = text.lower() in ("true", "false", "null")
    if is_word and not is_value:
        return text
    return "'" + text.replace("'", "''") + "'"
