//! From the data of one revision to the points of a plot, as DVC's converter makes them.

use std::collections::BTreeSet;

use exp_core::Value;
use indexmap::IndexMap;

use crate::definition::{Axis, PlotProps};
use crate::fault::PlotFault;
use crate::frame::{Column, Frame};
use crate::points::PlotData;

/// The column that counts rows when no horizontal axis is named.
pub(crate) const INDEX: &str = "step";
/// The column that says of which revision a point is.
pub(crate) const REVISION: &str = "rev";
/// The column that says of which file a point is.
pub(crate) const FILENAME: &str = "filename";
/// The column that says of which column a point is.
pub(crate) const FIELD: &str = "field";
/// The column of values when several columns with different names are drawn.
const INFERRED_X: &str = "dvc_inferred_x_value";
const INFERRED_Y: &str = "dvc_inferred_y_value";

/// What is known of a plot when its points are: the properties that templates are filled with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filled {
    /// The name or file of the template.
    pub template: Option<String>,
    /// The column of the horizontal axis.
    pub x: Option<String>,
    /// The column of the vertical axis.
    pub y: Option<String>,
    /// What the horizontal axis is called.
    pub x_label: Option<String>,
    /// What the vertical axis is called.
    pub y_label: Option<String>,
    /// What the plot is called.
    pub title: Option<String>,
    /// The file, without what all have in common, and the column of each series.
    pub series: Vec<(String, String)>,
}

/// The points of one revision, a frame for each series, and what is known then; `None` when there are no points.
pub(crate) type Points = Option<(Vec<Frame>, Filled)>;

/// Makes the points of the plot `id` in the revision `rev`, whose files have `data`.
pub(crate) fn points(
    id: &str,
    props: &PlotProps,
    data: &IndexMap<String, &PlotData>,
    rev: &str,
) -> Result<Points, PlotFault> {
    let x = horizontal(id, props);
    let y = match &props.y {
        Some(axis) => Some(axis.series(id).into_iter().map(owned).collect::<Vec<_>>()),
        None => match data.get(id) {
            Some(data) => data.last_column()?.map(|column| vec![(id.to_owned(), column)]),
            None => None,
        },
    };
    let mut frames: IndexMap<&str, Frame> = IndexMap::new();
    for (file, data) in data {
        frames.insert(file, data.points()?);
    }
    let xs = verified(x.unwrap_or_default(), &frames)?;
    let fields = |pairs: &[(String, String)]| -> BTreeSet<String> {
        pairs.iter().map(|(_, field)| field.clone()).collect()
    };
    let has_many_x = xs.len() > 1 && fields(&xs).len() > 1;
    let x_label = props.x_label.clone().or_else(|| Some(label(&xs, INDEX, "x")));
    let y_label = props.y_label.clone().or_else(|| y.as_ref().map(|ys| label(ys, "y", "y")));
    let ys = verified(y.unwrap_or_default(), &frames)?;
    if xs.len() > 1 && xs.len() != ys.len() {
        return Err(PlotFault::counts(xs.len(), ys.len()));
    }
    let all_y = fields(&ys);
    let has_many_y = all_y.len() > 1;
    let files: BTreeSet<&str> = ys.iter().map(|(file, _)| file.as_str()).collect();
    let common = if files.len() > 1 { common_path(&files) } else { 0 };
    let short = |file: &str| -> String {
        file.get(common..).unwrap_or(file).trim_matches(['/', '\\']).to_owned()
    };
    let mut made = Vec::new();
    for (at, (y_file, y_field)) in ys.iter().enumerate() {
        let mut frame = frames.get(y_file.as_str()).cloned().unwrap_or_default();
        if has_many_y && let Some(column) = frame.column(y_field).cloned() {
            frame.update(INFERRED_Y, &column);
        }
        match if xs.len() > 1 { xs.get(at) } else { xs.first() } {
            None => frame.set(INDEX, Column::Index),
            Some((x_file, x_field)) => {
                let from = frames.get(x_file.as_str());
                if from.map_or(0, Frame::n_rows) != frame.n_rows() {
                    return Err(PlotFault::join((x_file, x_field), (y_file, y_field)));
                }
                if let Some(column) = from.and_then(|from| from.column(x_field)).cloned() {
                    frame.update(if has_many_x { INFERRED_X } else { x_field }, &column);
                }
            }
        }
        frame.set(REVISION, Column::Same(Value::from(rev)));
        frame.set(FILENAME, Column::Same(Value::from(short(y_file))));
        frame.set(FIELD, Column::Same(Value::from(y_field.as_str())));
        made.push(frame);
    }
    if made.iter().all(|frame| frame.n_rows() == 0) {
        return Ok(None);
    }
    let x = match xs.first() {
        _ if has_many_x => INFERRED_X.to_owned(),
        Some((_, field)) => field.clone(),
        None => INDEX.to_owned(),
    };
    let y = if has_many_y { Some(INFERRED_Y.to_owned()) } else { all_y.into_iter().next() };
    let filled = Filled {
        template: props.template.clone(),
        x: Some(x),
        y,
        x_label,
        y_label,
        title: props.title.clone(),
        series: ys.iter().map(|(file, field)| (short(file), field.clone())).collect(),
    };
    Ok(Some((made, filled)))
}

/// Returns each column of the horizontal axis with its file; `None` when rows are counted. One column stands for all
/// series of the vertical axis.
fn horizontal(id: &str, props: &PlotProps) -> Option<Vec<(String, String)>> {
    match props.x.as_ref()? {
        Axis::Files(_) => props.x.as_ref().map(|x| x.series(id).into_iter().map(owned).collect()),
        Axis::Columns(columns) => {
            let column = columns.first()?;
            Some(match &props.y {
                Some(Axis::Files(files)) => (files.iter())
                    .flat_map(|(file, fields)| {
                        fields.iter().map(|_| (file.clone(), column.clone()))
                    })
                    .collect(),
                _ => vec![(id.to_owned(), column.clone())],
            })
        }
    }
}

/// Returns the pairs, of which each is a column that the first row of its file has, if the file is there.
fn verified(
    pairs: Vec<(String, String)>,
    frames: &IndexMap<&str, Frame>,
) -> Result<Vec<(String, String)>, PlotFault> {
    for (file, field) in &pairs {
        let Some(frame) = frames.get(file.as_str()) else { continue };
        if frame.n_rows() == 0 {
            return Err(PlotFault::no_points());
        }
        let found = frame.first_names();
        if !found.contains(&field.as_str()) {
            return Err(PlotFault::field(field, &found));
        }
    }
    Ok(pairs)
}

/// Returns what an axis is called: as its one column, if it is one.
fn label(pairs: &[(String, String)], none: &str, many: &str) -> String {
    let fields: BTreeSet<&str> = pairs.iter().map(|(_, field)| field.as_str()).collect();
    match (fields.len(), fields.first()) {
        (1, Some(field)) => (*field).to_owned(),
        (0, _) => none.to_owned(),
        _ => many.to_owned(),
    }
}

/// Returns how many bytes of the paths are a directory that all lie in.
fn common_path(files: &BTreeSet<&str>) -> usize {
    let parts = |file: &str| -> Vec<String> {
        file.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    let mut files = files.iter().map(|file| parts(file));
    let Some(first) = files.next() else { return 0 };
    let n_common = files.fold(first.len(), |n, file| {
        first.iter().zip(&file).take(n).take_while(|(a, b)| a == b).count()
    });
    first[..n_common].join("/").len()
}

fn owned((file, field): (&str, &str)) -> (String, String) {
    (file.to_owned(), field.to_owned())
}
