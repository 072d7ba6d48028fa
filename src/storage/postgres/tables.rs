//! All tables: what is asked of them, and what is written to them.

use millpond_actors::engine::Store;
use millpond_actors::engine::counter::Counter;
use millpond_actors::engine::gaps::Edge;
use millpond_actors::error::Result;

use super::connection::{Connection, Step};
use super::param::Reading;
use super::shape::{Absorb, Question};
use super::{blob, dict, feed, list, lock, process, projection, queue, stream, turn};

/// Fetches all that was looked for and is not here, in one way there and back. What has to be done before that goes ahead of it.
pub(super) fn fetch<'a>(
    store: &mut Store,
    line: &Connection,
    oid: i32,
    before: impl IntoIterator<Item = Step<'a>>,
) -> Result<()> {
    let mut steps: Vec<Step<'_>> = before.into_iter().collect();
    let (ahead, asks_living) = (steps.len(), store.living.take_want());
    let mut absorbs: Vec<Absorb> = Vec::new();
    for question in ask(store) {
        steps.push(question.step);
        absorbs.push(question.absorb);
    }
    if asks_living {
        steps.push(Step::new(turn::living(oid), Vec::new()));
        absorbs.push(Box::new(|store, rows| {
            store.living.know(turn::read_living(rows)?);
            Ok(())
        }));
    }
    let answers = line.all(&steps)?;
    absorbs.into_iter().zip(answers.iter().skip(ahead)).try_for_each(|(absorb, rows)| absorb(store, rows))
}

/// Asks for all that was looked for and is not here.
fn ask(store: &mut Store) -> Vec<Question> {
    let mut questions = Vec::new();
    macro_rules! ask {
        ($($shape:expr)+) => { $( $shape.ask(store, &mut questions); )+ };
    }
    ask! {
        process::PROCESSES process::CHANGES process::SUBJECTS
        lock::LOCKS lock::LOCK_NAMES lock::TICKETS lock::USES
        stream::STREAMS stream::STREAM_NAMES stream::EVENTS stream::EVENT_IDS stream::VERSIONS stream::CATEGORIES
        stream::SNAPSHOTS
        feed::FEEDS feed::FEED_NAMES feed::MESSAGES feed::CURSORS feed::ACKNOWLEDGED
        queue::QUEUES queue::QUEUE_NAMES queue::JOBS queue::SCHEDULES
        projection::PROJECTIONS
        dict::DICTS dict::DICT_NAMES dict::VALUES dict::ENDS dict::INDEXES dict::INDEXED
        list::LISTS list::LIST_NAMES list::ITEMS list::NODES
        blob::BLOB_ROWS blob::BLOB_NAMES blob::BLOB blob::CONTENTS blob::CHUNKS
    }
    queue::ask_spots(store, &mut questions);
    ask_counters(store, &mut questions);
    questions
}

/// All counters are one row. Whoever has the turn has read it.
fn ask_counters(store: &mut Store, questions: &mut Vec<Question>) {
    if store.counters.wants().is_empty() {
        return;
    }
    let absorb: Absorb = Box::new(|store, rows| {
        let counters: Vec<i64> = rows.first().map_or(Ok(Vec::new()), |row| Reading::of(row).next())?;
        for (counter, value) in Counter::ALL.into_iter().zip(counters) {
            store.counters.fetched(counter, value.cast_unsigned());
        }
        store.counters.know(Edge::First, Edge::Last);
        Ok(())
    });
    questions.push(Question { step: Step::new("SELECT counters FROM @store", Vec::new()), absorb });
}

/// Writes all that the transaction has changed: for each table a statement for what is to be there and one for what is to go, however
/// much that is.
pub(super) fn save(store: &Store) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    macro_rules! save {
        ($($plan:expr)+) => { $( $plan.save(store, &mut steps); )+ };
    }
    save! {
        process::PROCESS_PLAN process::CHANGE_PLAN process::SUBJECT_PLAN
        lock::LOCK_PLAN lock::TICKET_PLAN lock::USE_PLAN
        stream::STREAM_PLAN stream::EVENT_PLAN stream::SNAPSHOT_PLAN
        feed::FEED_PLAN feed::MESSAGE_PLAN feed::CURSOR_PLAN feed::ACKNOWLEDGED_PLAN
        queue::QUEUE_PLAN queue::JOB_PLAN queue::SCHEDULE_PLAN
        projection::PROJECTION_PLAN
        dict::DICT_PLAN dict::VALUE_PLAN dict::INDEX_PLAN dict::INDEXED_PLAN
        list::LIST_PLAN list::ITEM_PLAN list::NODE_PLAN
        blob::BLOBS_PLAN blob::BLOB_PLAN blob::CONTENT_PLAN blob::CHUNK_PLAN
    }
    steps
}
