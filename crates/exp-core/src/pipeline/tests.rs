//! Tests of the grammar, of templates, and of edits. Where DVC has an answer, it is DVC's.

use super::*;
use crate::stage::{Command, OutKind};

/// Files by path.
struct Files(Vec<(&'static str, &'static str)>);

impl VarsSource for Files {
    fn load(&self, file: &RelPath) -> Result<Option<Value>, PortError> {
        let Some((_, text)) = self.0.iter().find(|(path, _)| *path == file.as_str()) else {
            return Ok(None);
        };
        parse_yaml(text).map(Some).map_err(PortError::new)
    }
}

const PARAMS: &str = "lr: 0.1\nflag: true\nnone:\nname: x y\nl: [1, 2]\nd: {x: 1, y: true, z: false, str: a b, lst: [1, 2, c d], nest: {k: v, deep: {q: 1}}, none: null}\nmodels: {a: {n: 1}, b: {n: 2}}\nsmall: 1e-5\n";

fn parse(text: &str) -> Result<PipelineFile, PipelineError> {
    let files =
        Files(vec![("params.yaml", PARAMS), ("v.yaml", "a: 1\nb: 2\n"), ("bad.yaml", "a: [")]);
    PipelineFile::parse(&RelPath::new("dvc.yaml").unwrap(), text, Path::new("/w"), &files)
}

/// Writes the stages on a line each: `name wdir|cmd|deps|params|outs`.
fn shown(text: &str) -> String {
    let file = match parse(text) {
        Ok(file) => file,
        Err(error) => panic!("{text}\n{error}"),
    };
    let mut lines = Vec::new();
    for stage in &file.stages {
        let deps: Vec<_> = stage.deps.iter().map(|dep| dep.location.to_string()).collect();
        let params: Vec<_> = stage
            .params
            .iter()
            .map(|p| {
                format!("{}:{}", p.location, p.key.as_ref().map_or("*".into(), KeyPath::to_string))
            })
            .collect();
        let outs: Vec<_> = stage
            .outs
            .iter()
            .map(|out| {
                let mark = |on: bool, c: char| on.then_some(c);
                let marks: String = [
                    mark(out.kind == OutKind::Metric, 'm'),
                    mark(out.kind == OutKind::Plot, 'p'),
                    mark(!out.cache, '-'),
                    mark(out.persist, '+'),
                    mark(!out.push, '!'),
                ]
                .into_iter()
                .flatten()
                .collect();
                format!("{}{marks}", out.location)
            })
            .collect();
        let cmd = match &stage.cmd {
            Some(Command::Text(text)) => text.clone(),
            Some(Command::List(texts)) => texts.join(" ; "),
            None => String::new(),
        };
        lines.push(format!(
            "{} {}|{cmd}|{}|{}|{}",
            stage.id.name.as_deref().unwrap_or_default(),
            stage.wdir,
            deps.join(","),
            params.join(","),
            outs.join(",")
        ));
    }
    lines.join("\n")
}

use crate::value::KeyPath;

