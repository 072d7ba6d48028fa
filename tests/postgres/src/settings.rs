//! How careful a server is with what it has committed, and what else it is told.

/// What a server is started with. The default is one that survives its own end, but not that of its machine.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether what is committed is on disk, as it is on servers that matter.
    pub durable: bool,
    /// More of PostgreSQL's own settings, by name; they come last, and so they prevail.
    pub extra: Vec<(String, String)>,
}

/// Whatever else is set, it is not found by others, keeps everything in its folder, and has room for many tests at once.
const ALWAYS: [(&str, &str); 6] = [
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("dynamic_shared_memory_type", "mmap"),
    ("max_connections", "400"),
    ("shared_buffers", "64MB"),
    ("synchronous_commit", "on"),
];

/// Only a machine that ends shows the difference.
const NOT_DURABLE: [(&str, &str); 2] = [("fsync", "off"), ("full_page_writes", "off")];

impl Settings {
    /// As lines of `postgresql.conf`.
    pub(crate) fn configuration(&self) -> String {
        let not_durable: &[(&str, &str)] = if self.durable { &[] } else { &NOT_DURABLE };
        let extra = self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all = ALWAYS.iter().chain(not_durable).copied().chain(extra);
        all.map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''"))).collect()
    }
}
