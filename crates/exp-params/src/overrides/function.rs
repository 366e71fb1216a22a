//! The functions of the grammar: casts, and what makes sweeps.

use exp_core::{KeyPath, Table, Value, python_float};

use super::Literal;
use super::sweep::{Order, Sweep};

/// What a function is given and what it gives back.
#[derive(Debug)]
pub(super) enum Argument {
    One(Literal),
    Sweep(Sweep),
}

/// Why a function has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Message(String),
    #[error("{0} names no list of values")]
    NotFinite(&'static str),
}

fn fail<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Message(message.into()))
}

/// Computes `name(arguments)`; arguments with names come last.
pub(super) fn call(
    name: &str,
    arguments: Vec<(Option<String>, Argument)>,
) -> Result<Argument, Failure> {
    match name {
        "int" => cast(unnamed(name, arguments, "value")?, to_int),
        "float" => cast(unnamed(name, arguments, "value")?, to_float),
        "str" => cast(unnamed(name, arguments, "value")?, to_text),
        "bool" => cast(unnamed(name, arguments, "value")?, to_bool),
        "choice" => choice(unnamed(name, arguments, "")?),
        "range" => range(arguments),
        "shuffle" => shuffle(unnamed(name, arguments, "sweep")?),
        "sort" => sort(arguments),
        "tag" => tag(unnamed(name, arguments, "sweep")?),
        "interval" => Err(Failure::NotFinite("interval")),
        "glob" => Err(Failure::NotFinite("glob")),
        name => fail(format!("there is no function `{name}`")),
    }
}

/// Takes the names off; only `known` is one.
fn unnamed(
    function: &str,
    arguments: Vec<(Option<String>, Argument)>,
    known: &str,
) -> Result<Vec<Argument>, Failure> {
    arguments
        .into_iter()
        .map(|(name, argument)| match name {
            Some(name) if name != known && name != "list" => {
                fail(format!("`{function}` has no argument `{name}`"))
            }
            _ => Ok(argument),
        })
        .collect()
}

fn literal(argument: Argument) -> Result<Literal, Failure> {
    match argument {
        Argument::One(literal) => Ok(literal),
        Argument::Sweep(_) => fail("a sweep inside a sweep"),
    }
}

fn literals(arguments: Vec<Argument>) -> Result<Vec<Literal>, Failure> {
    arguments.into_iter().map(literal).collect()
}

type Cast = fn(&Value) -> Result<Value, Failure>;

fn cast(mut arguments: Vec<Argument>, to: Cast) -> Result<Argument, Failure> {
    let single = match arguments.len() {
        0 => return fail("an argument is missing"),
        1 => arguments.remove(0),
        _ => Argument::Sweep(Sweep::choice(literals(arguments)?)),
    };
    Ok(match single {
        Argument::One(literal) => Argument::One(Literal::from(deep(&literal.value, to)?)),
        Argument::Sweep(sweep) => Argument::Sweep(sweep.map(|value| deep(value, to))?),
    })
}

fn deep(value: &Value, to: Cast) -> Result<Value, Failure> {
    match value {
        Value::List(items) => {
            items.iter().map(|item| deep(item, to)).collect::<Result<_, _>>().map(Value::List)
        }
        Value::Table(table) => table
            .iter()
            .map(|(key, item)| Ok((key.clone(), deep(item, to)?)))
            .collect::<Result<Table, _>>()
            .map(Value::Table),
        value => to(value),
    }
}

fn to_int(value: &Value) -> Result<Value, Failure> {
    let whole = match value {
        Value::Bool(truth) => Some(i128::from(*truth)),
        Value::Int(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
        Value::Float(number) if number.abs() < 1e38 => Some(number.trunc() as i128),
        Value::Text(text) => plain_number(text).and_then(|text| text.parse().ok()),
        _ => None,
    };
    whole.map_or_else(
        || fail(format!("no whole number is in {}", shown(value))),
        |n| Ok(Value::Int(n)),
    )
}

fn to_float(value: &Value) -> Result<Value, Failure> {
    let number = match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Text(text) => plain_number(text).and_then(|text| text.parse().ok()),
        value => value.as_f64(),
    };
    number
        .map_or_else(|| fail(format!("no number is in {}", shown(value))), |n| Ok(Value::Float(n)))
}

/// Takes off what Python's `int` and `float` ignore: blanks around and single underscores between digits.
fn plain_number(text: &str) -> Option<String> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let misplaced = text
        .bytes()
        .enumerate()
        .any(|(at, c)| c == b'_' && !(at > 0 && is_digit(at - 1) && is_digit(at + 1)));
    (!misplaced).then(|| text.replace('_', ""))
}

fn to_text(value: &Value) -> Result<Value, Failure> {
    Ok(Value::Text(match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => python_float(*number),
        Value::Text(text) => text.clone(),
        value => return fail(format!("no text is in {}", shown(value))),
    }))
}

