//! Parallel coordinates: an axis for each parameter and metric, a line for each experiment across all of them.

use exp_core::{Table, Value};

use crate::fill::{Spec, Split};

/// An axis of parallel coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct ParallelAxis {
    /// What stands above it.
    pub name: String,
    /// One value a line; `None` for a line that has none there.
    pub values: Vec<Option<Value>>,
}

/// More different words than these have no label each.
const MOST_LABELS: usize = 12;

/// Makes the document of parallel coordinates for lines with these names. The axes stand from the left in their order; lines
/// are coloured by the last axis whose values are numbers. Without a line or an axis there is nothing to draw.
///
/// Numbers have their place between the smallest and the largest of their axis, words in the order of the alphabet. A value
/// that is missing or not finite leaves a gap.
pub fn parallel(names: &[String], axes: &[ParallelAxis]) -> Option<Spec> {
    if names.is_empty() || axes.is_empty() {
        return None;
    }
    let scales: Vec<Scale> = axes.iter().map(Scale::of).collect();
    let tint = scales.iter().rposition(|scale| matches!(scale, Scale::Numbers { .. }));
    let mut points = Vec::new();
    let mut labels = Vec::new();
    for (at, (axis, scale)) in axes.iter().zip(&scales).enumerate() {
        for (line, value) in axis.values.iter().enumerate() {
            let (Some(value), Some(name)) = (value, names.get(line)) else { continue };
            let Some(place) = scale.place(value) else { continue };
            let mut point = Table::new();
            // Names may be the same, so lines are told apart by their number.
            point.insert("line".to_owned(), number(line));
            point.insert("name".to_owned(), Value::from(name.as_str()));
            point.insert("axis".to_owned(), number(at));
            point.insert("place".to_owned(), Value::Float(place));
            point.insert("what".to_owned(), Value::from(axis.name.as_str()));
            point.insert("value".to_owned(), Value::from(written(value)));
            let color = tint.and_then(|tint| axes[tint].values.get(line)?.as_ref()?.as_f64());
            point.insert("tint".to_owned(), color.map_or(Value::Null, Value::Float));
            points.push(Value::Table(point));
        }
        for (place, text) in scale.labels() {
            labels.push(map(&[
                ("axis", number(at)),
                ("place", Value::Float(place)),
                ("text", Value::from(text)),
            ]));
        }
    }
    let heads = axes
        .iter()
        .enumerate()
        .map(|(at, axis)| map(&[("axis", number(at)), ("name", Value::from(axis.name.as_str()))]));
    let title = tint.map(|tint| axes[tint].name.as_str());
    let content = document(points, labels, heads.collect(), title);
    Some(Spec { content, anchors: Table::new(), split: Split::No, points: Vec::new() })
}

/// Where the values of an axis are.
#[derive(Debug, PartialEq)]
enum Scale {
    Numbers { low: f64, high: f64 },
    Words(Vec<String>),
}

impl Scale {
    fn of(axis: &ParallelAxis) -> Self {
        let values = || axis.values.iter().flatten();
        if values().all(|value| value.as_f64().is_some()) {
            let finite = values().filter_map(Value::as_f64).filter(|number| number.is_finite());
            let (low, high) = finite
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                    (low.min(number), high.max(number))
                });
            return Self::Numbers { low, high };
        }
        let mut words: Vec<String> = values().map(written).collect();
        words.sort();
        words.dedup();
        Self::Words(words)
    }

    /// Returns where a value is, from 0 at the bottom to 1 at the top.
    fn place(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Numbers { low, high } => {
                let number = value.as_f64().filter(|number| number.is_finite())?;
                // Halves first, for ranges that are wider than the largest number.
                let range = high / 2.0 - low / 2.0;
                Some(if range > 0.0 { (number / 2.0 - low / 2.0) / range } else { 0.5 })
            }
            Self::Words(words) => {
                let at = words.binary_search(&written(value)).ok()?;
                Some(share(at, words.len()))
            }
        }
    }

    /// Returns what stands beside the axis.
    fn labels(&self) -> Vec<(f64, String)> {
        match self {
            Self::Numbers { low, high } if low > high => Vec::new(),
            Self::Numbers { low, high } if low >= high => vec![(0.5, crate::chart::short(*low))],
            Self::Numbers { low, high } => {
                vec![(0.0, crate::chart::short(*low)), (1.0, crate::chart::short(*high))]
            }
            Self::Words(words) => {
                let every = words.len().div_ceil(MOST_LABELS).max(1);
                let words = words.iter().enumerate().step_by(every);
                words.map(|(at, word)| (share(at, self.len()), word.clone())).collect()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Numbers { .. } => 2,
            Self::Words(words) => words.len(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "places of a screen")]
fn share(at: usize, of: usize) -> f64 {
    if of > 1 { at as f64 / (of - 1) as f64 } else { 0.5 }
}

/// Writes a value as it is shown.
fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => exp_core::python_json(value, exp_core::KeyOrder::AsIs),
    }
}

