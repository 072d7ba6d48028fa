//! What the server is told to go by, each time for one transaction. Nothing of it outlives that: behind a pooler the next transaction on
//! the same connection may be somebody else's, and the next one of ours runs on another.

/// Statements are found by indexes, also while the server does not know yet how large tables have become.
const PLANS: &str = "set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)";

/// Whoever has vanished in the middle of a transaction does not keep what he has: the turn, or what others would like to clear away.
const PATIENCE: &str = "set_config('idle_in_transaction_session_timeout', '30s', true)";

/// Whoever used this connection before may have been content with less than what a commit of ours has to survive, and have left it so.
const CARE: &str =
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
    ELSE current_setting('synchronous_commit') END, true)";

/// For who only reads.
pub(super) fn reading() -> String {
    format!("SELECT {PLANS}, {PATIENCE}")
}

/// For who reads one moment for as long as he likes.
pub(super) fn gazing() -> String {
    format!("SELECT {PLANS}, set_config('idle_in_transaction_session_timeout', '0', true)")
}

/// For who writes, and says before everything else which process he is: so that it is known whose turn it is as soon as he has it. It
/// stands behind a SELECT, and more may follow.
pub(super) fn writing(process: u64, careful: bool) -> String {
    let name = if process > 0 { format!("millpond {process}") } else { "millpond".to_owned() };
    let care = if careful { format!(", {CARE}") } else { String::new() };
    format!("set_config('application_name', '{name}', true), {PLANS}, {PATIENCE}{care}")
}