/// The definition of stage `s`, and what becomes of it.
const STAGES: &[(&str, &str)] = &[
    ("{cmd: a}", "s .|a|||"),
    ("{cmd: [a, b]}", "s .|a ; b|||"),
    ("{cmd: a, wdir: x, deps: [d, ../e, /w/f, s3://b/k, /abs]}", "s x|a|x/d,e,f,s3://b/k,/abs||"),
    (
        "{cmd: a, params: [lr, a.b, o.json: [k], w.toml: ]}",
        "s .|a||params.yaml:lr,params.yaml:a.b,o.json:k,w.toml:*|",
    ),
    ("{cmd: a, params: [lr, params.yaml: ]}", "s .|a||params.yaml:*|"),
    (
        "{cmd: a, params: [o.json: [k], lr, o.json: [k, m], q.yaml: []]}",
        "s .|a||params.yaml:lr,o.json:k,o.json:m,q.yaml:*|",
    ),
    (
        "{cmd: a, plots: [p], metrics: [m: {cache: false}], outs: [o, n: {persist: true, push: false}]}",
        "s .|a|||o,n+!,mm-,pp",
    ),
    ("{cmd: a, outs: [o: {cache: false}, o: {persist: true}]}", "s .|a|||o-+"),
    ("{cmd: a, plots: [p: {x: a, y: b, template: linear, header: false}]}", "s .|a|||pp"),
    (
        "{cmd: a, outs: [o: {checkpoint: true, desc: d, type: t, labels: [l], meta: 1, remote: r}]}",
        "s .|a|||o",
    ),
    ("{cmd: a, desc: d, meta: {x: 1}, frozen: true, always_changed: true}", "s .|a|||"),
    ("{cmd: 'run ${lr} ${flag} ${none} ${small}'}", "s .|run 0.1 true None 1e-05|||"),
    ("{cmd: 'run \\${lr} ${lr'}", "s .|run ${lr} ${lr|||"),
    ("{cmd: 'run ${ l[1] } ${l.0} ${models.a.n}'}", "s .|run 2 1 1|||"),
    (
        "{cmd: 'run ${d}'}",
        "s .|run --x 1 --y --str 'a b' --lst 1 2 'c d' --nest.k v --nest.deep.q 1 --none None|||",
    ),
    ("{cmd: '${name}', outs: ['o${lr}', '${name}': {cache: '${flag}'}]}", "!"),
    ("{cmd: a, wdir: 'w${l[0]}', deps: ['${lr}']}", "s w1|a|w1/0.1||"),
    ("{cmd: 'a ${v}', vars: [{v: 7}]}", "s .|a 7|||"),
    ("{cmd: 'a ${a}${b}', vars: ['v.yaml:a', 'v.yaml:b']}", "s .|a 12|||"),
    (
        "{foreach: [a, 1, true, 1.5], do: {cmd: 'x ${item}'}}",
        "s@a .|x a|||\ns@1 .|x 1|||\ns@true .|x true|||\ns@1.5 .|x 1.5|||",
    ),
    ("{foreach: [{n: 1}, 2], do: {cmd: x}}", "s@0 .|x|||\ns@1 .|x|||"),
    ("{foreach: {p: 1, q: 2}, do: {cmd: 'x ${key} ${item}'}}", "s@p .|x p 1|||\ns@q .|x q 2|||"),
    ("{foreach: '${models}', do: {cmd: 'x ${key} ${item.n}'}}", "s@a .|x a 1|||\ns@b .|x b 2|||"),
    ("{foreach: '${l}', do: {cmd: 'x ${item}'}}", "s@1 .|x 1|||\ns@2 .|x 2|||"),
    ("{foreach: [a, a], do: {cmd: x}}", "s@a .|x|||"),
    ("{foreach: [], do: {cmd: x}}", ""),
    (
        "{matrix: {a: [1, 2], b: [x, {q: 1}]}, cmd: 'c ${item.a} ${key}'}",
        "s@1-x .|c 1 1-x|||\ns@1-b1 .|c 1 1-b1|||\ns@2-x .|c 2 2-x|||\ns@2-b1 .|c 2 2-b1|||",
    ),
    (
        "{matrix: {a: '${l}'}, cmd: 'c ${item.a}', outs: ['o${item.a}']}",
        "s@1 .|c 1|||o1\ns@2 .|c 2|||o2",
    ),
    ("{matrix: {a: []}, cmd: c}", ""),
];

#[test]
fn stages_are_read_as_dvc_reads_them() {
    for (definition, expect) in STAGES.iter().filter(|(_, expect)| *expect != "!") {
        assert_eq!(&shown(&format!("stages:\n  s: {definition}\n")), expect, "{definition}");
    }
}

#[test]
fn the_rest_of_the_file_is_read_too() {
    let file = parse("params: [p.yaml]\nmetrics: [m.json, '${name}']\nplots:\n- a.csv\n- b: {x: s, y: {c.csv: v}}\nartifacts:\n  m: {path: 'm${lr}'}\ndatasets: [{name: d}]\nvars: [v.yaml]\n").unwrap();
    let text = |paths: &[RelPath]| paths.iter().map(RelPath::to_string).collect::<Vec<_>>();
    assert_eq!(text(&file.params), ["p.yaml"]);
    assert_eq!(text(&file.metrics), ["m.json", "x y"]);
    assert_eq!(text(&file.plot_paths), ["a.csv", "c.csv"]);
    assert_eq!(text(&file.vars), ["params.yaml", "v.yaml"]);
    let path = file.artifacts["m"].child("path").and_then(Value::as_text);
    assert_eq!(path, Some("m0.1"));
    assert!(parse("").unwrap().stages.is_empty());
}

