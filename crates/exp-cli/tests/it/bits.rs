//! Executable bits at the command line: a bit is a change like any other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::{Outcome, Sandbox};

impl Sandbox {
    fn bit(&self, path: &str) -> Result<bool, Box<dyn std::error::Error>> {
        Ok(fs::metadata(self.root().join(path))?.permissions().mode() & 0o111 == 0o111)
    }

    fn set_bit(&self, path: &str, is_set: bool) -> Outcome {
        let path = self.root().join(path);
        let old = fs::metadata(&path)?.permissions().mode() & !0o111;
        let mode = if is_set { old | 0o111 } else { old };
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    #[track_caller]
    fn does(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran.out + &ran.err
    }
}

const SHA256: &str = "version = 1\nhash = \"sha256\"\n";

#[test]
fn an_experiment_whose_files_differ_in_a_bit_is_applied_and_taken_back() -> Outcome {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join(".dvc/exp.toml"), SHA256)?;
    fs::write(sandbox.root().join("params.yaml"), "bit: a+x\n")?;
    fs::write(
        sandbox.root().join("dvc.yaml"),
        "stages:\n  make:\n    cmd: mkdir -p d && echo x > d/tool && echo x > one && chmod ${bit} d/tool one\n    \
         outs: [d, one]\n",
    )?;
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-qm", "first"])?;
    sandbox.does("exp run -n with");
    assert!(sandbox.bit("d/tool")? && sandbox.bit("one")?);
    sandbox.does("exp run -n without -S bit=a-x");
    assert!(!sandbox.bit("d/tool")? && !sandbox.bit("one")?);

    sandbox.does("exp apply with");
    assert!(sandbox.bit("d/tool")? && sandbox.bit("one")?, "the bits did not come");
    sandbox.does("exp apply without");
    assert!(!sandbox.bit("d/tool")? && !sandbox.bit("one")?, "the bits did not go");
    sandbox.does("exp undo");
    assert!(sandbox.bit("d/tool")? && sandbox.bit("one")?, "the bits did not come back");
    let status = sandbox.does("exp data status --json");
    assert!(!status.contains("modified"), "{status}");
    Ok(())
}

#[test]
fn a_bit_that_a_checkout_takes_back_comes_back_with_undo() -> Outcome {
    for links in ["copy", "hardlink", "symlink"] {
        let sandbox = Sandbox::project()?;
        fs::write(sandbox.root().join(".dvc/exp.toml"), SHA256)?;
        sandbox.does(&format!("exp config cache.type {links}"));
        fs::create_dir(sandbox.root().join("d"))?;
        for path in ["d/x", "one"] {
            fs::write(sandbox.root().join(path), "text\n")?;
        }
        sandbox.does("exp data add d one");
        for path in ["d/x", "one"] {
            sandbox.set_bit(path, true)?;
            let told = sandbox.does("exp data checkout");
            assert!(!sandbox.bit(path)?, "{links} {path}: the recorded bit did not come: {told}");
            sandbox.does("exp undo");
            assert!(sandbox.bit(path)?, "{links} {path}: the bit of the person is lost");
            sandbox.does("exp data checkout");
            assert!(!sandbox.bit(path)?, "{links} {path}");
            assert_eq!(sandbox.read(path)?, "text\n", "{links}");
        }
        let status = sandbox.does("exp data status --json");
        assert!(!status.contains("modified"), "{links}: {status}");
    }
    Ok(())
}
