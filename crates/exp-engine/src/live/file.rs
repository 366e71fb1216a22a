//! One file that is followed while it is written.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use exp_core::MetricPoint;
use exp_params::{LiveFormat, LiveReader, live_document};

use super::TICK;
use super::place::{Place, Takes};

/// So many bytes are read at a look.
const PIECE: u64 = 4 << 20;
/// When more than this was appended since the last look, only the last piece is read.
const BACKLOG: u64 = 16 << 20;
/// A larger document has no metrics.
const LARGEST_DOCUMENT: u64 = 1 << 20;
/// A header is looked for in so many bytes.
const HEADER: u64 = 64 << 10;
/// So many bytes before the place where reading goes on have to be the same still.
const ANCHOR: usize = 64;

/// How fine what a source tells is; the finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Tables and JSON lines.
    Rows,
    /// Records of TensorBoard.
    Events,
    /// Documents, of which only what is read at a look is known.
    Document,
    /// What a program prints.
    Output,
}

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    path: PathBuf,
    rank: Rank,
    /// Who tells, among the sources of a metric.
    source: String,
    /// What its metrics are called after, when another source has their name.
    title: String,
    content: Content,
    seen: Option<Seen>,
    /// Whether it is left alone.
    is_over: bool,
}

#[derive(Debug)]
enum Content {
    Appended(Box<Appended>),
    /// What was told of it last, by name.
    Document(HashMap<String, (Option<i64>, u64)>),
}

#[derive(Debug)]
struct Appended {
    format: LiveFormat,
    /// As it was before anything was read.
    fresh: LiveReader,
    reader: LiveReader,
    /// How far it was read.
    offset: u64,
    /// The bytes before.
    anchor: Vec<u8>,
}

/// A file as it was at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

