//! Files that are followed while they are written.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use exp_core::{Ctx, Event, PipelineFile, StageEvent, Stream};

use super::place::Takes;
use super::*;

struct Bench {
    dir: tempfile::TempDir,
    follower: Follower,
}

impl Bench {
    /// Follows `places` of a directory in which these files are already.
    fn new(before: &[(&str, &str)], places: &[(&str, Takes)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in before {
            write(&dir.path().join(path), text);
        }
        let places = places.iter().map(|(path, takes)| Place {
            path: dir.path().join(path),
            step: None,
            takes: *takes,
        });
        let follower = Follower::new(places.collect(), Since::Now);
        Self { dir, follower }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn append(&self, path: &str, text: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.path(path), text);
    }

    #[track_caller]
    fn sees(&mut self, expect: &[&str]) {
        let found = self.follower.look();
        assert_eq!(written(&found.points), expect);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn written(points: &[MetricPoint]) -> Vec<String> {
    let one = |point: &MetricPoint| {
        let step = point.step.map_or("-".to_owned(), |step| step.to_string());
        format!("{}@{step}={}", point.name, point.value)
    };
    points.iter().map(one).collect()
}

#[test]
fn what_is_appended_is_seen_once_and_half_a_line_later() {
    let mut bench = Bench::new(&[], &[("log.csv", Takes::All)]);
    bench.sees(&[]);
    bench.append("log.csv", b"step,loss\n1,0.5\n2,0.2");
    bench.sees(&["loss@1=0.5"]);
    bench.sees(&[]);
    bench.append("log.csv", b"5\n3,0.125");
    bench.sees(&["loss@2=0.25"]);
    assert_eq!(written(&bench.follower.finish().points), ["loss@3=0.125"]);
}

#[test]
fn what_was_there_before_is_not_of_this_run() {
    let before = [("log.csv", "step,loss\n1,0.5\n"), ("m.json", "{\"acc\": 1, \"f1\": 2}")];
    let mut bench = Bench::new(&before, &[("log.csv", Takes::All), ("m.json", Takes::All)]);
    bench.sees(&[]);
    bench.append("log.csv", b"2,0.25\n");
    bench.write("m.json", "{\"acc\": 1, \"f1\": 3}");
    bench.sees(&["loss@2=0.25", "f1@-=3"]);
}

#[test]
fn a_file_that_is_written_anew_is_read_from_its_beginning() {
    let mut bench = Bench::new(&[], &[("log.csv", Takes::All)]);
    bench.write("log.csv", "step,loss\n1,0.5\n2,0.4\n");
    bench.sees(&["loss@1=0.5", "loss@2=0.4"]);
    // Shorter, then longer with another beginning, then another file in its place.
    bench.write("log.csv", "step,acc\n1,0.9\n");
    bench.sees(&["acc@1=0.9"]);
    bench.write("log.csv", "step,other,acc\n1,7,0.8\n2,8,0.9\n3,9,0.9\n");
    bench.sees(&["other@1=7", "acc@1=0.8", "other@2=8", "acc@2=0.9", "other@3=9", "acc@3=0.9"]);
    bench.write("new", "step,acc\n1,0.1\n2,0.1\n3,0.1\n4,0.1\n5,0.1\n6,0.1\n7,0.1\n");
    fs::rename(bench.path("new"), bench.path("log.csv")).unwrap();
    assert_eq!(bench.follower.look().points.len(), 7);
    fs::remove_file(bench.path("log.csv")).unwrap();
    bench.sees(&[]);
    bench.write("log.csv", "step,acc\n1,0.5\n");
    bench.sees(&["acc@1=0.5"]);
}

#[test]
fn files_of_directories_are_found_when_they_appear() {
    let mut bench = Bench::new(&[], &[("dvclive/plots/metrics", Takes::All)]);
    bench.sees(&[]);
    bench.append("dvclive/plots/metrics/train/acc.tsv", b"timestamp\tstep\tacc\n1\t0\t0.5\n");
    bench.sees(&["train.acc@0=0.5"]);
    bench.append("dvclive/plots/metrics/loss.tsv", b"timestamp\tstep\tloss\n1\t0\t2\n");
    bench.append("dvclive/plots/metrics/train/acc.tsv", b"2\t1\t0.75\n");
    let mut points = written(&bench.follower.look().points);
    points.sort();
    assert_eq!(points, ["loss@0=2", "train.acc@1=0.75"]);
}

#[test]
fn the_finest_source_has_a_metric() {
    let places = [("dvclive/metrics.json", Takes::All), ("dvclive/plots/metrics", Takes::All)];
    let mut bench = Bench::new(&[], &places);
    bench.write("dvclive/metrics.json", "{\"train\": {\"acc\": 0.5}, \"f1\": 0.25, \"step\": 3}");
    bench.sees(&["train.acc@3=0.5", "f1@3=0.25"]);
    let mut printed = vec![
        MetricPoint { name: "f1".to_owned(), step: None, value: 9.0 },
        MetricPoint { name: "lr".to_owned(), step: None, value: 0.1 },
    ];
    bench.follower.keep_printed(&mut printed);
    assert_eq!(written(&printed), ["lr@-=0.1"]);
    // The rows come later and take it over, with what they had before.
    bench.append("dvclive/plots/metrics/train/acc.tsv", b"step\tacc\n0\t0.25\n3\t0.5\n");
    bench.write("dvclive/metrics.json", "{\"train\": {\"acc\": 0.75}, \"f1\": 0.5, \"step\": 4}");
    bench.sees(&["train.acc@0=0.25", "train.acc@3=0.5", "f1@4=0.5"]);
}

#[test]
fn a_second_file_with_the_same_columns_has_its_name_in_front() {
    let mut bench = Bench::new(&[], &[("train.csv", Takes::All), ("val.csv", Takes::All)]);
    bench.append("train.csv", b"step,loss\n1,0.5\n");
    bench.append("val.csv", b"step,loss\n1,0.75\n");
    bench.sees(&["loss@1=0.5", "val.loss@1=0.75"]);
}

#[test]
fn what_is_no_file_of_metrics_is_told_once_and_left_alone() {
    let places = ["binary.csv", "large.json", "runs/events.out.tfevents.1", "dir.csv"];
    let mut bench = Bench::new(&[], &places.map(|path| (path, Takes::All)));
    bench.append("binary.csv", b"step,loss\n\x00\xff\n");
    bench.write("large.json", &format!("{{\"a\": 1}}{}", " ".repeat(2 << 20)));
    bench.append("runs/events.out.tfevents.1", b"this is no record of TensorBoard");
    fs::create_dir(bench.path("dir.csv")).unwrap();
    let found = bench.follower.look();
    assert!(found.points.is_empty(), "{:?}", found.points);
    let mut problems: Vec<String> = found.problems.into_iter().map(|(_, why)| why).collect();
    problems.sort();
    assert_eq!(
        problems,
        ["a record of it is damaged", "is not text", "is too large for a file of metrics"]
    );
    bench.append("binary.csv", b"1,2\n");
    bench.sees(&[]);
}

#[test]
fn of_a_long_file_the_end_is_read() {
    let mut bench = Bench::new(&[], &[("log.csv", Takes::All)]);
    let mut text = b"step,loss\n".to_vec();
    for step in 0..2_000_000 {
        text.extend(format!("{step},0.5\n").into_bytes());
    }
    bench.append("log.csv", &text);
    let start = std::time::Instant::now();
    let found = bench.follower.look();
    let last = found.points.last().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!((last.name.as_str(), last.step), ("loss", Some(1_999_999)));
    assert!(found.points.len() < 500_000, "{}", found.points.len());
    bench.append("log.csv", b"2000000,0.25\n");
    bench.sees(&["loss@2000000=0.25"]);
}

#[test]
fn data_is_not_taken_for_metrics_and_a_pipe_is_not_waited_for() {
    let places = [("out", Takes::Events), ("fifo.csv", Takes::All)];
    let mut bench = Bench::new(&[], &places);
    bench.append("out/predictions.csv", b"id,score\n1,0.5\n");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.path("fifo.csv"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    bench.sees(&[]);
}

#[test]
fn a_stage_tells_of_files_and_of_what_it_prints_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let id = exp_core::StageId::named(exp_core::RelPath::new("dvc.yaml").unwrap(), "train");
    let text = "stages:\n  train:\n    cmd: x\n    plots: [log.csv]\n";
    let file = exp_core::RelPath::new("dvc.yaml").unwrap();
    let parsed = PipelineFile::parse(&file, text, dir.path(), &NoVars).unwrap();
    let stage = parsed.stages.first().unwrap().clone();
    let told = Mutex::new(Vec::new());
    let sink = |event: Event<'_>| {
        if let Event::Stage { what: StageEvent::Metrics { points }, .. } = event {
            told.lock().unwrap().extend(written(points));
        }
    };
    let ctx = Ctx::new(&sink, exp_core::CancelToken::new());
    Lookout::default().followed(&ctx, dir.path(), &[], &stage, |ctx| {
        fs::write(dir.path().join("log.csv"), "step,loss\n1,0.5\n").unwrap();
        while told.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        let bytes = b"epoch=1 acc=0.75\nloss=8\n";
        let what = StageEvent::Output { stream: Stream::Out, bytes };
        ctx.emit(Event::Stage { stage: &id, what });
        let mut log = File::options().append(true).open(dir.path().join("log.csv")).unwrap();
        log.write_all(b"2,0.25").unwrap();
    });
    assert_eq!(told.into_inner().unwrap(), ["loss@1=0.5", "acc@1=0.75", "loss@2=0.25"]);
}

struct NoVars;

impl exp_core::VarsSource for NoVars {
    fn load(&self, _: &exp_core::RelPath) -> Result<Option<exp_core::Value>, exp_core::PortError> {
        Ok(None)
    }
}
