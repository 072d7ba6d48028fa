//! Old events in the shape of today: steps from one version of a content's shape to the next, done when an event is read.

use std::any::TypeId;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, PoisonError, RwLock};

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Data;
use millpond_actors::storage::stream::Recorded as Record;
use millpond_actors::thread::contain;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Aggregate;
use crate::codec::{self, Json};
use crate::reading::Described;

/// Brings a content from one version of its shape to the next, or says why it cannot.
pub type Upcast = fn(Json) -> std::result::Result<Json, String>;

/// How events that were recorded in an older shape are read.
///
/// Events are never rewritten. Each is recorded with the version of its content's shape, its *schema*; when one is read whose
/// schema is older than that of today, the steps from there on are done one after the other. The schema of today is one more
/// than the last step, and 1 for types without a step, so raising it is adding a step.
///
/// # Examples
/// ```
/// use millpond::Upcasts;
/// let upcasts = Upcasts::new()
///     // Until 2024 this type had another name,
///     .rename("AccountOpened", "Opened")
///     // at first there was only one currency,
///     .step("Opened", 1, |mut content| {
///         content["currency"] = "EUR".into();
///         Ok(content)
///     })
///     // and the owner was one text.
///     .step("Opened", 2, |mut content| {
///         let owner = content["owner"].take();
///         content["owners"] = vec![owner].into();
///         Ok(content)
///     });
/// assert_eq!(upcasts.schema("Opened"), 3);
/// upcasts.check()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is what `Aggregate::upcasts` gives"]
pub struct Upcasts {
    steps: BTreeMap<(Cow<'static, str>, u32), Upcast>,
    names: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
    /// What was said twice.
    twice: Vec<String>,
}

impl Upcasts {
    /// None: all events are read as they are.
    pub fn new() -> Upcasts {
        Upcasts::default()
    }

    /// Adds the step from this schema of an event type to the next. A panic in it is an error for whoever reads.
    pub fn step(mut self, event_type: impl Into<Cow<'static, str>>, from: u32, step: Upcast) -> Upcasts {
        let key = (event_type.into(), from);
        let shown = format!("two steps lead from schema {from} of \"{}\"", key.0);
        if self.steps.insert(key, step).is_some() {
            self.twice.push(shown);
        }
        self
    }

    /// Reads events of a type that has another name today under that name, with the schema that they have.
    pub fn rename(
        mut self,
        before: impl Into<Cow<'static, str>>,
        now: impl Into<Cow<'static, str>>,
    ) -> Upcasts {
        let before = before.into();
        let shown = format!("\"{before}\" has two new names");
        if self.names.insert(before, now.into()).is_some() {
            self.twice.push(shown);
        }
        self
    }

    /// The schema that events of this type have when they are recorded now.
    #[must_use]
    pub fn schema(&self, event_type: &str) -> u32 {
        let of_type = self.steps.keys().rev().find(|(name, _)| name == event_type);
        of_type.map_or(1, |(_, from)| from.saturating_add(1))
    }

    /// Whether every old event can be read: the steps of each type lead from 1 to today without a gap, and renamed types
    /// have no steps under their old names. An aggregate's are checked before its first call; this is for a test.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with what is missing.
    pub fn check(&self) -> Result<()> {
        let wrong = |reason: String| Err(Error::InvalidArgument { what: "upcasts".into(), reason });
        if let Some(twice) = self.twice.first() {
            return wrong(twice.clone());
        }
        for (event_type, from) in self.steps.keys() {
            if *from == 0 {
                return wrong(format!(
                    "a step of \"{event_type}\" leads from schema 0; the first schema is 1"
                ));
            }
            let before = from - 1;
            if before > 0 && !self.steps.contains_key(&(event_type.clone(), before)) {
                return wrong(format!("no step leads from schema {before} of \"{event_type}\" to {from}"));
            }
            if let Some(now) = self.names.get(event_type) {
                return wrong(format!("\"{event_type}\" is called \"{now}\" now; its steps belong there"));
            }
        }
        match self.names.iter().find(|(_, now)| self.names.contains_key(*now)) {
            Some((before, now)) => {
                wrong(format!("\"{before}\" is called \"{now}\", which has another name itself"))
            }
            None => Ok(()),
        }
    }

    /// Type and content of an event as they would be recorded today.
    fn upcast<'r>(&'r self, record: &'r Record) -> Result<(&'r str, Cow<'r, Data>)> {
        let event_type = self.names.get(record.event_type.as_str()).map_or(&*record.event_type, |now| now);
        let today = self.schema(event_type);
        let odd = |reason: String| Err(Error::Decode { what: Described(record).to_string(), reason });
        if record.schema == today {
            return Ok((event_type, Cow::Borrowed(&record.data)));
        }
        if record.schema > today || record.schema == 0 {
            return odd(format!("its schema is {}, this program knows schemas up to {today}", record.schema));
        }
        let Data::Json(_) = record.data else { return odd("its format is not JSON".into()) };
        let mut content = codec::from_data::<Json>(&Described(record), &record.data)?;
        for from in record.schema..today {
            let step = self.steps.get(&(Cow::Borrowed(event_type), from));
            let Some(step) = step else { return odd(format!("no step leads from schema {from}")) };
            let what = || format!("the step from schema {from} of {}", Described(record));
            content = match contain(what, || step(content))? {
                Ok(content) => content,
                Err(reason) => return odd(format!("the step from schema {from} failed: {reason}")),
            };
        }
        Ok((event_type, Cow::Owned(Data::Json(codec::to_json(&Described(record), &content)?))))
    }
}

/// The upcasts of an aggregate, made and checked once.
pub(crate) struct Shapes {
    upcasts: Upcasts,
    checked: Result<()>,
}

impl Shapes {
    fn new(upcasts: Upcasts) -> Shapes {
        Shapes { checked: upcasts.check(), upcasts }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.checked.clone()
    }

    /// Type, content and schema of an event as it is recorded today.
    pub(super) fn encode(&self, event: &impl Serialize) -> Result<(Cow<'static, str>, String, u32)> {
        let (event_type, content) = codec::split_event(event)?;
        let schema = self.upcasts.schema(&event_type);
        Ok((event_type, content, schema))
    }

    pub(super) fn decode<E: DeserializeOwned>(&self, record: &Record) -> Result<E> {
        let (event_type, data) = self.upcasts.upcast(record)?;
        codec::join_event(&Described(record), event_type, &data)
    }
}

static SHAPES: LazyLock<RwLock<HashMap<TypeId, &'static Shapes>>> = LazyLock::new(RwLock::default);

/// The upcasts of an aggregate type. There are as many types as the program has, so they are kept for good.
pub(super) fn shapes<A: Aggregate>() -> &'static Shapes {
    let key = TypeId::of::<A>();
    if let Some(shapes) = SHAPES.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return shapes;
    }
    let made: &'static Shapes = Box::leak(Box::new(Shapes::new(A::upcasts())));
    SHAPES.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(made)
}
