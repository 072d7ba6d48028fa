//! Standard input, where a command takes its data from.

use std::io::{self, Read as _};

use crate::failure::{Done, Failure};

/// It is not read further than this: no event and no message is larger.
const INPUT_BYTES: u64 = 17 << 20;

/// All of it, as text.
pub(crate) fn read_input() -> Done<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    Ok(text)
}
