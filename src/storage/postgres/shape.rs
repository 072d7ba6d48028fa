//! How tables of the engine lie in tables of the server: what is fetched of them, and what is written.

use millpond_actors::engine::Store;
use millpond_actors::engine::gaps::{Edge, Want};
use millpond_actors::engine::table::{Change, Table};
use millpond_actors::error::Result;
use tokio_postgres::Row;

use super::connection::Step;
use super::param::{Columns, Param};

/// Where the rows of a table are looked for.
pub(super) struct Shape<K: 'static, V: 'static> {
    /// A SELECT that ends within its WHERE.
    pub(super) select: &'static str,
    /// What its key is made of.
    pub(super) keys: &'static [&'static str],
    pub(super) table: fn(&mut Store) -> &mut Table<K, V>,
    /// The parts of a key.
    pub(super) parts: fn(&K) -> Vec<Param<'static>>,
    /// Puts a row where it belongs, in this table and in others that it says something of, and tells its key.
    pub(super) take: fn(&mut Store, &Row) -> Result<K>,
    /// So many rows are fetched at once at most: they may be large.
    pub(super) most: usize,
}

/// Puts the rows of a question where they belong.
pub(super) type Absorb = Box<dyn FnOnce(&mut Store, &[Row]) -> Result<()>>;

/// What has to be asked, and what to do with the answer.
pub(super) struct Question {
    pub(super) step: Step<'static>,
    pub(super) absorb: Absorb,
}

impl<K: Ord + Clone + 'static, V: Clone + 'static> Shape<K, V> {
    /// Asks for what was wanted and is not here: one statement for all single rows, and one a range.
    pub(super) fn ask(&'static self, store: &mut Store, questions: &mut Vec<Question>) {
        let mut keys = Vec::new();
        for want in (self.table)(store).wants() {
            match want.key() {
                Some(key) => keys.push(key.clone()),
                None => questions.push(self.ask_range(want)),
            }
        }
        if !keys.is_empty() {
            questions.push(self.ask_rows(keys));
        }
    }

    /// Asks for one row.
    pub(super) fn question(&'static self, key: K) -> Question {
        self.ask_rows(vec![key])
    }

    fn ask_rows(&'static self, keys: Vec<K>) -> Question {
        let mut columns: Vec<Param<'static>> = Vec::new();
        keys.iter().for_each(|key| add(&mut columns, (self.parts)(key)));
        let sql = format!("{} AND {}", self.select, within(self.keys, &columns));
        let absorb: Absorb = Box::new(move |store, rows| {
            rows.iter().try_for_each(|row| (self.take)(store, row).map(drop))?;
            for key in keys {
                (self.table)(store).know(Edge::Before(key.clone()), Edge::After(key));
            }
            Ok(())
        });
        Question { step: Step::new(sql, columns), absorb }
    }

    /// Asks for a range.
    pub(super) fn ask_range(&'static self, want: Want<K>) -> Question {
        let Want { from, to, backward, most } = want;
        let most = most.min(self.most);
        let mut params = Vec::new();
        let mut sql = format!("{}{}", self.select, self.between(&from, &to, &mut params));
        let direction = if backward { " DESC" } else { "" };
        let order: Vec<String> = self.keys.iter().map(|key| format!("{key}{direction}")).collect();
        params.push(Param::Int(most as i64));
        sql += &format!(" ORDER BY {} LIMIT ${}", order.join(", "), params.len());
        let absorb: Absorb = Box::new(move |store, rows| {
            let mut last = None;
            for row in rows {
                last = Some((self.take)(store, row)?);
            }
            let more = rows.len() >= most;
            let (from, to) = match (last.filter(|_| more), backward) {
                (None, _) => (from, to),
                (Some(last), false) => (from, Edge::After(last)),
                (Some(last), true) => (Edge::Before(last), to),
            };
            (self.table)(store).know(from, to);
            Ok(())
        });
        Question { step: Step::new(sql, params), absorb }
    }

    /// The condition of a range. What the keys of both its ends have in common at their beginning is said once, so that an index is
    /// found for it.
    fn between(&self, from: &Edge<K>, to: &Edge<K>, params: &mut Vec<Param<'static>>) -> String {
        let (low, high) = (edge(from, true), edge(to, false));
        let (low_parts, high_parts) =
            (low.map(|(_, key)| (self.parts)(key)), high.map(|(_, key)| (self.parts)(key)));
        let common = match (&low_parts, &high_parts) {
            (Some(low), Some(high)) => {
                low.iter().zip(high).take_while(|(one, other)| same(one, other)).count()
            }
            _ => 0,
        };
        let mut sql = String::new();
        let common = common.min(self.keys.len() - 1);
        for (key, part) in self.keys.iter().zip(low_parts.iter().flatten()).take(common) {
            params.push(part.clone());
            sql += &format!(" AND {key} = ${}", params.len());
        }
        for (end, parts) in [(low, low_parts), (high, high_parts)] {
            let (Some((sign, _)), Some(parts)) = (end, parts) else { continue };
            let keys: Vec<&str> = self.keys.iter().skip(common).copied().collect();
            let marks: Vec<String> = parts
                .into_iter()
                .skip(common)
                .map(|part| {
                    params.push(part);
                    format!("${}", params.len())
                })
                .collect();
            sql += &format!(" AND ({}) {sign} ({})", keys.join(", "), marks.join(", "));
        }
        sql
    }
}

