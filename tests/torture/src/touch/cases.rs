//! What foreign hands do to a store that is in use, and what must come of it.
//!
//! | hand | tried where |
//! | --- | --- |
//! | a fork with an open store | `actors/tests/actors/runtime.rs`: `g15_a_fork_is_told_..` |
//! | the sidecar removed while several processes use it | `src/storage/sqlite/tests/process.rs`: `a_lost_sidecar_..` |
//! | something else in the sidecar's place when a store is opened | there: `a_foreign_file_in_the_sidecars_place_..` |
//! | another program writes, as a session sees it | there: `another_program_that_writes_makes_us_busy` |
//! | damage that is there before the store is opened | `files` |
//! | all others | here |

use std::fs;

use super::stage::Stage;
use crate::Result;

/// What must be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Nothing: all goes on.
    Well,
    /// Each time this error, by its name.
    Error(&'static str),
    /// All goes on, or there is an error: it depends on what was in memory.
    Either,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The store is closed in order.
    Closed,
    /// Its process is killed.
    Killed,
}

/// Where everything that was acknowledged before has to be afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Where it was.
    There,
    /// Under this name now.
    Moved(&'static str),
    /// The hand has destroyed it, or some of it.
    Gone,
    /// The file was written to while it was open: what is acknowledged later may go too.
    Spoilt,
}

/// A hand.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) act: fn(&mut Stage) -> Result<()>,
    /// What is said to those who append while the hand is at it, and to those who do afterwards.
    pub(super) appends: [Expect; 2],
    /// What is said to those who read meanwhile.
    pub(super) reads: Expect,
    pub(super) end: End,
    pub(super) home: Home,
}

impl Case {
    const fn new(name: &'static str, act: fn(&mut Stage) -> Result<()>) -> Case {
        let (appends, reads) = ([Expect::Well; 2], Expect::Well);
        Case { name, act, appends, reads, end: End::Closed, home: Home::There }
    }

    const fn killed(self) -> Case {
        Case { end: End::Killed, ..self }
    }

    const fn refused(self, home: Home) -> Case {
        let replaced = Expect::Error("FileReplaced");
        Case { appends: [replaced; 2], reads: replaced, home, ..self }
    }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let mut cases = vec![
        Case::new("read by another program", |stage| {
            ["", "-wal", "-shm", "-sync"]
                .iter()
                .try_for_each(|file| Stage::run("cat", &[&stage.beside(file)]))
        }),
        Case::new("read by its own process", |stage| {
            for file in ["", "-wal", "-shm", "-sync"] {
                fs::read(stage.beside(file))?;
            }
            Ok(())
        }),
        Case::new("copied", |stage| {
            ["", "-wal", "-shm", "-sync"].iter().try_for_each(|file| {
                Stage::run("cp", &[&stage.beside(file), &stage.at(&format!("copy.db{file}"))])
            })
        }),
        Case::new("made read-only", |stage| {
            let mut permissions = fs::metadata(&stage.file)?.permissions();
            permissions.set_readonly(true);
            Ok(fs::set_permissions(&stage.file, permissions)?)
        }),
        Case::new("removed", |stage| Ok(fs::remove_file(&stage.file)?)).refused(Home::Gone),
        Case {
            reads: Expect::Well,
            ..Case::new("removed while somebody has read", |stage| {
                stage.read()?;
                Ok(fs::remove_file(&stage.file)?)
            })
            .refused(Home::Gone)
        },
        Case::new("moved away", |stage| Stage::run("mv", &[&stage.file, &stage.at("moved.db")]))
            .refused(Home::Gone),
        Case::new("moved away with its log", |stage| {
            ["-wal", "-sync", ""].iter().try_for_each(|file| {
                Stage::run("mv", &[&stage.beside(file), &stage.at(&format!("moved.db{file}"))])
            })
        })
        .killed()
        .refused(Home::Moved("moved.db")),
        Case::new("an old copy moved over it", |stage| Stage::run("mv", &[&stage.old(), &stage.file]))
            .refused(Home::Gone),
        Case::new("a second name", |stage| Stage::run("ln", &[&stage.file, &stage.at("second.db")]))
            .refused(Home::There),
        Case {
            reads: Expect::Well,
            ..Case::new("a second name that is taken away again", |stage| {
                Stage::run("ln", &[&stage.file, &stage.at("second.db")])?;
                // Whoever opened it by that name had another log.
                stage.append(1)?;
                Ok(fs::remove_file(stage.at("second.db"))?)
            })
            .refused(Home::There)
        },
        Case::new("the log removed", |stage| Ok(fs::remove_file(stage.beside("-wal"))?))
            .killed()
            .refused(Home::Gone),
        Case::new("the log replaced by an old one", |stage| {
            Stage::run("cp", &[&stage.beside("-wal"), &stage.at("old-wal")])?;
            stage.append(3)?;
            Stage::run("mv", &[&stage.at("old-wal"), &stage.beside("-wal")])
        })
        .killed()
        .refused(Home::Gone),
        Case::new("the log's index removed", |stage| Ok(fs::remove_file(stage.beside("-shm"))?))
            .killed()
            .refused(Home::There),
        Case::new("the sidecar removed", |stage| Ok(fs::remove_file(stage.beside("-sync"))?)),
        Case::new("the sidecar replaced by a copy", |stage| {
            Stage::run("cp", &[&stage.beside("-sync"), &stage.at("copy-sync")])?;
            Stage::run("mv", &[&stage.at("copy-sync"), &stage.beside("-sync")])
        }),
    ];
    cases.extend(programs());
    cases.extend(overwritten());
    cases
}

