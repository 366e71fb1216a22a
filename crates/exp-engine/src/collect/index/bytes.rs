//! Rows as bytes, and back. Reading never panics and never takes more memory than the bytes warrant.

use std::sync::Arc;

use exp_core::{Algorithm, Artifact, Digest, ObjectId, ObjectKind, Table, Value};

/// Values nested deeper than this are not written, nor read.
const MAX_DEPTH: usize = 64;

/// Classes of problems that say something of the commit alone, so that they may be remembered.
const CLASSES: &[&str] = &[
    "FileNotFoundError",
    "YAMLFileCorruptedError",
    "JSONFileCorruptedError",
    "TOMLFileCorruptedError",
    "PythonFileCorruptedError",
    "YAMLSyntaxError",
    "YAMLValidationError",
];

const ALGORITHMS: &[Algorithm] = &[Algorithm::Md5, Algorithm::Md5Dos2Unix, Algorithm::Sha256];

/// Returns the number of a problem's class; `None` when it may pass, as a disk that fails.
pub(super) fn class_number(class: &str) -> Option<u64> {
    CLASSES.iter().position(|known| *known == class).map(|at| at as u64)
}

/// Returns the class with a number.
pub(super) fn class_of(number: u64) -> Option<&'static str> {
    CLASSES.get(usize::try_from(number).ok()?).copied()
}

/// Bytes while they are written.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// Writes a number, small ones shorter.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    pub(super) fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes a value; `None` when it is nested too deeply.
    pub(super) fn value(&mut self, value: &Value) -> Option<()> {
        self.value_at(value, 0)
    }

    fn value_at(&mut self, value: &Value, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match value {
            Value::Null => self.0.push(0),
            Value::Bool(false) => self.0.push(1),
            Value::Bool(true) => self.0.push(2),
            Value::Int(number) => {
                self.0.push(3);
                self.0.extend(number.to_le_bytes());
            }
            Value::Float(number) => {
                self.0.push(4);
                self.0.extend(number.to_bits().to_le_bytes());
            }
            Value::Text(text) => {
                self.0.push(5);
                self.text(text);
            }
            Value::Date(text) => {
                self.0.push(6);
                self.text(text);
            }
            Value::List(items) => {
                self.0.push(7);
                self.length(items.len());
                for item in items {
                    self.value_at(item, depth + 1)?;
                }
            }
            Value::Table(table) => {
                self.0.push(8);
                self.length(table.len());
                for (key, value) in table {
                    self.text(key);
                    self.value_at(value, depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    pub(super) fn artifact(&mut self, artifact: Option<Artifact>) -> Option<()> {
        let Some(artifact) = artifact else {
            self.0.push(0);
            return Some(());
        };
        let digest = artifact.id.digest;
        let algorithm = ALGORITHMS.iter().position(|known| *known == digest.algorithm())?;
        self.length(1 + algorithm);
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        self.0.push(
            flag(artifact.id.is_tree(), 1)
                | flag(artifact.is_exec, 2)
                | flag(artifact.size.is_some(), 4)
                | flag(artifact.n_files.is_some(), 8),
        );
        self.0.extend(digest.as_bytes());
        for number in [artifact.size, artifact.n_files].into_iter().flatten() {
            self.number(number);
        }
        Some(())
    }
}

/// Bytes while they are read; everything is `None` when they end early or make no sense.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'b>(pub(super) &'b [u8]);

impl<'b> Cursor<'b> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn length(&mut self) -> Option<usize> {
        // Everything that is counted takes a byte at least, so a nonsense length asks for no memory.
        usize::try_from(self.number()?).ok().filter(|length| *length <= self.0.len())
    }

    pub(super) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn value(&mut self) -> Option<Value> {
        self.value_at(0)
    }

    fn value_at(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(i128::from_le_bytes(self.array()?)),
            4 => Value::Float(f64::from_bits(u64::from_le_bytes(self.array()?))),
            5 => Value::Text(self.text()?.to_owned()),
            6 => Value::Date(self.text()?.to_owned()),
            7 => {
                let n = self.length()?;
                Value::List((0..n).map(|_| self.value_at(depth + 1)).collect::<Option<_>>()?)
            }
            8 => {
                let n = self.length()?;
                let mut table = Table::with_capacity(n.min(1 << 10));
                for _ in 0..n {
                    let key = self.text()?.to_owned();
                    table.insert(key, self.value_at(depth + 1)?);
                }
                Value::Table(table)
            }
            _ => return None,
        })
    }

    /// Reads what may be an artifact into a place that has none.
    pub(super) fn artifact(&mut self, into: &mut Option<Artifact>) -> Option<()> {
        let algorithm = match self.number()? {
            0 => return Some(()),
            number => *ALGORITHMS.get(usize::try_from(number - 1).ok()?)?,
        };
        let flags = self.byte()?;
        let digest = Digest::from_bytes(algorithm, self.take(algorithm.len())?)?;
        let kind = if flags & 1 == 0 { ObjectKind::File } else { ObjectKind::Tree };
        let size = if flags & 4 == 0 { None } else { Some(self.number()?) };
        let n_files = if flags & 8 == 0 { None } else { Some(self.number()?) };
        let id = ObjectId { digest, kind };
        *into = Some(Artifact { id, size, n_files, is_exec: flags & 2 != 0 });
        Some(())
    }
}

/// Returns a number that other bytes hardly ever have. It finds accidents, not forgeries.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |sum: u64, word: u64| {
        let mixed = (sum ^ word).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 29)
    };
    let mut words = bytes.chunks_exact(8);
    let mut sum = mix(FACTOR, bytes.len() as u64);
    for word in words.by_ref() {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        sum = mix(sum, word);
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(sum, u64::from_le_bytes(last))
}

