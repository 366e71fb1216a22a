//! What running stages are compared with while somebody looks.

use exp_engine::{Project, ReproRequest};

use crate::session::Session;
use crate::view::live::Reference;
use crate::view::summary;

/// Lets metrics be told while they are written, where somebody sees them, and returns what they are compared with.
pub(super) fn watched(
    session: &Session<'_, '_>,
    project: &Project,
    json: bool,
    repro: &mut ReproRequest,
) -> Reference {
    let is_drawn = session.draws_stages() && !json;
    repro.live = (is_drawn || json) && !repro.execute.dry;
    let mut reference = Reference::default();
    if is_drawn && repro.live {
        reference.typical = project.typical_times();
        let head = project.git().head().ok();
        if let Some((head, commit)) = head.and_then(|head| Some((head.branch, head.commit?))) {
            reference.name = head.unwrap_or_else(|| commit.short(7));
            reference.metrics = summary::metrics_of(project, commit);
        }
    }
    reference
}
