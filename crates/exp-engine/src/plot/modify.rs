//! Setting properties of the plots of stages.

use exp_core::{Ctx, OutKind, RelPath, StageId, Table, set_plot_props};
use exp_plots::PlotProps;

use crate::change::Changes;
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;
use crate::stage::StageError;
use crate::view::{Broken, View};

/// What is changed about the plot of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotModifyRequest {
    /// The output.
    pub path: RelPath,
    /// Properties to set, as a `dvc.yaml` has them.
    pub props: Table,
    /// Properties to take away; `None` when that was not asked for. Asking for none is not the same: it is refused for what
    /// is no plot.
    pub unset: Option<Vec<String>>,
}

/// Properties of a plot that cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotModifyError {
    /// No stage writes the path.
    #[error("no stage has the output `{path}`")]
    NoOutput {
        /// The path.
        path: RelPath,
    },
    /// Properties are to be taken away from what is no plot.
    #[error("`{path}` is not a plot")]
    NoPlot {
        /// The path.
        path: RelPath,
    },
    /// Properties are to be taken away that are not set.
    #[error("plot `{path}` has no {}", names.join(", "))]
    NotSet {
        /// The path.
        path: RelPath,
        /// The properties.
        names: Vec<String>,
    },
}

impl Project {
    /// Changes properties of the plot of a stage, and makes the output a plot if it is none. It can be undone.
    ///
    /// # Errors
    ///
    /// [`PlotModifyError`], or [`StageError::Edit`] when a template makes the stage.
    pub fn modify_plot(
        &self,
        ctx: &Ctx<'_>,
        request: &PlotModifyRequest,
    ) -> Result<StageId, Error> {
        let _hold = Hold::brief(ctx, self)?;
        recover::recover(self, ctx)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let path = || request.path.clone();
        let found = view.stages.iter().find_map(|stage| {
            let is_it = |out: &&exp_core::Out| out.location.workspace() == Some(&request.path);
            Some((stage, stage.outs.iter().find(is_it)?))
        });
        let Some((stage, out)) = found else {
            return Err(PlotModifyError::NoOutput { path: path() }.into());
        };
        let unset = request.unset.as_deref().unwrap_or_default();
        if request.unset.is_some() {
            if out.kind != OutKind::Plot {
                return Err(PlotModifyError::NoPlot { path: path() }.into());
            }
            let names: Vec<String> =
                unset.iter().filter(|name| !PlotProps::has(&out.extra, name)).cloned().collect();
            if !names.is_empty() {
                return Err(PlotModifyError::NotSet { path: path(), names }.into());
            }
        }
        let file = &stage.id.file;
        let Some(name) = &stage.id.name else {
            return Err(PlotModifyError::NoOutput { path: path() }.into());
        };
        let bytes = files::read(&file.under(self.root()))?.unwrap_or_default();
        let text = String::from_utf8(bytes).map_err(|_| Error::NotText { file: file.clone() })?;
        let after = set_plot_props(&text, name, &out.path, &request.props, unset)
            .map_err(|source| StageError::Edit { file: file.clone(), source })?;
        if after != text {
            let mut changes = Changes::begin(self, OperationKind::Stage, &stage.id.to_string());
            changes.write(ctx, file, after.as_bytes())?;
            changes.finish(ctx)?;
        }
        Ok(stage.id.clone())
    }
}