fn number(at: usize) -> Value {
    Value::from(at as u64)
}

fn map(members: &[(&str, Value)]) -> Value {
    Value::Table(members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// A map of texts.
fn texts(members: &[(&str, &str)]) -> Value {
    Value::Table(
        members.iter().map(|(key, text)| ((*key).to_owned(), Value::from(*text))).collect(),
    )
}

fn data(values: Vec<Value>) -> Value {
    map(&[("values", Value::List(values))])
}

/// Puts the document together: the axes, the lines, a dot that can be pointed at for each value, and the labels.
fn document(
    points: Vec<Value>,
    labels: Vec<Value>,
    heads: Vec<Value>,
    title: Option<&str>,
) -> Value {
    let across = map(&[
        ("field", Value::from("axis")),
        ("type", Value::from("ordinal")),
        ("axis", Value::Null),
        ("scale", map(&[("type", Value::from("point")), ("padding", Value::Float(0.5))])),
    ]);
    let up = map(&[
        ("field", Value::from("place")),
        ("type", Value::from("quantitative")),
        ("axis", Value::Null),
        ("scale", map(&[("domain", Value::List(vec![Value::Int(0), Value::Int(1)]))])),
    ]);
    let color = match title {
        Some(title) => map(&[
            ("field", Value::from("tint")),
            ("type", Value::from("quantitative")),
            ("title", Value::from(title)),
            ("scale", texts(&[("scheme", "viridis")])),
        ]),
        None => texts(&[("value", crate::fill::COLORS[0])]),
    };
    let opacity = map(&[
        ("value", Value::Float(0.12)),
        ("condition", map(&[("param", Value::from("picked")), ("value", Value::Float(0.9))])),
    ]);
    let picked = map(&[
        ("name", Value::from("picked")),
        (
            "select",
            map(&[
                ("type", Value::from("point")),
                ("fields", Value::List(vec![Value::from("line")])),
                ("on", Value::from("pointerover")),
                ("clear", Value::from("pointerout")),
            ]),
        ),
    ]);
    let shown =
        ["name", "what", "value"].map(|field| texts(&[("field", field), ("type", "nominal")]));
    let line = texts(&[("field", "line"), ("type", "nominal")]);
    let order = texts(&[("field", "axis"), ("type", "quantitative")]);
    let lines = map(&[
        ("data", data(points.clone())),
        ("mark", map(&[("type", Value::from("line")), ("strokeWidth", Value::Int(2))])),
        (
            "encoding",
            map(&[
                ("x", across.clone()),
                ("y", up.clone()),
                ("detail", line.clone()),
                ("order", order),
                ("color", color.clone()),
                ("opacity", opacity.clone()),
            ]),
        ),
    ]);
    let dots = map(&[
        ("data", data(points)),
        ("params", Value::List(vec![picked])),
        ("mark", map(&[("type", Value::from("circle")), ("size", Value::Int(70))])),
        (
            "encoding",
            map(&[
                ("x", across.clone()),
                ("y", up.clone()),
                ("color", color),
                ("opacity", opacity),
                ("tooltip", Value::List(shown.to_vec())),
            ]),
        ),
    ]);
    let rules = map(&[
        ("data", data(heads.clone())),
        ("mark", texts(&[("type", "rule"), ("color", "#bbb")])),
        ("encoding", map(&[("x", across.clone())])),
    ]);
    let names = map(&[
        ("data", data(heads)),
        (
            "mark",
            map(&[
                ("type", Value::from("text")),
                ("y", Value::Int(-16)),
                ("fontWeight", Value::from("bold")),
                ("limit", Value::Int(104)),
            ]),
        ),
        ("encoding", map(&[("x", across.clone()), ("text", texts(&[("field", "name")]))])),
    ]);
    let ends = map(&[
        ("data", data(labels)),
        (
            "mark",
            map(&[
                ("type", Value::from("text")),
                ("align", Value::from("left")),
                ("dx", Value::Int(6)),
                ("color", Value::from("#555")),
                ("limit", Value::Int(90)),
            ]),
        ),
        ("encoding", map(&[("x", across), ("y", up), ("text", texts(&[("field", "text")]))])),
    ]);
    map(&[
        ("$schema", Value::from("https://vega.github.io/schema/vega-lite/v5.json")),
        ("width", map(&[("step", Value::Int(120))])),
        ("height", Value::Int(300)),
        ("padding", Value::Int(24)),
        ("config", map(&[("view", map(&[("stroke", Value::Null)]))])),
        ("layer", Value::List(vec![rules, lines, dots, ends, names])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, values: &[Option<Value>]) -> ParallelAxis {
        ParallelAxis { name: name.to_owned(), values: values.to_vec() }
    }

    #[test]
    fn numbers_and_words_have_their_places() {
        let lr = Scale::of(&axis("lr", &[Some(Value::Float(0.1)), None, Some(Value::Int(1))]));
        assert_eq!(lr.place(&Value::Float(0.1)), Some(0.0));
        assert_eq!(lr.place(&Value::Int(1)), Some(1.0));
        assert_eq!(lr.place(&Value::Float(f64::NAN)), None);
        assert_eq!(lr.labels(), [(0.0, "0.1".to_owned()), (1.0, "1".to_owned())]);
        let same = Scale::of(&axis("seed", &[Some(Value::Int(3)), Some(Value::Int(3))]));
        assert_eq!((same.place(&Value::Int(3)), same.labels().len()), (Some(0.5), 1));
        let words = Scale::of(&axis(
            "optimizer",
            &[Some(Value::from("sgd")), Some(Value::from("adam")), Some(Value::Bool(true))],
        ));
        assert_eq!(words.place(&Value::from("adam")), Some(0.0));
        assert_eq!(words.place(&Value::Bool(true)), Some(1.0));
        assert_eq!(Scale::of(&axis("none", &[None])).labels(), []);
        let wide =
            Scale::of(&axis("x", &[Some(Value::Float(f64::MIN)), Some(Value::Float(f64::MAX))]));
        assert_eq!(wide.place(&Value::Float(0.0)), Some(0.5));
    }

    #[test]
    fn every_value_is_a_point_and_a_gap_is_none() {
        let names = ["a".to_owned(), "b".to_owned()];
        let axes = [
            axis("lr", &[Some(Value::Float(0.1)), Some(Value::Float(0.2))]),
            axis("acc", &[Some(Value::Float(0.9)), None]),
        ];
        let spec = parallel(&names, &axes).expect("a document");
        let mut text = String::new();
        spec.write_strict_json(&mut text);
        assert_eq!(
            text.matches("\"what\": \"lr\"").count() + text.matches("\"what\":\"lr\"").count(),
            4
        );
        assert_eq!(
            text.matches("\"what\": \"acc\"").count() + text.matches("\"what\":\"acc\"").count(),
            2
        );
        assert!(parallel(&[], &axes).is_none() && parallel(&names, &[]).is_none());
    }
}
