//! Figures that have no floor beside them, but a bar.

use serde::Serialize;

use crate::show::grouped;

/// One line of a result.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) workload: &'static str,
    /// Processes, waiters or rounds.
    pub(super) size: u64,
    #[serde(flatten)]
    pub(super) figures: Kind,
    /// Whether the bar was reached.
    pub(super) reached: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Kind {
    /// With what a commit took in the same run, where there is one in it.
    Latency {
        p50_us: u64,
        p99_us: u64,
        max_us: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        commit_p50_us: Option<u64>,
    },
    Shares {
        per_second: u64,
        smallest_share: f64,
        longest_wait_us: u64,
    },
    Idle {
        seconds: f64,
        cpu_percent: f64,
    },
    Handoff {
        p50_us: u64,
        p99_us: u64,
        handoffs: u64,
        bytes_a_waiter: u64,
    },
    /// The same few and before many.
    Backlog {
        few_us: u64,
        many_us: u64,
        ratio: f64,
    },
    /// The same in something short and in something long.
    Against {
        few_us: u64,
        many_us: u64,
        ratio: f64,
    },
    Drain {
        per_second: u64,
    },
    /// Beside a bare scan of the same rows.
    Scan {
        per_second: u64,
        scan_per_second: u64,
        ratio: f64,
    },
    FanOut {
        deliveries_per_s: u64,
        last_p50_us: u64,
        bytes_a_subscriber: u64,
    },
}

impl Figures {
    /// The line for people.
    pub(super) fn in_words(&self) -> String {
        let words = match &self.figures {
            Kind::Latency { p50_us, p99_us, max_us, commit_p50_us } => format!(
                "p50 {} us, p99 {} us, longest {} us{}",
                grouped(*p50_us),
                grouped(*p99_us),
                grouped(*max_us),
                commit_p50_us.map_or(String::new(), |commit| format!(" (a commit: {} us)", grouped(commit)))
            ),
            Kind::Shares { per_second, smallest_share, longest_wait_us } => format!(
                "{}/s together, smallest share {smallest_share:.2} of the mean, longest wait {} us",
                grouped(*per_second),
                grouped(*longest_wait_us)
            ),
            Kind::Idle { seconds, cpu_percent } => {
                format!("{cpu_percent:.3} % of a core over {seconds:.0} s of waiting")
            }
            Kind::Handoff { p50_us, p99_us, handoffs, bytes_a_waiter } => format!(
                "p50 {} us, p99 {} us of {} hand-offs, {} bytes a waiter",
                grouped(*p50_us),
                grouped(*p99_us),
                grouped(*handoffs),
                grouped(*bytes_a_waiter)
            ),
            Kind::Backlog { few_us, many_us, ratio } => {
                format!("{} us, {} us before 100 jobs: {ratio:.2}", grouped(*many_us), grouped(*few_us))
            }
            Kind::Against { few_us, many_us, ratio } => {
                format!("{} us, {} us when there were few: {ratio:.2}", grouped(*many_us), grouped(*few_us))
            }
            Kind::Drain { per_second } => format!("{} jobs/s, each done and told so", grouped(*per_second)),
            Kind::Scan { per_second, scan_per_second, ratio } => format!(
                "{} events/s, a bare scan {}: {ratio:.2}",
                grouped(*per_second),
                grouped(*scan_per_second)
            ),
            Kind::FanOut { deliveries_per_s, last_p50_us, bytes_a_subscriber } => format!(
                "{} deliveries/s, the last has a message after {} us, {} bytes a subscriber",
                grouped(*deliveries_per_s),
                grouped(*last_p50_us),
                grouped(*bytes_a_subscriber)
            ),
        };
        let bar = if self.reached { "" } else { "  (missed)" };
        format!("{:<22}{:>8}  {words}{bar}", self.workload, grouped(self.size))
    }
}

/// Some times against what half of the commits of the same row took, and so much more.
pub(super) fn beside_commits(
    workload: &'static str,
    micros: Vec<u64>,
    mut commits: Vec<u64>,
    more_us: u64,
) -> Figures {
    commits.sort_unstable();
    let commit_p50_us = commits.get(commits.len() / 2).copied().unwrap_or(0);
    latency(workload, micros, Some(commit_p50_us), commit_p50_us.saturating_add(more_us), u64::MAX)
}

/// Half and nearly all of some times against their bars; what a commit took is told beside them.
pub(super) fn latency(
    workload: &'static str,
    mut micros: Vec<u64>,
    commit_p50_us: Option<u64>,
    p50_bar: u64,
    p99_bar: u64,
) -> Figures {
    micros.sort_unstable();
    let at = |part: usize| micros.get(micros.len().saturating_sub(1) * part / 100).copied().unwrap_or(0);
    let (p50_us, p99_us, max_us) = (at(50), at(99), at(100));
    let reached = p50_us <= p50_bar && p99_us <= p99_bar;
    Figures {
        workload,
        size: micros.len() as u64,
        figures: Kind::Latency { p50_us, p99_us, max_us, commit_p50_us },
        reached,
    }
}
