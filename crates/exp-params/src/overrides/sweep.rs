//! Changes with several values, and all combinations of them.

use exp_core::{KeyPath, Value};

use super::function::Failure;
use super::parse::{Given, Groups, parse_change};
use super::{Literal, OverrideError, ParamChange};

mod sample;

/// A range may stand for so many values.
const MAX_VALUES: usize = 100_000;

/// In which order the values of a sweep are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Given,
    Shuffled,
}

/// Several values for one key.
#[derive(Debug)]
pub(super) struct Sweep {
    values: Vec<Literal>,
    order: Order,
}

impl Sweep {
    pub(super) fn choice(values: Vec<Literal>) -> Self {
        Self { values, order: Order::Given }
    }

    /// Makes the values from `start` to before `stop`. With a fraction anywhere, Hydra counts in decimals of 28
    /// digits that start from the exact binary value; so does this.
    pub(super) fn range(start: &Value, stop: &Value, stride: &Value) -> Result<Self, String> {
        let values = match (start, stop, stride) {
            (Value::Int(start), Value::Int(stop), Value::Int(stride)) => {
                count(*start, *stop, *stride)?.into_iter().map(Value::Int).collect()
            }
            _ => fractions(start, stop, stride)?,
        };
        Ok(Self::choice(values.into_iter().map(Literal::from).collect()))
    }

    pub(super) fn ordered(self, order: Order) -> Self {
        Self { order, ..self }
    }

    pub(super) fn into_values(self) -> Vec<Literal> {
        self.values
    }

    pub(super) fn map(
        self,
        change: impl Fn(&Value) -> Result<Value, Failure>,
    ) -> Result<Self, Failure> {
        let values = self
            .values
            .iter()
            .map(|literal| change(&literal.value).map(Literal::from))
            .collect::<Result<_, _>>()?;
        Ok(Self { values, order: self.order })
    }
}

fn count(start: i128, stop: i128, stride: i128) -> Result<Vec<i128>, String> {
    if stride == 0 {
        return Err("a step of zero".to_owned());
    }
    let mut values = Vec::new();
    let mut next = Some(start);
    while let Some(value) =
        next.filter(|value| if stride > 0 { *value < stop } else { *value > stop })
    {
        if values.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        values.push(value);
        next = value.checked_add(stride);
    }
    Ok(values)
}

fn fractions(start: &Value, stop: &Value, stride: &Value) -> Result<Vec<Value>, String> {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite());
    let (Some(start), Some(stop), Some(stride)) = (number(start), number(stop), number(stride))
    else {
        return Err("a range of something other than numbers".to_owned());
    };
    // All three as whole numbers of 10^-scale, with 36 digits for the largest.
    let largest = start.abs().max(stop.abs()).max(stride.abs());
    if largest >= 1e36 {
        return Err("the numbers are too large".to_owned());
    }
    let n_whole_digits = format!("{largest:.0}").len();
    let scale = 36 - n_whole_digits.min(36);
    let scaled = |number: f64| -> Result<i128, String> {
        let text: String = format!("{number:.scale$}").chars().filter(|c| *c != '.').collect();
        text.parse().map_err(|_| "the numbers are too large".to_owned())
    };
    let (stop, stride) = (scaled(stop)?, scaled(stride)?);
    let mut values = Vec::new();
    let mut next = scaled(start)?;
    if stride == 0 {
        return Err("a step of zero".to_owned());
    }
    while if stride > 0 { next < stop } else { next > stop } {
        if values.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        let value: f64 = format!("{next}e-{scale}")
            .parse()
            .map_err(|_| "the numbers are too large".to_owned())?;
        values.push(Value::Float(value));
        next = round_to_28_digits(next + stride);
    }
    Ok(values)
}

/// Rounds half to even, as Python's decimals do after each addition.
fn round_to_28_digits(number: i128) -> i128 {
    let n_digits = number.unsigned_abs().to_string().len();
    let Some(n_surplus) = n_digits.checked_sub(28).filter(|surplus| *surplus > 0) else {
        return number;
    };
    let unit = 10_i128.pow(u32::try_from(n_surplus).unwrap_or(0));
    let (quotient, rest) = (number / unit, (number % unit).abs());
    let up = rest * 2 > unit || (rest * 2 == unit && quotient % 2 != 0);
    (quotient + if up { number.signum() } else { 0 }) * unit
}

/// One key and the values that it is to have, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The same change with each of the values; one if this is no sweep.
    pub alternatives: Vec<ParamChange>,
    /// Whether it was written as a sweep. A sweep of one value is one too.
    pub is_sweep: bool,
    is_shuffled: bool,
}

/// All changes of a command line, sweeps among them.
///
/// ```
/// let overrides = exp_params::Overrides::parse(&["lr=0.1,0.01", "depth=range(3)"])?;
/// assert!(overrides.is_sweep());
/// assert_eq!(overrides.expand(0).count(), 6);
/// # Ok::<(), exp_params::OverrideError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    axes: Vec<Axis>,
}

