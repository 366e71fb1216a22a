//! JSON on one line, as Python's `json.dumps` writes it: what DVC prints and what scripts read.

use exp_engine::core::{KeyOrder, Table, Value, python_json};

/// Writes a value on a line, keys in their order.
pub(crate) fn line(value: &Value) -> String {
    format!("{}\n", python_json(value, KeyOrder::AsIs))
}

/// Makes a map of pairs, in their order.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Table(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Table>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_python_dumps() {
        let value = object([
            ("b", Value::Float(f64::NAN)),
            ("a", Value::List(vec![Value::Int(1), Value::Float(1e16), Value::from("é")])),
            ("n", Value::Null),
        ]);
        assert_eq!(line(&value), "{\"b\": NaN, \"a\": [1, 1e+16, \"\\u00e9\"], \"n\": null}\n");
    }
}
