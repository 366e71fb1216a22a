//! Files and streams that are read while they are written.

use super::*;

/// Feeds `pieces` one after the other, and writes each point as `name@step=value`.
fn read(mut reader: LiveReader, pieces: &[&[u8]]) -> (Vec<String>, Option<LiveError>) {
    let (mut points, mut error) = (Vec::new(), None);
    for piece in pieces {
        error = error.or(reader.feed(piece, &mut points).err());
    }
    reader.finish(&mut points);
    (written(&points), error)
}

fn written(points: &[MetricPoint]) -> Vec<String> {
    let one = |point: &MetricPoint| {
        let step = point.step.map_or("-".to_owned(), |step| step.to_string());
        format!("{}@{step}={}", point.name, point.value)
    };
    points.iter().map(one).collect()
}

#[track_caller]
fn check(format: LiveFormat, text: &str, expect: &[&str]) {
    let (points, error) = read(LiveReader::new(format), &[text.as_bytes()]);
    assert_eq!(points, expect, "at once");
    assert_eq!(error, None);
    // However it is cut, the points are the same.
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    let (points, _) = read(LiveReader::new(format), &bytes);
    assert_eq!(points, expect, "byte by byte");
}

#[test]
fn a_table_has_a_metric_in_each_column_that_is_no_step_and_no_time() {
    check(
        LiveFormat::Table(','),
        "epoch,step,train/loss,\"val, acc\",time\r\n0,10,0.5,,1\r\n0,20,nan,0.75,2\r\n",
        &["train.loss@10=0.5", "train.loss@20=NaN", "val, acc@20=0.75"],
    );
    check(LiveFormat::Table('\t'), "\u{feff}loss\n1\n\n0.5", &["loss@0=1", "loss@1=0.5"]);
    check(LiveFormat::Table(','), "1,2\n3,4\n", &["0@0=1", "1@0=2", "0@1=3", "1@1=4"]);
    check(LiveFormat::Table(','), "", &[]);
}

#[test]
fn columns_that_change_are_those_of_the_last_header() {
    check(
        LiveFormat::Table(','),
        "step,loss\n1,0.5\n2,0.4,0.9\n3\nstep,loss,acc\n1,0.3,0.8\n",
        &["loss@1=0.5", "loss@2=0.4", "loss@1=0.3", "acc@1=0.8"],
    );
}

#[test]
fn a_table_of_one_metric_is_called_after_its_file() {
    let text = b"timestamp\tstep\tacc\n1700000000000\t0\t0.5\n";
    let reader = LiveReader::new(LiveFormat::Table('\t')).named(None, Some("train/acc"));
    assert_eq!(read(reader, &[text]).0, ["train.acc@0=0.5"]);
    let reader = LiveReader::new(LiveFormat::Table('\t')).named(Some("acc"), Some("train/other"));
    assert_eq!(read(reader, &[text]).0, [""; 0], "the column of the steps was named");
}

#[test]
fn json_lines_are_maps() {
    check(
        LiveFormat::JsonLines,
        "{\"epoch\": 1, \"loss\": 0.5, \"val\": {\"acc\": 1}, \"name\": \"x\"}\n[1]\n{\"loss\": NaN}\n{\"loss\": \n",
        &["loss@1=0.5", "val.acc@1=1", "loss@1=NaN"],
    );
}

#[test]
fn words_of_standard_output_are_found_among_others() {
    check(
        LiveFormat::Words,
        "Epoch=3/20 \u{1b}[32mloss=0.25\u{1b}[0m, val/acc=93.1% (lr=1e-4) note=good x==1 =2 3=4\r\nplain line\n",
        &["loss@3=0.25", "val.acc@3=93.1", "lr@3=0.0001"],
    );
    check(
        LiveFormat::Words,
        "loss=1\rloss=0.5\rloss=inf",
        &["loss@-=1", "loss@-=0.5", "loss@-=inf"],
    );
    check(LiveFormat::Log, "> python train.py --lr=0.1 a=1\nloss=2\n", &["loss@-=2"]);
}

#[test]
fn what_is_no_text_is_left_alone_after_one_error() {
    for bytes in [&b"step,loss\n1,\xff\n"[..], b"step,loss\n1,2\0\n"] {
        let reader = LiveReader::new(LiveFormat::Table(','));
        let (points, error) = read(reader, &[bytes, b"2,3\n"]);
        assert_eq!((points, error), (Vec::new(), Some(LiveError::NotText)));
    }
}

#[test]
fn a_line_that_is_too_long_is_passed_over_and_costs_nothing_else() {
    let mut text = "loss=1\n".to_owned();
    text.push_str(&"x=1 ".repeat(LONGEST_LINE));
    text.push_str("\nloss=2\n");
    let mut reader = LiveReader::new(LiveFormat::Words);
    let mut points = Vec::new();
    for piece in text.as_bytes().chunks(1000) {
        reader.feed(piece, &mut points).expect("words have no errors");
        assert!(reader.rest.len() <= LONGEST_LINE + 1000);
    }
    assert_eq!(written(&points), ["loss@-=1", "loss@-=2"]);
}

#[test]
fn after_an_interruption_the_rest_of_a_line_is_passed_over() {
    let mut reader = LiveReader::new(LiveFormat::Table(','));
    let mut points = Vec::new();
    reader.feed(b"step,loss\n1,0.", &mut points).expect("text");
    reader.interrupt();
    reader.feed(b"5\n9,0.25\n", &mut points).expect("text");
    assert_eq!(written(&points), ["loss@9=0.25"]);
}

