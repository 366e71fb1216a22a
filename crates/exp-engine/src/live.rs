//! Metrics of runs while they are written: files that grow, documents that are written anew, standard output.
//!
//! Files are looked at every [`PERIOD`], by their size and time; what was appended is read and nothing else. There is no
//! notification of the system in it, so it works on every file system, and a file that nobody has changed costs one call.
//! Reasons and limits: `docs/design/0010-live.md`.

mod file;
mod lookout;
mod place;
mod runs;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use exp_core::MetricPoint;
use exp_params::LiveFormat;

use file::{Followed, Rank};
use place::Place;

pub(crate) use lookout::Lookout;
pub use runs::{LiveRun, LiveRuns};

/// More files and directories than these are not followed.
const MOST_FILES: usize = 2_000;
const MOST_DIRS: usize = 256;

/// A time that is younger may be that of several changes: clocks of file systems go in steps.
const TICK: Duration = Duration::from_millis(50);

/// Directories in which something is yet to appear are trusted so long when their time stays: a link may lead elsewhere.
const TRUST: Duration = Duration::from_secs(1);

/// Who standard output is, among the sources of a metric.
const OUTPUT: &str = "standard output";

/// What counts as written by a run.
#[derive(Debug, Clone, Copy)]
enum Since {
    /// What is written from now on.
    Now,
    /// Files that were written at this time or later.
    Time(SystemTime),
}

/// What a look has found.
#[derive(Debug, Default)]
struct Found {
    points: Vec<MetricPoint>,
    /// Files that are left alone from now on, and why.
    problems: Vec<(PathBuf, String)>,
}

/// Follows the files of one run.
#[derive(Debug)]
struct Follower {
    places: Vec<Place>,
    /// Where places that are not there yet would appear.
    gates: Vec<Gate>,
    dirs: Vec<Dir>,
    /// The finest first.
    files: Vec<Followed>,
    known: HashSet<PathBuf>,
    since: Since,
    /// Who tells of a metric.
    owners: HashMap<String, (Rank, String)>,
}

/// A directory, and the places of which it is the last part that exists: while its time stays, none of them has appeared.
#[derive(Debug)]
struct Gate {
    path: PathBuf,
    /// The numbers of the places.
    places: Vec<usize>,
    /// Its time when they were looked for, and when that was; `None` when they have to be again.
    seen: Option<(SystemTime, SystemTime)>,
}

/// A directory that is looked into.
#[derive(Debug)]
struct Dir {
    path: PathBuf,
    /// The place that it belongs to, by its number.
    place: usize,
    /// Its time when it was looked into; `None` when it has to be again.
    seen: Option<SystemTime>,
    depth: usize,
}

/// Directories are looked into so deep below a place.
const DEEPEST: usize = 5;

impl Follower {
    /// Follows what is written at these places.
    fn new(places: Vec<Place>, since: Since) -> Self {
        let (dirs, files, known) = (Vec::new(), Vec::new(), HashSet::new());
        let all = Gate { path: PathBuf::new(), places: (0..places.len()).collect(), seen: None };
        let gates = vec![all];
        let owners = HashMap::new();
        let mut follower = Self { places, gates, dirs, files, known, since, owners };
        if matches!(since, Since::Now) {
            // What is there already is not of this run.
            follower.search(SystemTime::now());
            for file in &mut follower.files {
                file.pass_over();
            }
        }
        follower
    }

    /// Follows one more file, which is read as `format` says.
    fn follow(&mut self, path: PathBuf, format: LiveFormat) {
        if self.known.insert(path.clone()) {
            self.files.push(Followed::output(path, format, OUTPUT));
        }
    }

    /// Reads what was written since the last look.
    fn look(&mut self) -> Found {
        let now = SystemTime::now();
        self.search(now);
        let mut found = Found::default();
        let mut points = Vec::new();
        for file in &mut self.files {
            if let Err(problem) = file.look(now, &mut points) {
                found.problems.push((file.path().to_path_buf(), problem));
            }
            let (rank, source) = (file.rank(), file.source());
            for point in points.drain(..) {
                found.points.extend(owned(&mut self.owners, point, rank, source, file.title()));
            }
        }
        found
    }

    /// Reads last lines whose end nobody wrote, when nothing will be written any more.
    fn finish(&mut self) -> Found {
        let mut found = self.look();
        let mut points = Vec::new();
        for file in &mut self.files {
            file.finish(&mut points);
            let (rank, source) = (file.rank(), file.source());
            for point in points.drain(..) {
                found.points.extend(owned(&mut self.owners, point, rank, source, file.title()));
            }
        }
        found
    }

    /// Keeps of points that a program printed those that no file tells of.
    fn keep_printed(&mut self, points: &mut Vec<MetricPoint>) {
        let kept = points.drain(..);
        *points = kept
            .filter_map(|point| owned(&mut self.owners, point, Rank::Output, OUTPUT, ""))
            .collect();
    }

