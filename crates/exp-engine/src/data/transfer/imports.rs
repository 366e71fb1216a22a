//! What was imported is fetched from its source, and brought into the workspace where nothing records it yet.

use exp_core::{Artifact, Ctx, RelPath};

use super::{DataRevisions, DataTransferReport, DataTransferRequest};
use crate::change::{Changes, Keep};
use crate::error::Error;
use crate::hold::Hold;
use crate::import::FetchedImports;
use crate::operation::OperationKind;
use crate::ports::IgnoreBelow;
use crate::project::Project;

impl Project {
    /// Fetches what the targets have of imports in the workspace.
    pub(super) fn fetch_imported(
        &self,
        ctx: &Ctx<'_>,
        request: &DataTransferRequest,
        report: &mut DataTransferReport,
    ) -> Result<(), Error> {
        if !request.kinds.is_empty() || request.max_size.is_some() {
            return Ok(());
        }
        let scope = self.matching(request)?;
        report.imports = match self.fetch_imports(ctx, &scope) {
            // A commit may know a target that the workspace does not know any more.
            Err(Error::Data(_)) if request.revisions != DataRevisions::default() => {
                FetchedImports::default()
            }
            fetched => fetched?,
        };
        Ok(())
    }

    /// Brings imports into the workspace of which nothing but the source is recorded, and returns those that came.
    /// Where something is already, it stays.
    ///
    /// # Errors
    ///
    /// When the store lacks something of them, or the workspace cannot be written.
    pub fn bring_imports(
        &self,
        ctx: &Ctx<'_>,
        imports: &[(RelPath, Artifact)],
    ) -> Result<Vec<RelPath>, Error> {
        let is_absent = |path: &RelPath| path.under(self.root()).symlink_metadata().is_err();
        if !imports.iter().any(|(path, _)| is_absent(path)) {
            return Ok(Vec::new());
        }
        let _hold = Hold::brief(ctx, self)?;
        let mut changes = Changes::begin(self, OperationKind::Data, "pull");
        let mut brought = Vec::new();
        for (path, artifact) in imports.iter().filter(|(path, _)| is_absent(path)) {
            self.require_inside(path)?;
            let filter = IgnoreBelow::new(self, path);
            let full = path.under(self.root());
            let plan = self.cache().plan_checkout(ctx, Some(artifact), &full, &filter)?;
            changes.touch(ctx, [(path, Keep::Data)])?;
            self.cache().checkout(ctx, plan)?;
            brought.push(path.clone());
        }
        changes.finish(ctx)?;
        Ok(brought)
    }
}
