//! Failures of pipelines and runs in DVC's words.

use exp_engine::Error;
use exp_engine::core::{GraphError, Location, PortError, StageId};
use exp_engine::params::ApplyError;
use exp_engine::refs::EditError;

use super::chain;

/// Returns DVC's message for an error of a pipeline or a run; `None` for others.
pub(super) fn message(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoCommit => "unexpected error - Empty git repo".to_owned(),
        Error::TrackedByGit { path } => format!(
            " output '{path}' is already tracked by SCM (e.g. Git).\n    You can remove it from Git, then add to DVC.\n        \
             To stop tracking from Git:\n            git rm -r --cached '{path}'\n            git commit -m \"stop \
             tracking {path}\" "
        ),
        Error::Name(name) => format!(
            "Invalid exp name {}, the exp name must follow rules in \
             https://git-scm.com/docs/git-check-ref-format",
            name.text
        ),
        Error::Edit(EditError::Exists { name, .. }) => format!(
            "Experiment conflicts with existing experiment '{name}'. To overwrite the existing experiment run:\n\n\tdvc exp \
             run -f ...\n\n"
        ),
        Error::Apply { source, .. } => apply(source),
        Error::Graph(error) => graph(error)?,
        _ => return None,
    })
}

/// Returns DVC's message for a port that failed while a stage was at work.
pub(crate) fn port_message(error: &PortError) -> String {
    match error {
        PortError::Failed(source) => match source.downcast_ref::<Error>() {
            Some(error) => super::dvc::message(error).trim_start().to_owned(),
            None => chain(error).join(": "),
        },
        error => chain(error).join(": "),
    }
}

fn apply(error: &ApplyError) -> String {
    let why = match error {
        ApplyError::NotFound { key, .. } => format!("Could not override '{key}'."),
        error => chain(error).join(": "),
    };
    format!("Invalid `--set-param` value: {why}")
}

fn graph(error: &GraphError) -> Option<String> {
    Some(match error {
        GraphError::DuplicateOut { location, stages } => {
            let stages: Vec<String> = stages.iter().map(|stage| format!("\t- {stage}")).collect();
            format!(
                "output '{location}' is specified in:\n{}\nUse `dvc remove` with any of the above targets to stop tracking \
                 the overlapping output.",
                stages.join("\n")
            )
        }
        GraphError::OverlappingOuts { outer, inner } => {
            let line = |stage: &StageId, location: &Location| format!("'{location}'('{stage}')");
            format!(
                "The output paths:\n{}\n{}\noverlap and are thus in the same tracked directory.\nTo keep \
                 reproducibility, outputs should be in separate tracked directories or tracked individually.",
                line(&outer.stage, &outer.location),
                line(&inner.stage, &inner.location)
            )
        }
        GraphError::DepIsOut { stage, .. } => {
            format!(
                "Same item(s) are defined as both a dependency and an output in stage: {stage}."
            )
        }
        GraphError::Cycle { stages } => {
            let stages: Vec<String> = stages.iter().map(ToString::to_string).collect();
            format!(
                "Same item(s) are defined as both a dependency and an output in stages: {}.",
                stages.join(", ")
            )
        }
        GraphError::OutsideProject { out, .. } => format!(
            "Cached output(s) outside of DVC project: {out}. See \
             <https://dvc.org/doc/user-guide/data-management/importing-external-data> for more info."
        ),
        _ => return None,
    })
}