#[test]
fn a_document_says_its_numbers_and_its_step() {
    let text = "{\"train\": {\"acc\": 0.5, \"loss\": \"nan\"}, \"step\": 7, \"who\": \"me\", \"on\": true}";
    let points = live_document("dvclive/metrics.json", text).expect("a document");
    assert_eq!(written(&points), ["train.acc@7=0.5", "train.loss@7=NaN"]);
    let points = live_document("m.yaml", "acc: 1\n").expect("a document");
    assert_eq!(written(&points), ["acc@-=1"]);
    assert_eq!(live_document("m.json", "{\"acc\": "), None);
}

/// Writes a record as TensorBoard does.
fn record(message: &[u8]) -> Vec<u8> {
    let mut bytes = (message.len() as u64).to_le_bytes().to_vec();
    bytes.extend(event::masked(&bytes).to_le_bytes());
    bytes.extend(message);
    bytes.extend(event::masked(message).to_le_bytes());
    bytes
}

/// A scalar as `add_scalar` writes it: step 3, tag `a/b`, 0.5.
const SCALAR: &[u8] = b"\x09\0\0\0\0\0\0\xf0\x3f\x10\x03\x2a\x0c\x0a\x0a\x0a\x03a/b\x15\0\0\0\x3f";

#[test]
fn records_are_read_when_they_are_whole() {
    // The version that each file begins with, and a scalar.
    let mut text = record(b"\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0dbrain.Event:2");
    text.extend(record(SCALAR));
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(
        read(LiveReader::new(LiveFormat::Events), &bytes),
        (vec!["a.b@3=0.5".to_owned()], None)
    );
    let half = &text[..text.len() - 1];
    assert_eq!(read(LiveReader::new(LiveFormat::Events), &[half]).0, [""; 0]);
    let mut wrong = text.clone();
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    let found = read(LiveReader::new(LiveFormat::Events), &[&wrong]);
    assert_eq!(found, (Vec::new(), Some(LiveError::Damaged)));
    let found = read(LiveReader::new(LiveFormat::Events), &[b"no record at all, but text"]);
    assert_eq!(found.1, Some(LiveError::Damaged));
}

/// Written by tensorboardX 2.6 with scalars, histograms and texts.
#[test]
fn what_a_real_writer_writes_is_read() {
    let bytes = include_bytes!("../../tests/data/events.out.tfevents");
    let (points, error) = read(LiveReader::new(LiveFormat::Events), &[bytes]);
    assert_eq!(error, None);
    let of = |name: &str| -> Vec<&str> {
        points.iter().filter_map(|point| point.strip_prefix(name)).collect()
    };
    assert_eq!(points.len(), 10, "histograms and texts are no metrics: {points:?}");
    assert_eq!(of("train.loss")[..2], ["@0=1", "@1=0.5"]);
    assert_eq!(of("acc").len(), 5);
    assert_eq!(of("acc")[0], "@0=0");
    // However it is cut.
    let pieces: Vec<&[u8]> = bytes.chunks(7).collect();
    assert_eq!(read(LiveReader::new(LiveFormat::Events), &pieces).0, points);
}

#[test]
fn a_message_that_is_none_has_no_scalars() {
    for length in 0..SCALAR.len() {
        let found = read(LiveReader::new(LiveFormat::Events), &[&record(&SCALAR[..length])]);
        assert_eq!(found, (Vec::new(), None), "{length}");
    }
    let long = [SCALAR, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"].concat();
    assert_eq!(read(LiveReader::new(LiveFormat::Events), &[&record(&long)]).1, None);
}

#[test]
fn names_of_files_say_how_they_are_written() {
    for (path, format) in [
        ("a/loss.TSV", Some(LiveFormat::Table('\t'))),
        ("a.csv", Some(LiveFormat::Table(','))),
        ("log.jsonl", Some(LiveFormat::JsonLines)),
        ("runs/events.out.tfevents.1700000000.host.1.0", Some(LiveFormat::Events)),
        ("metrics.json", None),
        ("csv", None),
    ] {
        assert_eq!(LiveFormat::of(path), format, "{path}");
    }
}

fn board(points: impl IntoIterator<Item = (i64, f64)>) -> LiveBoard {
    let mut board = LiveBoard::default();
    for (step, value) in points {
        board.add(&MetricPoint { name: "acc".to_owned(), step: Some(step), value });
    }
    board
}

#[test]
fn a_curve_keeps_its_shape_and_its_best_in_a_fixed_size() {
    let board =
        board((0..10_000).map(|step| (step, f64::from(i32::try_from(step).unwrap_or(0) % 5000))));
    let (name, series) = board.series().next().expect("a curve");
    assert_eq!((name, series.last(), series.step()), ("acc", 4999.0, Some(9999)));
    assert_eq!((series.low(), series.high()), (Some(0.0), Some(4999.0)));
    let means = series.means(10);
    assert!(means.len() <= 10 && means.len() > 5, "{means:?}");
    assert!(means.iter().all(Option::is_some));
    assert!(series.means(usize::MAX).len() <= 64);
}

#[test]
fn a_step_that_goes_back_cuts_the_curve() {
    let board = board([(1, 0.1), (2, 0.9), (3, 0.8), (2, 0.3)]);
    let (_, series) = board.series().next().expect("a curve");
    assert_eq!((series.high(), series.last(), board.step()), (Some(0.3), 0.3, Some(2)));
    assert_eq!(series.means(8), [Some(0.1), Some(0.3)]);
}

#[test]
fn what_is_not_finite_is_a_gap() {
    let board = board([(1, f64::NAN), (2, 1.0), (3, f64::INFINITY)]);
    let (_, series) = board.series().next().expect("a curve");
    assert_eq!((series.low(), series.high()), (Some(1.0), Some(1.0)));
    assert_eq!(series.means(8), [None, Some(1.0), None]);
    assert!(series.last().is_infinite());
    assert_eq!(LiveBoard::default().step(), None);
}