fn to_bool(value: &Value) -> Result<Value, Failure> {
    match value {
        Value::Bool(truth) => Ok(Value::Bool(*truth)),
        Value::Int(number) => Ok(Value::Bool(*number != 0)),
        Value::Float(number) => Ok(Value::Bool(*number != 0.0)),
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        Value::Null => Ok(Value::Bool(false)),
        value => fail(format!("no truth value is in {}", shown(value))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        value => format!("`{}`", crate::number::python_str(value)),
    }
}

fn choice(mut arguments: Vec<Argument>) -> Result<Argument, Failure> {
    if arguments.is_empty() {
        return fail("a choice of nothing");
    }
    if let [Argument::Sweep(_)] = arguments.as_slice()
        && let Argument::Sweep(sweep) = arguments.remove(0)
    {
        return Ok(Argument::Sweep(sweep));
    }
    Ok(Argument::Sweep(Sweep::choice(literals(arguments)?)))
}

fn range(arguments: Vec<(Option<String>, Argument)>) -> Result<Argument, Failure> {
    let mut places: [Option<Literal>; 3] = [None, None, None];
    for (at, (name, argument)) in arguments.into_iter().enumerate() {
        let place = match name.as_deref() {
            None => at,
            Some("start") => 0,
            Some("stop") => 1,
            Some("step") => 2,
            Some(name) => return fail(format!("`range` has no argument `{name}`")),
        };
        let slot = places.get_mut(place).filter(|slot| slot.is_none());
        *slot.ok_or_else(|| Failure::Message("an argument too many".to_owned()))? =
            Some(literal(argument)?);
    }
    let [start, stop, stride] = places;
    let start = start.ok_or_else(|| Failure::Message("`range` without a start".to_owned()))?;
    let (start, stop) = match stop {
        Some(stop) => (start.value, stop.value),
        None => (Value::Int(0), start.value),
    };
    let stride = stride.map_or(Value::Int(1), |stride| stride.value);
    Sweep::range(&start, &stop, &stride).map(Argument::Sweep).map_err(Failure::Message)
}

fn shuffle(mut arguments: Vec<Argument>) -> Result<Argument, Failure> {
    let sweep = if arguments.len() == 1 {
        match arguments.remove(0) {
            Argument::Sweep(sweep) => sweep,
            // Shuffling a list gives a different file each time; that has no place in a reproducible run.
            Argument::One(_) => return fail("only a sweep can be shuffled"),
        }
    } else {
        Sweep::choice(literals(arguments)?)
    };
    Ok(Argument::Sweep(sweep.ordered(Order::Shuffled)))
}

fn sort(arguments: Vec<(Option<String>, Argument)>) -> Result<Argument, Failure> {
    let mut reverse = false;
    let mut rest = Vec::new();
    for (name, argument) in arguments {
        if name.as_deref() == Some("reverse") {
            reverse = matches!(literal(argument)?.value, Value::Bool(true));
        } else {
            rest.push((name, argument));
        }
    }
    let mut arguments = unnamed("sort", rest, "sweep")?;
    if arguments.is_empty() {
        return fail("nothing to sort");
    }
    let sort_all = |mut items: Vec<Literal>| {
        sort_literals(&mut items, reverse)?;
        Ok::<_, Failure>(items)
    };
    if arguments.len() > 1 {
        return Ok(Argument::Sweep(Sweep::choice(sort_all(literals(arguments)?)?)));
    }
    Ok(match arguments.remove(0) {
        Argument::Sweep(sweep) => Argument::Sweep(Sweep::choice(sort_all(sweep.into_values())?)),
        Argument::One(literal) => match &literal.value {
            Value::List(items) => {
                let parts = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| literal.part(&at.to_string(), item))
                    .collect();
                let mut list = Literal::from(Value::Null);
                let mut sorted = Vec::new();
                for (at, item) in sort_all(parts)?.into_iter().enumerate() {
                    let at = KeyPath::from_parts([at.to_string()]);
                    list.spellings
                        .extend(item.spelling(&KeyPath::root()).map(|text| (at, text.to_owned())));
                    sorted.push(item.value);
                }
                list.value = Value::List(sorted);
                Argument::One(list)
            }
            _ => Argument::One(literal),
        },
    })
}

fn sort_literals(items: &mut [Literal], reverse: bool) -> Result<(), Failure> {
    let all_text = items.iter().all(|item| item.value.as_text().is_some());
    let all_numbers = items
        .iter()
        .all(|item| matches!(item.value, Value::Bool(_) | Value::Int(_) | Value::Float(_)));
    if !all_text && !all_numbers {
        return fail("only numbers or only text can be sorted");
    }
    let number = |item: &Literal| match &item.value {
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        value => value.as_f64().unwrap_or(f64::NAN),
    };
    items.sort_by(|a, b| {
        let order = match (a.value.as_text(), b.value.as_text()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => number(a).total_cmp(&number(b)),
        };
        if reverse { order.reverse() } else { order }
    });
    Ok(())
}

fn tag(mut arguments: Vec<Argument>) -> Result<Argument, Failure> {
    match arguments.pop() {
        Some(Argument::Sweep(sweep)) => {
            for tag in literals(arguments)? {
                if tag.value.as_text().is_none() {
                    return fail("a tag is text");
                }
            }
            Ok(Argument::Sweep(sweep))
        }
        _ => fail("the last argument of `tag` is no sweep"),
    }
}
