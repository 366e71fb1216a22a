//! Files that are hard to edit in place.

use std::path::Path;

use exp_params::{Format, ParamChange, apply};

type Case = (&'static str, &'static str, &'static str, &'static str);

/// File, change, what stands there before and after; everything else stays.
const CASES: &[Case] = &[
    ("01_eol_comment", "train.lr=0.1", "lr: 0.001  #", "lr: 0.1  #"),
    ("01_eol_comment", "train.epochs=12", "epochs: 10", "epochs: 12"),
    ("01_eol_comment", "+train.x=1", "epochs: 10\n", "epochs: 10\n  x: 1\n"),
    ("02_flow", "train.lr=0.1", "lr: 0.001,", "lr: 0.1,"),
    ("02_flow", "~train.epochs", ", epochs: 10}", "}"),
    ("02_flow", "other=[3]", "[1, 2]", "[3]"),
    ("03_merge", "train.lr=0.1", "lr: 0.001", "lr: 0.1"),
    ("03_merge", "train.x=2", "lr: 0.001\n", "lr: 0.001\n  x: 2\n"),
    ("04_quoted", "train.lr=0.1", "\"0.001\"   #", "0.1   #"),
    ("04_quoted", "train.lr='0.1'", "\"0.001\"   #", "\"0.1\"   #"),
    ("04_quoted", "train.n=\"a'b\"", "'it''s'", "'a''b'"),
    ("06_crlf", "train.lr=0.1", "lr: 0.001 #", "lr: 0.1 #"),
    ("06_crlf", "+train.x=1", "epochs: 10\r\n", "epochs: 10\r\n  x: 1\r\n"),
    ("07_odd_indent_noeol", "train.lr=0.1", "lr:    0.001", "lr:    0.1"),
    ("07_odd_indent_noeol", "train.list.1=5", "-   2   #", "-   5   #"),
    ("07_odd_indent_noeol", "train.last=y", "last: x", "last: y"),
    ("07_odd_indent_noeol", "+train.z=1", "last: x", "last: x\n    z: 1"),
    ("08_tag", "train.lr=0.1", "!!float 0.001", "!!float 0.1"),
    ("08_tag", "train.use=[1]", "use: *a", "use: [1]"),
    ("09_anchor_value", "copy=5", "copy: *lr", "copy: 5"),
    ("10_value_next_line", "train.lr=0.1", "    0.001", "    0.1"),
    ("11_null_value", "train.lr=0.1", "lr:\n", "lr: 0.1\n"),
    ("11_null_value", "+train.lr={a:1}", "lr:\n", "lr:\n    a: 1\n"),
    ("12_bom_unicode", "train.lr=0.1", "lr: 0.001", "lr: 0.1"),
    ("12_bom_unicode", "train.été=x", "\"\u{2603}\"", "\"x\""),
    ("13_list_of_maps", "train.lr=0.1", "  lr: 0.5", "  lr: 0.1"),
    ("13_list_of_maps", "train.layers.0.lr=0.1", "- lr: 0.001", "- lr: 0.1"),
    ("13_list_of_maps", "train.layers.1.lr=0.1", "{lr: 2}", "{lr: 0.1}"),
    ("14_explicit_keys", "train.lr=0.1", ": 0.001", ": 0.1"),
    ("15_multiline_flow", "train.lr=0.1", "lr: 0.001, #", "lr: 0.1, #"),
    ("15_multiline_flow", "train.b.c=z", "\"x, y\"", "\"z\""),
    ("15_multiline_flow", "+train.n=1", "d: '}'}\n", "d: '}'},\n  n: 1\n"),
    ("16_spaces", "train.lr=0.1", "lr  :   0.001   \n", "lr  :   0.1   \n"),
    ("16_spaces", "+train.c=1", "b: 1   \n", "b: 1   \n  c: 1\n"),
    ("17_json", "train.lr=0.1", "0.001", "0.1"),
    ("17_json", "+train.c=x", "[1, 2]}", "[1, 2], \"c\": x}"),
    ("18_replace_flow_seq", "train.lr=[0.1]", "[0.001, 2]", "[0.1]"),
    ("18_replace_flow_seq", "train.lr=0.1", "[0.001, 2]", "0.1"),
    ("19_replace_block_seq", "train.lr=[1,3]", "- 2   # c", "- 3   # c"),
    ("19_replace_block_seq", "train.lr=0.1", "lr:\n  - 1\n  - 2   # c", "lr: 0.1   # c"),
    ("20_add_missing_key", "+train.lr=0.1", "# last\n", "# last\n  lr: 0.1\n"),
    ("21_block_scalar", "train.lr=0.1", ">-\n    0.0\n    1", "0.1"),
    ("22_alias_map", "train=5", "train: *x", "train: 5"),
    ("25_seq_before", "train.lr=0.1", "lr: 0.001 #x", "lr: 0.1 #x"),
    ("25_seq_before", "a.0=z", "- b\n", "- z\n"),
    ("25_seq_before", "a.1.0=z", "- c\n", "- z\n"),
];

const REFUSED: &[(&str, &str)] = &[
    ("05_multidoc", "train.lr=0.1"),
    ("09_anchor_value", "train.lr=0.1"),
    ("08_tag", "train.anchors=[3]"),
    ("22_alias_map", "train.lr=0.1"),
    ("22_alias_map", "a.lr=0.1"),
    ("23_invalid_tab", "train.lr=0.1"),
    ("24_invalid", "train.lr=0.1"),
];

fn read(name: &str) -> std::io::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/params_edit");
    std::fs::read_to_string(folder.join(format!("{name}.yaml")))
}

#[test]
fn hard_files_are_changed_minimally() -> std::io::Result<()> {
    for (name, change, before, after) in CASES {
        let text = read(name)?;
        let expect = text.replacen(before, after, 1);
        assert_ne!(text, expect, "{name}: `{before}` is in the file");
        let parsed: ParamChange = change.parse().expect("the override is valid");
        match apply(Format::Yaml, &text, &[parsed.change]) {
            Ok(edited) => assert_eq!(edited, expect, "{name}: {change}"),
            Err(err) => panic!("{name}: {change}: {err}"),
        }
    }
    Ok(())
}

#[test]
fn broken_and_shared_files_are_refused() -> std::io::Result<()> {
    for (name, change) in REFUSED {
        let parsed: ParamChange = change.parse().expect("the override is valid");
        let result = apply(Format::Yaml, &read(name)?, &[parsed.change]);
        assert!(result.is_err(), "{name}: {change} made {result:?}");
    }
    Ok(())
}

#[test]
fn every_vector_is_used() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/params_edit");
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name().to_string_lossy().replace(".yaml", "");
        let used =
            CASES.iter().any(|case| case.0 == name) || REFUSED.iter().any(|case| case.0 == name);
        assert!(used, "{name} is in a table above");
    }
    Ok(())
}
