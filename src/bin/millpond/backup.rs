//! `backup`.

use std::path::Path;

use millpond::blocking::Store;
use serde_json::json;

use crate::failure::{Done, code};
use crate::show::{Show, grouped};

pub(crate) fn backup(store: &Store, to: &Path, show: &mut Show) -> Done<u8> {
    let bytes = store.backup(to)?;
    if show.is_json() {
        show.json(&json!({"backup": to.display().to_string(), "bytes": bytes}))?;
    } else {
        let (to, bytes) = (to.display(), grouped(bytes));
        show.line(&format!(
            "\"{to}\" holds the store as it was a moment ago, in {bytes} bytes; it was found sound"
        ))?;
    }
    Ok(code::DONE)
}