impl Overrides {
    /// Reads the changes of a command line.
    ///
    /// Sorted as DVC works through them: file by file in the order of their first appearance. If a key comes twice
    /// with the same sign, the last one counts, in the place of the first, when there is a sweep; without one, all
    /// of them are made one after the other.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, OverrideError> {
        Self::parse_with(texts, Groups::Refused)
    }

    /// Reads changes of parameters that are composed of many files: a key may be a group with a package
    /// (`db/engine=x`, `db@backup=x`), see [`crate::compose`].
    pub fn parse_composed(texts: &[impl AsRef<str>]) -> Result<Self, OverrideError> {
        Self::parse_with(texts, Groups::Taken)
    }

    fn parse_with(texts: &[impl AsRef<str>], groups: Groups) -> Result<Self, OverrideError> {
        let axes: Vec<Axis> =
            texts.iter().map(|text| axis(text.as_ref(), groups)).collect::<Result<_, _>>()?;
        let any_sweep = axes.iter().any(|axis| axis.is_sweep);
        let mut files: Vec<(Option<String>, Vec<Axis>)> = Vec::new();
        for axis in axes {
            let Some(first) = axis.alternatives.first() else {
                // A range without values leaves nothing to try.
                return Ok(Self { axes: vec![axis] });
            };
            let known = files.iter().position(|(name, _)| *name == first.file);
            let file = known.unwrap_or_else(|| {
                files.push((first.file.clone(), Vec::new()));
                files.len() - 1
            });
            let group = &mut files[file].1;
            let twin = group.iter().position(|other| {
                other.alternatives.first().is_some_and(|other| {
                    other.change.key() == first.change.key()
                        && other.change.sign() == first.change.sign()
                })
            });
            match twin.filter(|_| any_sweep) {
                Some(at) => group[at] = axis,
                None => group.push(axis),
            }
        }
        Ok(Self { axes: files.into_iter().flat_map(|(_, axes)| axes).collect() })
    }

    /// Returns the keys and their values.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Returns whether any key has several values.
    pub fn is_sweep(&self) -> bool {
        self.axes.iter().any(|axis| axis.is_sweep)
    }

    /// Returns the changes if none of them is a sweep.
    pub fn single(&self) -> Option<Vec<ParamChange>> {
        self.axes
            .iter()
            .map(|axis| if axis.is_sweep { None } else { axis.alternatives.first().cloned() })
            .collect()
    }

    /// Returns all combinations; the first key varies slowest. The seed decides the order of `shuffle(…)` only.
    pub fn expand(&self, seed: u64) -> Combinations {
        let axes = self.ordered_axes(seed);
        let is_done = axes.iter().any(Vec::is_empty);
        Combinations { at: vec![0; axes.len()], axes, is_done }
    }

    /// Returns the values of each key in the order in which they are tried.
    fn ordered_axes(&self, seed: u64) -> Vec<Vec<ParamChange>> {
        let mut random = Random::new(seed);
        (self.axes.iter())
            .map(|axis| {
                let mut alternatives = axis.alternatives.clone();
                if axis.is_shuffled {
                    random.shuffle(&mut alternatives);
                }
                alternatives
            })
            .collect()
    }
}

/// The combinations of the values of all keys.
#[derive(Debug, Clone)]
pub struct Combinations {
    axes: Vec<Vec<ParamChange>>,
    at: Vec<usize>,
    is_done: bool,
}

impl Iterator for Combinations {
    type Item = Vec<ParamChange>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let combination =
            self.axes.iter().zip(&self.at).map(|(axis, at)| axis[*at].clone()).collect();
        // Counts up from the last place, like an odometer.
        self.is_done = true;
        for (axis, at) in self.axes.iter().zip(&mut self.at).rev() {
            *at += 1;
            if *at < axis.len() {
                self.is_done = false;
                break;
            }
            *at = 0;
        }
        Some(combination)
    }
}

fn axis(text: &str, groups: Groups) -> Result<Axis, OverrideError> {
    let parsed = parse_change(text, groups)?;
    let (values, is_sweep, is_shuffled) = match parsed.given {
        Given::Nothing => (vec![None], false, false),
        Given::One(literal) => (vec![Some(literal)], false, false),
        Given::Sweep(sweep) => {
            let is_shuffled = sweep.order == Order::Shuffled;
            (sweep.values.into_iter().map(Some).collect(), true, is_shuffled)
        }
    };
    let key: KeyPath = parsed.key;
    let alternatives = values
        .into_iter()
        .map(|literal| ParamChange {
            file: parsed.file.clone(),
            change: parsed.sign.with(key.clone(), literal),
        })
        .collect();
    Ok(Axis { alternatives, is_sweep, is_shuffled })
}

/// The splitmix64 generator: the same numbers for the same seed, for ever.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }

    /// Fisher and Yates's shuffle.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let bound = u64::try_from(at + 1).unwrap_or(u64::MAX);
            items.swap(at, usize::try_from(self.draw() % bound).unwrap_or(0));
        }
    }
}