#[test]
fn used_parameters_are_told_by_file() {
    let file =
        parse("stages:\n  s: {foreach: '${models}', do: {cmd: 'x ${item.n} ${lr}'}}\n").unwrap();
    let (path, keys) = &file.stages[0].interpolated[0];
    let keys: Vec<_> = keys.iter().map(KeyPath::to_string).collect();
    assert_eq!(
        (path.to_string().as_str(), keys),
        ("params.yaml", vec!["models.a.n".into(), "lr".to_string()])
    );
    assert!(file.stages[0].generated);
}

/// A file, where it is wrong, and what is said.
const BROKEN: &[(&str, &str)] = &[
    ("stage: {}\n", "1:1: unknown key `stage` (stages) at `stage`"),
    ("stages:\n", "1:1: expected a map, found null at `stages`"),
    ("stages: []\n", "1:1: expected a map, found list at `stages`"),
    ("- a\n", "1:1: expected a map, found list"),
    ("x\n", "1:1: expected a map, found text"),
    ("stages:\n  s: 1\n", "2:3: expected a map, found int at `stages.s`"),
    ("stages:\n  s: {}\n", "2:3: `cmd` is missing at `stages.s`"),
    ("stages:\n  s:\n    deps: [a]\n", "2:3: `cmd` is missing at `stages.s`"),
    (
        "stages:\n  s:\n    cmd: false\n",
        "3:5: expected text or a list of texts, found bool at `stages.s.cmd`",
    ),
    ("stages:\n  s:\n    cmd: [a, 1]\n", "3:14: expected text, found int at `stages.s.cmd.1`"),
    (
        "stages:\n  s:\n    cmd: a\n    out: [b]\n",
        "4:5: unknown key `out` (outs) at `stages.s.out`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    parms: [b]\n",
        "4:5: unknown key `parms` (params) at `stages.s.parms`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    whatever: 1\n",
        "4:5: unknown key `whatever` at `stages.s.whatever`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    deps:\n",
        "4:5: expected a list, found null at `stages.s.deps`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    deps: b\n",
        "4:5: expected a list, found text at `stages.s.deps`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    deps:\n    - b: c\n",
        "5:7: expected text, found map at `stages.s.deps.0`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    outs:\n    - o: {cach: false}\n",
        "5:11: unknown key `cach` (cache) at `stages.s.outs.0.o.cach`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    outs:\n    - o: {cache: 1}\n",
        "5:11: expected true or false, found int at `stages.s.outs.0.o.cache`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    outs:\n    - o: {x: a}\n",
        "5:11: unknown key `x` at `stages.s.outs.0.o.x`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    outs:\n    - o:\n",
        "5:7: expected a map, found null at `stages.s.outs.0.o`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    plots:\n    - o: [{x: a}]\n",
        "5:7: expected a map, found list at `stages.s.plots.0.o`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    params: [1]\n",
        "4:14: expected text or a map, found int at `stages.s.params.0`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    params: [{f: k}]\n",
        "4:15: expected a list, found text at `stages.s.params.0.f`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    frozen: yes\n",
        "4:5: expected true or false, found text at `stages.s.frozen`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    wdir: ../x\n",
        "4:5: `../x` is outside the project at `stages.s.wdir`",
    ),
    (
        "stages:\n  s@x:\n    cmd: a\n",
        "2:3: `s@x` is no stage name: `@` is kept for generated stages at `stages.s@x`",
    ),
    ("stages:\n  s:\n    foreach: [a]\n", "2:3: `do` is missing at `stages.s`"),
    (
        "stages:\n  s:\n    foreach: [a]\n    do: {cmd: x}\n    cmd: x\n",
        "5:5: unknown key `cmd` at `stages.s.cmd`",
    ),
    (
        "stages:\n  s:\n    foreach: 1\n    do: {cmd: x}\n",
        "3:5: expected a map, a list or an expression, found int at `stages.s.foreach`",
    ),
    (
        "stages:\n  s:\n    foreach: '${lr}'\n    do: {cmd: x}\n",
        "3:5: expected a map or a list, found float at `stages.s.foreach`",
    ),
    (
        "stages:\n  s:\n    foreach: [a]\n    do:\n      cmd: ${nope}\n",
        "5:12: `nope` has no value at `stages.s.do.cmd`",
    ),
    (
        "stages:\n  s:\n    matrix: {a: 1}\n    cmd: x\n",
        "3:14: expected a list or an expression, found int at `stages.s.matrix.a`",
    ),
    (
        "stages:\n  s:\n    matrix: {a: '${lr}'}\n    cmd: x\n",
        "3:14: expected a list, found float at `stages.s.matrix.a`",
    ),
    ("stages:\n  s:\n    cmd: a ${x.y}\n", "3:12: `x.y` has no value at `stages.s.cmd`"),
    ("stages:\n  s:\n    cmd: a ${x[}\n", "3:12: `x[` is not an expression at `stages.s.cmd`"),
    ("stages:\n  s:\n    cmd: a ${}\n", "3:12: `` is not an expression at `stages.s.cmd`"),
    (
        "stages:\n  s:\n    cmd: a ${l}\n",
        "3:12: `l` is a list, which cannot be written here at `stages.s.cmd`",
    ),
    (
        "stages:\n  s:\n    cmd: a\n    deps: ['${d}']\n",
        "4:13: `d` is a map, which cannot be written here at `stages.s.deps.0`",
    ),
    (
        "vars: [{lr: 1}]\n",
        "1:8: `lr` from `vars[0]` is already defined in `params.yaml` at `vars.0`",
    ),
    ("vars: [nope.yaml]\n", "1:8: there is no file `nope.yaml` at `vars.0`"),
    ("vars: ['v.yaml:zz']\n", "1:8: `v.yaml` does not have `zz` at `vars.0`"),
    ("vars: [v.yaml, 'v.yaml:a']\n", "1:16: `v.yaml:a` is already loaded at `vars.1`"),
    ("vars: [bad.yaml]\n", "1:8: cannot load `bad.yaml` at `vars.0`"),
    ("vars: [{a: '${lr}'}]\n", "1:9: interpolation is not allowed here at `vars.0.a`"),
    ("vars: {a: 1}\n", "1:1: expected a list, found map at `vars`"),
    ("params: [1]\n", "1:10: expected text, found int at `params.0`"),
    ("plots: [{a: {z: 1}}]\n", "1:14: unknown key `z` at `plots.0.a.z`"),
    ("artifacts: {m: {desc: d}}\n", "1:13: `path` is missing at `artifacts.m`"),
    ("stages:\n  s: {cmd: a}\n  s: {cmd: b}\n", "3:3: the key `s` occurs twice"),
    ("<<<<<<< HEAD\nstages: {}\n", "1:1: merge conflict"),
    ("stages:\n  s:\n   cmd: [a\n", "3:9: unclosed bracket '['"),
];

