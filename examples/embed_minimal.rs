//! The smallest useful embedding: what would a project do now, and one experiment, without a word on the terminal
//! that is not ours.
//!
//! ```console
//! $ cargo run -p exp-examples --example embed_minimal            # in a project made for the occasion
//! $ cargo run -p exp-examples --example embed_minimal -- PATH    # in the project that PATH lies in
//! ```

use exp_engine::core::{Ctx, Ended, ExecuteOptions};
use exp_engine::{Kept, ReproRequest, RunRequest};
use exp_examples::{Failure, Place, print};

fn main() -> Result<(), Failure> {
    let place = match Place::named()? {
        Some(place) => place,
        None => Place::with_project()?,
    };
    let project = place.open()?;
    // Reports to nobody. `custom_frontend` shows the other way.
    let ctx = Ctx::silent();

    // A dry run touches nothing and says of each stage why it would run.
    let dry = ExecuteOptions { dry: true, ..ExecuteOptions::default() };
    let forecast =
        project.reproduce(&ctx, &ReproRequest { execute: dry, ..ReproRequest::default() })?;
    for stage in &forecast.report.stages {
        let verdict = if stage.reasons.is_empty() { "up to date" } else { "would run" };
        print(&format!("{}: {verdict}", stage.id))?;
    }

    let outcome = project.run(&ctx, &RunRequest::default())?;
    let text = match &outcome.kept {
        Some(Kept::Experiment(experiment)) => {
            format!("{} is commit {}", experiment.name, experiment.commit.short(7))
        }
        Some(Kept::SameAs(experiment)) => format!("the same as {}", experiment.name),
        Some(Kept::SameAsBaseline) => "the same as the commit it started from".to_owned(),
        Some(Kept::Unfinished(experiment)) => format!("{} did not finish", experiment.name),
        None => "nothing is kept of a dry run".to_owned(),
    };
    print(&format!("{text}, after {} ms", outcome.took.as_millis()))?;

    // A stage that fails is a result, not an error; what it means is ours to decide.
    if outcome.report.ended == Ended::Complete { Ok(()) } else { Err("the run failed".into()) }
}
