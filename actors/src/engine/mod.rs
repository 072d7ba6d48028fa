//! The contract's operations, done to tables: written once, for a store in memory and for databases that are told what has changed.
//!
//! Internal, as [`storage`](crate::storage) is. It is written to be obviously right: an operation looks for rows and puts rows, as
//! if there were nothing but maps. Where the tables lie elsewhere, it is run until all that it looks for is [here](table); what it
//! has put is then written there, a statement a table. Files in reading order: the tables (`gaps`, `table`, `store`, `counter`,
//! `living`), what is done to them (`process`, `lock`, `stream`, `import`, `erase`, `snapshot`, `subject`, `feed`, `subscription`,
//! `queue`, `job`, `schedule`, `projection`, `dict`, `dict_index`, `list`, `blob`, `change`, `record`), and which operation does
//! which of it (`tables`).

pub mod blob;
mod change;
pub mod counter;
pub mod dict;
pub mod dict_index;
mod erase;
pub mod feed;
pub mod gaps;
mod import;
pub mod job;
pub mod list;
pub mod living;
pub mod lock;
pub mod process;
pub mod projection;
pub mod queue;
mod record;
pub mod schedule;
mod snapshot;
pub mod store;
pub mod stream;
mod subject;
mod subscription;
mod summary;
pub mod table;
mod tables;

pub use self::store::{Caller, Store};
pub use self::tables::Operates;
