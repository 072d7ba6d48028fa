//! The programs of the sides: a crate each, and a script.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use peers::Outcome;

/// The side that is a script; the others are crates.
const SCRIPT: &str = "eventsource";

/// What it needs of a Python.
const CHECK: &str = "import sys, venv; sys.exit(sys.version_info < (3, 13))";

/// How a side is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    file: PathBuf,
    script: Option<PathBuf>,
}

impl Program {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.args(&self.script);
        command
    }
}

/// Makes a side's program, or says why there can be none here.
pub(crate) fn make(home: &Path, name: &str, python: &Path) -> Outcome<Result<Program, String>> {
    if name == SCRIPT { Ok(install(home, python)) } else { build(home, name).map(Ok) }
}

fn build(home: &Path, name: &str) -> Outcome<Program> {
    let (manifest, target) = (home.join(name).join("Cargo.toml"), home.join("target"));
    let built = Command::new("cargo")
        .args(["build", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !built.success() {
        return Err(format!("{name} cannot be built").into());
    }
    Ok(Program { file: target.join("release").join(format!("peer-{name}")), script: None })
}

/// Makes an environment with the packages that the script needs, of just these versions.
fn install(home: &Path, python: &Path) -> Result<Program, String> {
    let (source, environment) = (home.join(SCRIPT), home.join("target").join(SCRIPT));
    let file = environment.join("bin/python");
    let succeeds =
        |command: &mut Command| command.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !succeeds(Command::new(python).args(["-c", CHECK])) {
        return Err(format!("{} is not a Python 3.13 or later", python.display()));
    }
    if !succeeds(Command::new(python).args(["-m", "venv"]).arg(&environment)) {
        return Err("no environment can be made for it".to_owned());
    }
    let requirements = source.join("requirements.txt");
    if !succeeds(Command::new(&file).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements)) {
        return Err("it cannot be installed".to_owned());
    }
    Ok(Program { file, script: Some(source.join("side.py")) })
}
