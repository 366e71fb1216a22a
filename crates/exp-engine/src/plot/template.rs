//! Where the template of a plot comes from.

use std::path::{Path, PathBuf};

use exp_params::Format;
use exp_plots::{DEFAULT_TEMPLATE, PlotFault, Template, template_text};

use crate::files;
use crate::project::Project;

/// Finds a template by the name of one of DVC's own or of a file, `linear` without a name.
///
/// Files come first: `.dvc/plots/NAME`, the same with the ending `.json`, and `NAME` in the directory `cwd`, which is
/// absolute.
///
/// # Errors
///
/// There is no such template, or it is not a JSON map.
pub fn find_template(
    project: &Project,
    cwd: &Path,
    name: Option<&str>,
) -> Result<Template, PlotFault> {
    let name = name.unwrap_or(DEFAULT_TEMPLATE);
    let own = project.root().join(".dvc/plots").join(name);
    let candidates: [PathBuf; 3] = [own.clone(), own.with_extension("json"), cwd.join(name)];
    let found = candidates.iter().find(|path| path.exists());
    let text = match found {
        Some(path) => {
            let bytes =
                files::read(path).map_err(|error| PlotFault::new("OSError", error.to_string()))?;
            String::from_utf8(bytes.unwrap_or_default()).map_err(|_| PlotFault::encoding(name))?
        }
        None => template_text(name)
            .ok_or_else(|| {
                PlotFault::new("TemplateNotFoundError", format!("Template '{name}' not found."))
            })?
            .to_owned(),
    };
    let value = exp_params::parse(Format::Json, &text).map_err(|error| {
        PlotFault::new("JSONDecodeError", format!("template '{name}' is no JSON: {error}"))
    })?;
    Template::new(name, value)
}
