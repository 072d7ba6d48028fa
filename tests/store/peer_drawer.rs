//! What a child of these tests does with dicts, lists and channels in a word or two.

use millpond::Result;
use millpond::blocking::{Dict, Store};

/// What it keeps from one command to the next.
#[derive(Default)]
pub(crate) struct Drawer {
    cached: Option<Dict<u64>>,
}

impl Drawer {
    /// Its answer, if it is a command of these.
    pub(crate) fn does(&mut self, store: &Store, words: &[&str]) -> Option<Result<String>> {
        Some(match *words {
            ["dict-set", name, key, n] => {
                store.dict(name).set(key, &n.parse::<u64>().unwrap()).map(|version| version.to_string())
            }
            ["dict-get-cached", name, key] => {
                let dict = self.cached.get_or_insert_with(|| store.dict::<u64>(name).cached());
                dict.get(key).map(|entry| entry.unwrap().to_string())
            }
            ["dict-hits"] => Ok(self.cached.as_ref().unwrap().cache_figures().unwrap().hits.to_string()),
            ["push-back", name, n] => {
                store.list(name).push_back(&n.parse::<u64>().unwrap()).map(|count| count.to_string())
            }
            ["pop-front", name] => store.list::<u64>(name).pop_front().map(|item| item.to_string()),
            ["publish", name, n] => {
                store.channel(name).publish(&n.parse::<u64>().unwrap()).map(|sequence| sequence.to_string())
            }
            _ => return None,
        })
    }
}