fn edge<K>(edge: &Edge<K>, low: bool) -> Option<(&'static str, &K)> {
    match (edge, low) {
        (Edge::First | Edge::Last, _) => None,
        (Edge::Before(key), true) => Some((">=", key)),
        (Edge::After(key), true) => Some((">", key)),
        (Edge::Before(key), false) => Some(("<", key)),
        (Edge::After(key), false) => Some(("<=", key)),
    }
}

fn same(one: &Param<'_>, other: &Param<'_>) -> bool {
    match (one, other) {
        (Param::Int(one), Param::Int(other)) => one == other,
        (Param::Text(one), Param::Text(other)) => one == other,
        (Param::Uuid(one), Param::Uuid(other)) => one == other,
        (Param::Bytes(one), Param::Bytes(other)) => one.0 == other.0,
        _ => false,
    }
}

/// Adds a key to columns, of which each has one part of all keys.
fn add<'a>(columns: &mut Vec<Param<'a>>, parts: Vec<Param<'a>>) {
    for (at, part) in parts.into_iter().enumerate() {
        match columns.get_mut(at) {
            Some(column) => column.push(part),
            None => columns.push(part.column()),
        }
    }
}

/// The rows whose columns these are.
fn rows_of(columns: &[Param<'_>]) -> String {
    let marks: Vec<String> =
        columns.iter().enumerate().map(|(at, column)| format!("${}::{}[]", at + 1, column.kind())).collect();
    format!("unnest({})", marks.join(", "))
}

/// That the keys are among those whose parts are these columns.
fn within(keys: &[&str], columns: &[Param<'_>]) -> String {
    match (keys, columns) {
        ([key], [_]) => format!("{key} = ANY($1)"),
        _ => format!("({}) IN (SELECT * FROM {})", keys.join(", "), rows_of(columns)),
    }
}

/// How the rows of a table are written.
pub(super) struct Plan<K: 'static, V: 'static> {
    pub(super) name: &'static str,
    /// The columns, those of the key first.
    pub(super) columns: &'static [&'static str],
    /// So many of them are the key.
    pub(super) keys: usize,
    pub(super) table: fn(&Store) -> &Table<K, V>,
    /// The parts of a key.
    pub(super) parts: fn(&K) -> Vec<Param<'static>>,
    /// The values of a row, in the order of the columns.
    pub(super) write: for<'a> fn(&'a Store, &'a K, &'a V, &mut Columns<'a>),
    /// What is new has a key that nothing had before: it need not be looked whether something has.
    pub(super) appended: bool,
}

impl<K: Ord + Clone, V: Clone> Plan<K, V> {
    /// Writes what the transaction has changed: one statement for what is to be there, and one for what is to go.
    pub(super) fn save<'a>(&self, store: &'a Store, steps: &mut Vec<Step<'a>>) {
        let (mut columns, mut fresh) = (Columns::default(), Columns::default());
        let mut gone: Vec<Param<'a>> = Vec::new();
        for (key, Change { row, is_new }) in (self.table)(store).changes() {
            let Some(row) = row else {
                add(&mut gone, (self.parts)(key));
                continue;
            };
            let columns = if is_new && self.appended { &mut fresh } else { &mut columns };
            (self.write)(store, key, row, columns.row());
        }
        let keys = self.columns.get(..self.keys).unwrap_or_default();
        if !gone.is_empty() {
            steps.push(Step::new(format!("DELETE FROM @{} WHERE {}", self.name, within(keys, &gone)), gone));
        }
        for (columns, appended) in [(fresh, true), (columns, false)] {
            let params = columns.params();
            if !params.is_empty() {
                steps.push(Step::new(self.insert(keys, &params, appended), params));
            }
        }
    }

    fn insert(&self, keys: &[&str], params: &[Param<'_>], appended: bool) -> String {
        let set: Vec<String> = self
            .columns
            .iter()
            .skip(self.keys)
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let otherwise =
            if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        let (columns, rows) = (self.columns.join(", "), rows_of(params));
        let insert = format!("INSERT INTO @{} ({columns}) SELECT * FROM {rows}", self.name);
        match appended {
            true => insert,
            false => format!("{insert} ON CONFLICT ({}) DO {otherwise}", keys.join(", ")),
        }
    }
}