impl Followed {
    /// Follows the file at `path`, which was found at `place`; `None` for one that has no metrics.
    pub(super) fn at(path: PathBuf, place: &Place) -> Option<Self> {
        let name = path.to_string_lossy().into_owned();
        let below = path.strip_prefix(&place.path).unwrap_or(&path).with_extension("");
        let below = below.to_string_lossy().into_owned();
        let title = |path: Option<&Path>| {
            let name = path.and_then(Path::file_stem).unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let format = LiveFormat::of(&name);
        let is_events = format == Some(LiveFormat::Events);
        if place.takes == Takes::Events && !is_events {
            return None;
        }
        let Some(format) = format else {
            let is_document =
                [".json", ".yaml", ".yml", ".toml"].iter().any(|ending| name.ends_with(ending));
            let title = title(Some(&path));
            let (rank, content) = (Rank::Document, Content::Document(HashMap::new()));
            let followed =
                Self { path, rank, source: name, title, content, seen: None, is_over: false };
            return is_document.then_some(followed);
        };
        let stem = (path != place.path).then_some(below.as_str());
        let fresh = LiveReader::new(format).named(place.step.as_deref(), stem);
        // A second file of records in a directory goes on where the first ended.
        let dir = path.parent().map(Path::to_path_buf);
        let (rank, source, title) = if is_events {
            let source = dir.as_deref().unwrap_or(&path).to_string_lossy().into_owned();
            (Rank::Events, source, title(dir.as_deref()))
        } else {
            (Rank::Rows, name, title(Some(&path)))
        };
        let content = Content::Appended(Box::new(Appended::new(format, fresh)));
        Some(Self { path, rank, source, title, content, seen: None, is_over: false })
    }

    /// Follows what a program prints, in a file.
    pub(super) fn output(path: PathBuf, format: LiveFormat, source: &str) -> Self {
        let content = Content::Appended(Box::new(Appended::new(format, LiveReader::new(format))));
        let (rank, source, title) = (Rank::Output, source.to_owned(), String::new());
        Self { path, rank, source, title, content, seen: None, is_over: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rank(&self) -> Rank {
        self.rank
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Leaves out what it holds now.
    pub(super) fn pass_over(&mut self) {
        let Ok(found) = fs::metadata(&self.path) else { return };
        if !found.is_file() {
            return;
        }
        let mut none = Vec::new();
        match &mut self.content {
            Content::Appended(appended) => {
                let passed = File::open(&self.path).and_then(|file| {
                    appended.read_header(&file)?;
                    appended.skip_to(&file, found.len())
                });
                if passed.is_err() {
                    return;
                }
            }
            Content::Document(told) => {
                if found.len() <= LARGEST_DOCUMENT
                    && read_document(&self.path, told, &mut none).is_err()
                {
                    return;
                }
            }
        }
        self.seen = Some(Seen::of(&found));
    }

    /// Reads what was written since the last look.
    ///
    /// # Errors
    ///
    /// Once, why it is left alone from now on.
    pub(super) fn look(
        &mut self,
        now: SystemTime,
        points: &mut Vec<MetricPoint>,
    ) -> Result<(), String> {
        if self.is_over {
            return Ok(());
        }
        let found = match fs::metadata(&self.path) {
            Ok(found) if found.is_file() => found,
            _ => {
                // It may come back, as another one.
                self.seen = None;
                if let Content::Appended(appended) = &mut self.content {
                    appended.begin();
                }
                return Ok(());
            }
        };
        let seen = Seen::of(&found);
        if self.seen == Some(seen) {
            return Ok(());
        }
        let is_other = (self.seen)
            .is_some_and(|before| (before.device, before.inode) != (seen.device, seen.inode));
        let is_settled = found
            .modified()
            .is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > TICK));
        let done = match &mut self.content {
            Content::Appended(appended) => {
                if is_other {
                    appended.begin();
                }
                appended.look(&self.path, found.len(), points)
            }
            Content::Document(_) if found.len() > LARGEST_DOCUMENT => {
                Err(Trouble::Content("is too large for a file of metrics".to_owned()))
            }
            Content::Document(told) => {
                read_document(&self.path, told, points).map(|()| true).map_err(Trouble::Read)
            }
        };
        match done {
            Ok(is_whole) => {
                // What was not read yet, or may change within the same tick, is looked at again whatever its size.
                let size = if is_whole && is_settled { seen.size } else { u64::MAX };
                self.seen = Some(Seen { size, ..seen });
            }
            Err(Trouble::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.seen = None;
            }
            Err(trouble) => {
                self.is_over = true;
                return Err(match trouble {
                    Trouble::Read(error) => error.to_string(),
                    Trouble::Content(why) => why,
                });
            }
        }
        Ok(())
    }

    /// Takes the last line, whose end nobody wrote.
    pub(super) fn finish(&mut self, points: &mut Vec<MetricPoint>) {
        if let Content::Appended(appended) = &mut self.content
            && !self.is_over
        {
            appended.reader.finish(points);
        }
    }
}

enum Trouble {
    Read(io::Error),
    Content(String),
}

impl Appended {
    fn new(format: LiveFormat, fresh: LiveReader) -> Self {
        Self { format, reader: fresh.clone(), fresh, offset: 0, anchor: Vec::new() }
    }

    /// Begins with the first byte again.
    fn begin(&mut self) {
        *self = Self::new(self.format, self.fresh.clone());
    }

    /// Reads what was appended; tells whether that is all.
    fn look(
        &mut self,
        path: &Path,
        size: u64,
        points: &mut Vec<MetricPoint>,
    ) -> Result<bool, Trouble> {
        let file = File::open(path).map_err(Trouble::Read)?;
        if size < self.offset {
            self.begin();
        }
        if size - self.offset > BACKLOG && self.format != LiveFormat::Events {
            if self.offset == 0 || !self.is_anchored(&file).map_err(Trouble::Read)? {
                self.begin();
                self.read_header(&file).map_err(Trouble::Read)?;
            }
            self.skip_to(&file, size - PIECE).map_err(Trouble::Read)?;
        }
        let mut bytes = self.read_on(&file, size).map_err(Trouble::Read)?;
        if bytes.starts_with(&self.anchor) {
            bytes.drain(..self.anchor.len());
        } else {
            self.begin();
            bytes = self.read_on(&file, size).map_err(Trouble::Read)?;
        }
        self.offset += bytes.len() as u64;
        self.anchor.extend_from_slice(&bytes[bytes.len().saturating_sub(ANCHOR)..]);
        self.anchor.drain(..self.anchor.len().saturating_sub(ANCHOR));
        let fed = self.reader.feed(&bytes, points);
        fed.map_err(|error| Trouble::Content(error.to_string()))?;
        Ok(self.offset >= size)
    }

    /// Reads what stood before the place where reading goes on, to be compared, and what follows: in one call, because most
    /// looks find a few lines.
    fn read_on(&self, file: &File, size: u64) -> io::Result<Vec<u8>> {
        let more = (size - self.offset).min(PIECE);
        let mut bytes = vec![0; usize::try_from(more).unwrap_or(0) + self.anchor.len()];
        let n = read_at(file, &mut bytes, self.offset - self.anchor.len() as u64)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    /// Returns whether what was read last is still there.
    fn is_anchored(&self, file: &File) -> io::Result<bool> {
        let mut bytes = vec![0; self.anchor.len()];
        let n = read_at(file, &mut bytes, self.offset - self.anchor.len() as u64)?;
        Ok(bytes[..n] == self.anchor)
    }

    /// Reads the first line of a table.
    fn read_header(&mut self, file: &File) -> io::Result<()> {
        if matches!(self.format, LiveFormat::Table(_)) {
            let mut bytes = vec![0; usize::try_from(HEADER).unwrap_or(0)];
            let n = read_at(file, &mut bytes, 0)?;
            if let Some(end) = bytes[..n].iter().position(|byte| *byte == b'\n') {
                // What is wrong with it is told when more of it is read.
                let _later = self.reader.feed(&bytes[..=end], &mut Vec::new());
            }
        }
        Ok(())
    }

    /// Goes on behind so many bytes.
    fn skip_to(&mut self, file: &File, offset: u64) -> io::Result<()> {
        let length = usize::try_from(offset).unwrap_or(ANCHOR).min(ANCHOR);
        let mut bytes = vec![0; length];
        let n = read_at(file, &mut bytes, offset - length as u64)?;
        bytes.truncate(n);
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            self.reader.interrupt();
        }
        (self.offset, self.anchor) = (offset, bytes);
        Ok(())
    }
}

/// Reads a document, and hands out what it did not say before.
fn read_document(
    path: &Path,
    told: &mut HashMap<String, (Option<i64>, u64)>,
    points: &mut Vec<MetricPoint>,
) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let name = path.to_string_lossy();
    // One that is being written is read at the next look.
    let Some(found) = std::str::from_utf8(&bytes).ok().and_then(|text| live_document(&name, text))
    else {
        return Ok(());
    };
    for point in found {
        let said = (point.step, point.value.to_bits());
        if told.insert(point.name.clone(), said) != Some(said) {
            points.push(point);
        }
    }
    Ok(())
}

/// Reads at a place until the buffer is full or the file ends.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut n = 0;
    while n < bytes.len() {
        match file.read_at(&mut bytes[n..], offset + n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
