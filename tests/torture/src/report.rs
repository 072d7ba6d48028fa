//! What comes of a program: its figures, which promises were broken, and the one line that tells of both.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The kinds of what a program can complain of.
pub trait Kind: Copy + Ord + Debug + 'static {
    /// All of them.
    const ALL: &'static [Self];
}

macro_rules! kinds {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$of:meta])+ $kind:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$of])+ $kind,)+
        }

        impl $crate::report::Kind for $name {
            const ALL: &'static [$name] = &[$($name::$kind),+];
        }
    };
}
pub(crate) use kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// An acknowledged event is missing, elsewhere, or not what it was (G1).
        Lost,
        /// Versions or positions are not dense, or two ways of reading differ (G2, A1).
        Hole,
        /// An event is there twice (G4).
        Twice,
        /// More held a lock at once than may, or a token went back (L1, L2, L3).
        Overlap,
        /// A call is there in part (G2).
        Torn,
        /// The file, or a record in it, is damaged (G14).
        Corrupt,
        /// The store cannot be opened or written (G7).
        Wedged,
        /// What was erased is there again.
        Shown,
        /// Somebody who wanted to write had too little of it, or had to wait for too long (G8).
        Starved,
        /// What was said not to have been applied is there (G3).
        Lie,
        /// What was unknown was settled, and is another now (G3).
        Unsettled,
        /// Of one group some failed and others did not (G6).
        Apart,
        /// A write failed, and neither an answer nor a figure tells of it (G13).
        Hidden,
        /// No one order of the commits explains what was read (G5).
        Order,
        /// Something is held, waited for or alive that belongs to nobody any more (L6, R1, G11).
        Leaked,
        /// A caller was not answered (G3, G10).
        Unanswered,
        /// A child got an error, or the file is damaged (G7).
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// All that was broken. As figures: how often each kind, and some of them in words.
#[derive(Clone, Debug)]
pub struct Violations<B = Broken>(Vec<(B, String)>);

impl<B: Kind> Violations<B> {
    /// How many are of these kinds.
    #[must_use]
    pub fn count(&self, which: &[B]) -> usize {
        self.iter().filter(|(broken, _)| which.contains(broken)).count()
    }

    /// Whether something was broken, and said in words that begin so.
    #[must_use]
    pub fn complain(&self, which: B, start: &str) -> bool {
        self.iter().any(|(broken, words)| *broken == which && words.starts_with(start))
    }

    /// Two of each kind.
    fn samples(&self) -> Vec<String> {
        let some = |kind: &B| {
            let kind = *kind;
            self.iter().filter(move |(broken, _)| *broken == kind).take(2)
        };
        let all = B::ALL.iter().flat_map(some);
        all.map(|(broken, words)| format!("{broken:?}: {words}")).collect()
    }
}

/// Spoils a copy of the evidence in each way: the mutants that are complained of as what they break. One that finds nothing to
/// spoil is not among them.
pub(crate) fn noticed<M: Copy, E: Clone, B: Kind>(
    mutants: impl IntoIterator<Item = M>,
    evidence: &E,
    spoil: impl Fn(M, &mut E) -> Option<()>,
    judge: impl Fn(&E) -> Vec<(B, String)>,
    breaks: impl Fn(M) -> B,
) -> Vec<M> {
    let is_noticed = |mutant: &M| {
        let mut spoilt = evidence.clone();
        let complaints = spoil(*mutant, &mut spoilt).map(|()| judge(&spoilt));
        complaints.is_some_and(|complaints| complaints.iter().any(|(broken, _)| *broken == breaks(*mutant)))
    };
    mutants.into_iter().filter(is_noticed).collect()
}

/// What must be said of a mutant.
pub trait Complaint<B> {
    /// Whether that was said.
    fn is_among(&self, violations: &Violations<B>) -> bool;
}

impl<B: Kind> Complaint<B> for B {
    fn is_among(&self, violations: &Violations<B>) -> bool {
        violations.count(&[*self]) > 0
    }
}

impl<B: Kind> Complaint<B> for (B, &str) {
    fn is_among(&self, violations: &Violations<B>) -> bool {
        violations.complain(self.0, self.1)
    }
}

/// Each of these.
impl<B, C: Complaint<B>> Complaint<B> for &[C] {
    fn is_among(&self, violations: &Violations<B>) -> bool {
        self.iter().all(|complaint| complaint.is_among(violations))
    }
}

impl<B> Default for Violations<B> {
    fn default() -> Violations<B> {
        Violations(Vec::new())
    }
}

impl<B> From<Vec<(B, String)>> for Violations<B> {
    fn from(all: Vec<(B, String)>) -> Violations<B> {
        Violations(all)
    }
}

impl<B> Deref for Violations<B> {
    type Target = Vec<(B, String)>;

    fn deref(&self) -> &Vec<(B, String)> {
        &self.0
    }
}

impl<B> DerefMut for Violations<B> {
    fn deref_mut(&mut self) -> &mut Vec<(B, String)> {
        &mut self.0
    }
}

impl<B> IntoIterator for Violations<B> {
    type Item = (B, String);
    type IntoIter = std::vec::IntoIter<(B, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<B: Kind> Serialize for Violations<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = |kind: &B| (format!("{kind:?}").to_lowercase(), self.count(&[*kind]));
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("broken", &B::ALL.iter().map(named).collect::<BTreeMap<_, _>>())?;
        map.serialize_entry("violations", &self.samples())?;
        map.end()
    }
}

/// The line that a program prints; if it ran with a mutant, also whether what that breaks was complained of.
///
/// # Errors
/// If its report is no set of figures.
pub fn line(name: &str, seed: u64, report: &impl Serialize, caught: Option<bool>) -> crate::Result<Value> {
    let mut line = serde_json::to_value(report)?;
    let figures = line.as_object_mut().ok_or("no figures")?;
    figures.insert("name".into(), name.into());
    figures.insert("seed".into(), seed.into());
    if let Some(caught) = caught {
        figures.insert(CAUGHT.into(), caught.into());
    }
    Ok(line)
}

/// Where the line of a mutant has it.
const CAUGHT: &str = "caught";

/// Whether the mutant was complained of for what it breaks, by the line.
#[must_use]
pub fn is_caught(line: &Value) -> bool {
    line.get(CAUGHT).and_then(Value::as_bool).unwrap_or(false)
}

/// Whether every promise was kept, by the line.
#[must_use]
pub fn is_kept(line: &Value) -> bool {
    line.get("violations").and_then(Value::as_array).is_some_and(Vec::is_empty)
}