/// Other programs that have SQLite.
fn programs() -> [Case; 9] {
    [
        Case::new("checkpointed", |stage| stage.sql("PRAGMA wal_checkpoint(TRUNCATE)")),
        Case::new("checkpointed, and killed", |stage| stage.sql("PRAGMA wal_checkpoint(TRUNCATE)")).killed(),
        Case::new("vacuumed", |stage| stage.sql("VACUUM")),
        Case::new("vacuumed, and killed", |stage| stage.sql("VACUUM")).killed(),
        Case::new("read for long", |stage| stage.sql("BEGIN; SELECT count(*) FROM event")),
        Case {
            appends: [Expect::Error("Busy"), Expect::Well],
            ..Case::new("written to for long", |stage| stage.sql("BEGIN IMMEDIATE"))
        },
        Case::new("a table of another's", |stage| {
            stage.sql("CREATE TABLE theirs(x); INSERT INTO theirs VALUES (1)")
        }),
        Case {
            reads: Expect::Error("Corrupt"),
            home: Home::Gone,
            ..Case::new("an event deleted", |stage| stage.sql("DELETE FROM event WHERE position = 5"))
        },
        Case {
            reads: Expect::Error("Corrupt"),
            home: Home::Gone,
            ..Case::new("an event changed", |stage| {
                stage.sql("UPDATE event SET data = replace(data, 5, 6) WHERE position = 5")
            })
        },
    ]
}

/// Bytes written into the file that is open.
fn overwritten() -> [Case; 3] {
    const UNCERTAIN: [Expect; 2] = [Expect::Either; 2];
    let case = |name, act| Case {
        appends: UNCERTAIN,
        reads: Expect::Either,
        home: Home::Spoilt,
        ..Case::new(name, act)
    };
    [
        case("an old copy written over it", |stage| Stage::run("cp", &[&stage.old(), &stage.file])),
        Case {
            end: End::Killed,
            ..case("an old copy written over it, and killed", |stage| {
                Stage::run("cp", &[&stage.old(), &stage.file])
            })
        },
        case("cut short", |stage| {
            Ok(fs::OpenOptions::new().write(true).open(&stage.file)?.set_len(3 * 8_192)?)
        }),
    ]
}