/// Texts that occur again and again, by number.
#[derive(Default)]
pub(super) struct Texts {
    known: std::collections::HashMap<Arc<str>, u64>,
    pub(super) writer: Writer,
}

impl Texts {
    /// Returns the number of a text.
    pub(super) fn number(&mut self, text: &Arc<str>) -> u64 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.known.len() as u64;
        self.known.insert(Arc::clone(text), number);
        self.writer.text(text);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(members: &[(&str, Value)]) -> Value {
        Value::Table(
            members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        )
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let value = table(&[
            ("z", Value::Int(i128::from(u64::MAX) + 5)),
            ("a", Value::List(vec![Value::Null, Value::Bool(true), Value::Float(-0.0)])),
            ("é.b", table(&[("n", Value::Int(-1)), ("d", Value::Date("2026-12-01".into()))])),
            ("", Value::Text(String::new())),
        ]);
        let mut writer = Writer::default();
        assert!(writer.value(&value).is_some());
        let mut cursor = Cursor(&writer.0);
        assert_eq!(format!("{:?}", cursor.value()), format!("{:?}", Some(value)));
        assert!(cursor.0.is_empty());
        // Cut anywhere, it is no value, and nothing panics.
        for length in 0..writer.0.len() {
            assert_eq!(Cursor(&writer.0[..length]).value(), None, "{length}");
        }
    }

    #[test]
    fn nonsense_takes_neither_memory_nor_stack() {
        assert_eq!(Cursor(&[7, 255, 255, 255, 255, 255, 255, 255, 127]).value(), None);
        assert_eq!(Cursor(&[255; 20]).number(), None);
        assert_eq!(Cursor(&[7, 1].repeat(100_000)).value(), None);
        let deep = (0..100).fold(Value::Null, |value, _| Value::List(vec![value]));
        assert_eq!(Writer::default().value(&deep), None);
    }

    #[test]
    fn each_bit_counts_in_the_checksum() {
        let bytes: Vec<u8> = (0..77).collect();
        let sum = checksum(&bytes);
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert_ne!(checksum(&other), sum, "bit {at}");
        }
        assert_ne!(checksum(&bytes[..76]), sum);
        assert_ne!(checksum(&[0; 8]), checksum(&[0; 9]));
    }
}
