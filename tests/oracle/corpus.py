"""Records what the real dvc makes of each dvc.yaml of the corpus.

    target/oracle/dvc/bin/python tests/oracle/corpus.py

Each file of `crates/exp-engine/tests/corpus/{valid,broken,stricter,lenient}` is put into an empty project beside the files of
`corpus/files`. What dvc reads from it, or how it refuses it, goes to `corpus/verdicts.json`, which is committed: the test
`corpus` of exp-engine compares us with it and needs no dvc.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

from dvc.dependency import ParamsDependency
from dvc.repo import Repo

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "crates/exp-engine/tests/corpus"


def out(out):
    flags = {"cache": out.use_cache, "persist": out.persist, "push": out.can_push}
    if out.remote:
        flags["remote"] = out.remote
    flags["extra"] = {**out.annot.to_dict(), **(out.plot if isinstance(out.plot, dict) else {})}
    kind = "metric" if out.metric else "plot" if out.plot else "data"
    return {"path": out.def_path, "kind": kind, **flags}


def command(cmd):
    """Items of a list may be of any type; dvc fails when it runs one that is no text."""
    if isinstance(cmd, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in cmd]
    return cmd


def stage(stage):
    deps = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return {
        "address": stage.addressing,
        "cmd": command(stage.cmd),
        "wdir": os.path.relpath(stage.wdir, stage.repo.root_dir),
        "deps": [dep.def_path for dep in deps],
        "params": {dep.def_path: list(dict.fromkeys(dep.params)) for dep in params},
        "outs": sorted((out(one) for one in stage.outs), key=lambda one: one["path"]),
        "frozen": stage.frozen,
        "always_changed": stage.always_changed,
        "desc": stage.desc,
        "meta": stage.meta,
        "tracked": {file: sorted(keys) for file, keys in sorted(stage.tracked_vars.items())},
    }


def only(of_files):
    """The value of the one dvc.yaml, relative to it."""
    return next(iter(of_files.values()), [])


def verdict(root):
    try:
        repo = Repo(str(root))
        index = repo.index
        index.check_graph()
        return {
            "stages": [stage(one) for one in index.stages],
            "params": only(index._params),
            "metrics": only(index._metrics),
            "plots": only(index._plots),
            "artifacts": dict(only(index._artifacts)),
            "datasets": only(index._datasets),
        }
    except Exception as error:  # whatever it is, dvc ends with it
        return {"error": type(error).__name__, "message": str(error).replace(str(root), ".")}


def main():
    verdicts = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch).resolve() / "project"
        shutil.copytree(CORPUS / "files", root)
        os.chdir(root)
        Repo.init(no_scm=True)
        for kind in ("valid", "broken", "stricter", "lenient"):
            for file in sorted((CORPUS / kind).glob("*.yaml")):
                shutil.copy(file, root / "dvc.yaml")
                verdicts[f"{kind}/{file.stem}"] = verdict(root)
    wrong = [
        f"{name}: {made.get('message', 'no error')}"
        for name, made in verdicts.items()
        if ("error" in made) != name.startswith(("broken/", "lenient/"))
    ]
    text = json.dumps(verdicts, indent=1, sort_keys=True, ensure_ascii=False, default=str)
    (CORPUS / "verdicts.json").write_text(text + "\n")
    print(f"{len(verdicts)} verdicts, {len(wrong)} in the wrong directory", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