    /// Finds files that are new.
    fn search(&mut self, now: SystemTime) {
        let n_files = self.files.len();
        let mut absent = Vec::new();
        self.gates.retain_mut(|gate| {
            let is_open = gate.opens(now);
            absent.extend(is_open.then(|| std::mem::take(&mut gate.places)).into_iter().flatten());
            !is_open
        });
        absent.sort_unstable();
        for at in absent {
            self.look_for(at, now);
        }
        let mut at = 0;
        while at < self.dirs.len() {
            self.look_into(at, now);
            at += 1;
        }
        if self.files.len() > n_files {
            self.files.sort_by_key(Followed::rank);
        }
    }

    /// Follows a place if it is there, and waits for it otherwise.
    fn look_for(&mut self, at: usize, now: SystemTime) {
        let path = self.places[at].path.clone();
        if self.known.contains(&path) {
            return;
        }
        // The time of the directory first: what appears after it was read changes it.
        let gate = Gate::of(&path, now);
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                self.known.insert(path.clone());
                self.dirs.push(Dir { path, place: at, seen: None, depth: 0 });
            }
            Ok(found) => self.add(path, at, found.modified().ok()),
            Err(_) => match self.gates.iter_mut().find(|other| other.path == gate.path) {
                Some(other) => {
                    other.places.push(at);
                    other.seen = other.seen.and_then(|(was, at)| {
                        let (is, _) = gate.seen?;
                        (was == is).then_some((was, at))
                    });
                }
                None => self.gates.push(Gate { places: vec![at], ..gate }),
            },
        }
    }

    fn look_into(&mut self, at: usize, now: SystemTime) {
        let dir = &mut self.dirs[at];
        let modified = fs::metadata(&dir.path).and_then(|found| found.modified());
        let Ok(modified) = modified else {
            dir.seen = None;
            return;
        };
        if dir.seen == Some(modified) {
            return;
        }
        dir.seen = settled(modified, now);
        let (place, depth, path) = (dir.place, dir.depth, dir.path.clone());
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let path = entry.path();
            if self.known.contains(&path) {
                continue;
            }
            // A link to a directory may lead back to it.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth < DEEPEST && self.dirs.len() < MOST_DIRS {
                    self.known.insert(path.clone());
                    self.dirs.push(Dir { path, place, seen: None, depth: depth + 1 });
                }
            } else {
                let modified = entry.metadata().and_then(|found| found.modified());
                self.add(path, place, modified.ok());
            }
        }
    }

    /// Follows a file if it may have metrics.
    fn add(&mut self, path: PathBuf, place: usize, modified: Option<SystemTime>) {
        if self.files.len() >= MOST_FILES {
            return;
        }
        self.known.insert(path.clone());
        let Some(mut file) = Followed::at(path, &self.places[place]) else { return };
        if let (Since::Time(since), Some(modified)) = (self.since, modified)
            && modified < since
        {
            file.pass_over();
        }
        self.files.push(file);
    }
}

impl Gate {
    /// Finds the last directory on the way to a path that exists.
    fn of(path: &Path, now: SystemTime) -> Self {
        let found = path.ancestors().skip(1).find_map(|dir| {
            let found = fs::metadata(dir).ok().filter(fs::Metadata::is_dir)?;
            Some((dir.to_path_buf(), settled(found.modified().ok()?, now)))
        });
        let (path, modified) = found.unwrap_or_default();
        Self { path, places: Vec::new(), seen: modified.map(|modified| (modified, now)) }
    }

    /// Returns whether something may have appeared.
    fn opens(&self, now: SystemTime) -> bool {
        let Some((modified, at)) = self.seen else { return true };
        let is_same = fs::metadata(&self.path)
            .and_then(|found| found.modified())
            .is_ok_and(|found| found == modified);
        !is_same || !now.duration_since(at).is_ok_and(|since| since < TRUST)
    }
}

/// Returns a time of a file if it is so old that another change would have another one.
fn settled(modified: SystemTime, now: SystemTime) -> Option<SystemTime> {
    now.duration_since(modified).is_ok_and(|age| age > TICK).then_some(modified)
}

/// Decides whether a point counts, and what it is called: the finest source of a metric has it, and a second one of the
/// same kind has it under the name of its file.
fn owned(
    owners: &mut HashMap<String, (Rank, String)>,
    mut point: MetricPoint,
    rank: Rank,
    source: &str,
    title: &str,
) -> Option<MetricPoint> {
    for _ in 0..2 {
        match owners.get(&point.name) {
            Some((_, owner)) if owner == source => return Some(point),
            Some((other, _)) if *other < rank => return None,
            Some((other, _)) if *other == rank => point.name = format!("{title}.{}", point.name),
            _ => {
                owners.insert(point.name.clone(), (rank, source.to_owned()));
                return Some(point);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
