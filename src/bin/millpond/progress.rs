//! How far one has come: a bar on stderr, if that is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Of so many bytes, if that is known.
pub(crate) fn of_bytes(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => bar(ProgressBar::new(total), "{wide_bar} {bytes} of {total_bytes}, {eta} left"),
        None => bar(ProgressBar::no_length(), "{spinner} {bytes} in {elapsed}"),
    }
}

/// Of so many things.
pub(crate) fn of(total: u64) -> ProgressBar {
    bar(ProgressBar::new(total), "{wide_bar} {percent} %, {eta} left")
}

/// Of records, of which nobody knows how many come; what is done with them is its message.
pub(crate) fn of_records() -> ProgressBar {
    bar(ProgressBar::no_length(), "{spinner} {human_pos} records {msg}, {elapsed}")
}

fn bar(bar: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // A template that is wrong would only cost the bar its looks.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
