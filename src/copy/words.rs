//! What a record is called when it is told of.

use millpond_actors::storage::record::Record;

use crate::dump::{label, section_of};

/// As a person calls it: `"lamp" of dict "prices"`.
pub(super) fn of(record: &Record) -> String {
    let (kind, name) = label(record);
    let section = section_of(kind);
    match record {
        Record::Event(event) => {
            format!("event {} of stream \"{name}\" (position {})", event.version, event.position)
        }
        Record::Subscription { name: subscription, .. } => {
            format!("subscription \"{subscription}\" of {section} \"{name}\"")
        }
        Record::Message { message, .. } => format!("message {} of {section} \"{name}\"", message.sequence),
        Record::Schedule { schedule, .. } => format!("schedule \"{}\" of queue \"{name}\"", schedule.name),
        Record::Job { job, .. } => format!("job {} of queue \"{name}\"", job.sequence),
        Record::Entry { entry, .. } => format!("\"{}\" of dict \"{name}\"", entry.key),
        Record::Item { item, .. } => format!("the item with version {} of list \"{name}\"", item.version),
        Record::Blob { blob, .. } => format!("\"{}\" of blobs \"{name}\"", blob.key),
        Record::Chunk { key, sequence, .. } => format!("chunk {sequence} of \"{key}\" of blobs \"{name}\""),
        Record::Blobs { .. } => format!("blobs \"{name}\""),
        Record::Subject { .. }
        | Record::Stream { .. }
        | Record::Feed { .. }
        | Record::Queue { .. }
        | Record::Dict { .. }
        | Record::List { .. }
        | Record::Projection { .. } => format!("{section} \"{name}\""),
    }
}