#[test]
fn broken_files_are_told_with_their_place() {
    let mut wrong = Vec::new();
    for (text, expect) in BROKEN {
        let Err(error) = parse(text) else { panic!("{text} was taken") };
        let hint = error.did_you_mean().map_or(String::new(), |key| format!(" ({key})"));
        let path = place_of(&error.at);
        let shown = format!("{}:{}: {}{hint}{path}", error.line, error.column, error.fault);
        if &shown != expect {
            wrong.push(format!("{text}\n got  {shown}\n want {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn place_of(at: &[String]) -> String {
    if at.is_empty() { String::new() } else { format!(" at `{}`", at.join(".")) }
}

fn definition() -> StageDefinition {
    let mut b = StageDefinition::new(Command::Text("python a.py --x \"a b\"".to_owned()));
    b.desc = Some("hey you".to_owned());
    b.deps = vec!["o1".to_owned(), "in".to_owned()];
    b.params = vec![
        ("q.json".to_owned(), vec!["z".to_owned(), "a".to_owned()]),
        ("other.toml".to_owned(), Vec::new()),
        ("params.yaml".to_owned(), vec!["train.n".to_owned(), "lr".to_owned()]),
    ];
    let out = |path: &str, kind| OutDefinition::new(path, kind);
    b.outs = vec![
        OutDefinition { persist: true, ..out("o3", OutKind::Data) },
        OutDefinition { cache: false, ..out("o2", OutKind::Data) },
        OutDefinition { cache: false, ..out("m.json", OutKind::Metric) },
        out("p.csv", OutKind::Plot),
    ];
    b.always_changed = true;
    b
}

/// As `dvc stage add` wrote it.
const FRESH: &str = "stages:\n  b:\n    desc: hey you\n    cmd: python a.py --x \"a b\"\n    deps:\n    - in\n    - o1\n    params:\n    - lr\n    - train.n\n    - other.toml:\n    - q.json:\n      - a\n      - z\n    outs:\n    - o2:\n        cache: false\n    - o3:\n        persist: true\n    metrics:\n    - m.json:\n        cache: false\n    plots:\n    - p.csv\n    always_changed: true\n";

#[test]
fn a_fresh_stage_is_written_as_dvc_writes_it() {
    assert_eq!(add_stage(None, "b", &definition(), false).unwrap(), FRESH);
    let before = "# top\nstages: # s\n  a:\n    cmd: x # c\n\n# end\nvars: []\n";
    let expect = before.replace("# c\n", &format!("# c\n{}", &FRESH["stages:\n".len()..]));
    assert_eq!(add_stage(Some(before), "b", &definition(), false).unwrap(), expect);
    let again = add_stage(Some(&expect), "b", &definition(), false);
    assert_eq!(again, Err(EditError::Exists { name: "b".to_owned() }));
}

#[test]
fn an_edit_leaves_all_other_bytes_alone() {
    let text = "# top\nstages:\n  # first\n  a:\n    cmd: cp in o1 # c\n    outs: # mine\n    - o1\n    deps: [in]\n\n  z:\n    cmd: ls\n";
    let frozen = text.replace("    deps: [in]\n", "    deps: [in]\n    frozen: true\n");
    assert_eq!(set_frozen(text, "a", true).unwrap(), frozen);
    assert_eq!(set_frozen(&frozen, "a", false).unwrap(), text);
    let mut a = StageDefinition::new(Command::Text("cp in o9".to_owned()));
    a.deps = vec!["in".to_owned()];
    a.outs = vec![OutDefinition::new("o9", OutKind::Data)];
    let replaced = text.replace("o1", "o9");
    assert_eq!(add_stage(Some(text), "a", &a, true).unwrap(), replaced);
    assert_eq!(remove_stage(text, "z").unwrap(), text.replace("  z:\n    cmd: ls\n", ""));
    assert_eq!(remove_stage("vars: []\nstages:\n  z:\n    cmd: ls\n", "z").unwrap(), "vars: []\n");
    assert_eq!(remove_stage(text, "q"), Err(EditError::Unknown { name: "q".to_owned() }));
    let group = "stages:\n  g:\n    foreach: [a]\n    do: {cmd: x}\n";
    assert_eq!(set_frozen(group, "g", true), Err(EditError::Generated { name: "g".to_owned() }));
}

#[test]
fn additions_stand_behind_what_is_there_and_comments_stay() {
    let text = "\
stages:
  train:
    cmd: python train.py
    # code first
    deps:
      - train.py  # the script
      # data later
    params: [lr]
    outs:
      - model
  other:
    cmd: x
";
    let additions = StageAdditions {
        deps: vec!["util.py".to_owned(), "data".to_owned()],
        params: Vec::new(),
        outs: vec![
            OutDefinition::new("log", OutKind::Data),
            OutDefinition { cache: false, ..OutDefinition::new("m.json", OutKind::Metric) },
        ],
    };
    let extended = extend_stage(text, "train", &additions).expect("a plain stage");
    assert_eq!(
        extended,
        "\
stages:
  train:
    cmd: python train.py
    # code first
    deps:
      - train.py  # the script
      - data
      - util.py
      # data later
    params: [lr]
    outs:
      - model
      - log
    metrics:
    - m.json:
        cache: false
  other:
    cmd: x
"
    );
    // A list in brackets is written anew as a whole.
    let more = StageAdditions {
        params: vec![("params.yaml".to_owned(), vec!["k".to_owned()])],
        ..additions
    };
    let extended = extend_stage(text, "train", &more).expect("a plain stage");
    assert!(extended.contains("    params:\n    - lr\n    - k\n"), "{extended}");
    assert!(extended.contains("  # the script\n") || extended.contains("- util.py"), "{extended}");

    let template = "stages:\n  a:\n    cmd: echo ${x}\n";
    let refused = extend_stage(template, "a", &more);
    assert_eq!(refused, Err(EditError::Generated { name: "a".to_owned() }));
    let unknown = extend_stage(text, "nobody", &more);
    assert_eq!(unknown, Err(EditError::Unknown { name: "nobody".to_owned() }));
}
