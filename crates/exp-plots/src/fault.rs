//! Why a plot or a part of it cannot be drawn.

use std::fmt;

/// Why a plot, or a source of it in one revision, cannot be drawn. It costs that part, never the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlotFault {
    /// The class of the exception that DVC would meet, such as `FieldNotFoundError`: programs that read DVC's JSON look at
    /// it.
    pub class: String,
    /// What is wrong, in DVC's words where DVC has some.
    pub message: String,
    /// More that is known, such as the line and what is wrong with it.
    pub detail: Option<String>,
}

impl PlotFault {
    /// Makes a fault.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into(), detail: None }
    }

    /// A file that is neither table, document nor image by its ending.
    pub fn file_type(path: &str) -> Self {
        Self::new(
            "PlotMetricTypeError",
            format!(
                "'{path}' - file type error\nOnly JSON, YAML, CSV and TSV formats are supported."
            ),
        )
    }

    /// A file that is not text.
    pub fn encoding(path: &str) -> Self {
        Self::new("EncodingError", format!("unable to read: '{path}', is not valid utf8"))
    }

    pub(crate) fn field(name: &str, found: &[&str]) -> Self {
        let found = found.join(", ");
        Self::new(
            "FieldNotFoundError",
            format!("Could not find provided field ('{name}') in data fields ('{found}')."),
        )
    }

    pub(crate) fn counts(n_x: usize, n_y: usize) -> Self {
        Self::new(
            "DvcException",
            format!(
                "Cannot have different number of x and y data sources. Found {n_x} x and {n_y} y data sources."
            ),
        )
    }

    pub(crate) fn join((x_file, x): (&str, &str), (y_file, y): (&str, &str)) -> Self {
        Self::new(
            "DvcException",
            format!(
                "Cannot join '{x}' from '{x_file}' and '{y}' from '{y_file}'. They have to have same length."
            ),
        )
    }

    pub(crate) fn no_points() -> Self {
        Self::new("TypeError", "argument of type 'NoneType' is not iterable")
    }

    pub(crate) fn empty_list() -> Self {
        Self::new("AttributeError", "'NoneType' object has no attribute 'keys'")
    }

    pub(crate) fn no_map(python_type: &str) -> Self {
        Self::new("AttributeError", format!("'{python_type}' object has no attribute 'values'"))
    }

    pub(crate) fn no_first_line() -> Self {
        Self::new("TypeError", "object of type 'NoneType' has no len()")
    }

    pub(crate) fn field_limit(limit: usize) -> Self {
        Self::new("Error", format!("field larger than field limit ({limit})"))
    }
}

impl fmt::Display for PlotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
