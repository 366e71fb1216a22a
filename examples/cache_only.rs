//! `exp-cache` as a plain content store: files and directories in, digests out, and back again, with a mirror. Nothing
//! here knows of Git, pipelines or experiments.
//!
//! ```console
//! $ cargo run -p exp-examples --example cache_only -- PATH    # a file or directory to store; it stays as it is
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use exp_cache::{
    Cache, CacheOptions, DirStorage, Modes, NoFilter, Relink, Remote, plan_pull, plan_push, pull,
    push,
};
use exp_core::{Algorithm, Ctx};
use exp_examples::{Failure, Place, print};

fn main() -> Result<(), Failure> {
    let scratch = Place::empty()?;
    let named = Place::named()?;
    let data = match &named {
        Some(place) => place.path().to_path_buf(),
        None => make_data(&scratch.path().join("data"))?,
    };
    let ctx = Ctx::silent();
    let open =
        |name: &str| Cache::open(&scratch.path().join(name), CacheOptions::new(Algorithm::Sha256));

    // Content goes in; its digest is what it is called from now on. The second time costs reading and no space.
    let here = open("here")?;
    let artifact = here.add(&ctx, &data, &NoFilter, Relink::No)?;
    let again = here.add(&ctx, &data, &NoFilter, Relink::No)?;
    print(&format!("stored {}", artifact.id))?;
    if artifact.id != again.id {
        return Err("the same content got two names".into());
    }

    // A directory serves as a mirror. Look first: the plan lists what the other side lacks.
    let mirror = DirStorage::new(&scratch.path().join("mirror"), Modes::default());
    let mirror = Remote::new(std::sync::Arc::new(mirror));
    let ids = BTreeSet::from([artifact.id]);
    let plan = plan_push(&ctx, &here, &mirror, &ids)?;
    let sent = push(&ctx, &here, &mirror, plan, NonZeroUsize::MIN)?;
    print(&format!("sent {} objects, {} bytes", sent.moved, sent.bytes))?;

    // Elsewhere: another store gets it from there, checks each byte, and puts it where it is wanted.
    let there = open("there")?;
    let plan = plan_pull(&ctx, &there, &mirror, &ids)?;
    let received = pull(&ctx, &there, &mirror, plan, NonZeroUsize::MIN)?;
    let copy = scratch.path().join("copy");
    let plan = there.plan_checkout(&ctx, Some(&artifact), &copy, &NoFilter)?;
    let n_files = plan.writes().len();
    there.checkout(&ctx, plan)?;
    print(&format!("received {} objects, brought back {n_files} files", received.moved))?;

    // What came back is what went in.
    match there.digest(&ctx, &copy, &NoFilter)? {
        Some(found) if found.id == artifact.id => Ok(()),
        _ => Err("what came back is not what went in".into()),
    }
}

/// Makes a directory with three files, two of which have the same content.
fn make_data(dir: &Path) -> Result<std::path::PathBuf, Failure> {
    fs::create_dir_all(dir.join("more"))?;
    fs::write(dir.join("a.txt"), "one\n")?;
    fs::write(dir.join("more/b.txt"), "two\n")?;
    fs::write(dir.join("more/same-as-a.txt"), "one\n")?;
    Ok(dir.to_path_buf())
}
