//! How many files a server may have open, of which each connection is one.

use anyhow::{Context, ensure};

/// Of these none is a connection: segments, snapshots, the store, the datamart, look-ups in the journal, Kafka, metrics.
const OTHERS: u64 = 256;

/// And so many a processor: what the runtimes of its threads wait with.
const OF_A_PROCESSOR: u64 = 16;

/// Raises the limit as far as it goes without asking anybody; gives how many connections may be open at once. Whatever their number
/// is, a journal that has to begin a segment finds a file free for it.
pub fn connections() -> anyhow::Result<usize> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    left(limit, OTHERS + OF_A_PROCESSOR * processors)
}

fn left(limit: u64, others: u64) -> anyhow::Result<usize> {
    ensure!(
        limit > others,
        "{limit} files may be open at once, and {others} are kept for others than connections: nobody could connect\n    fix: raise the \
         limit (ulimit -Hn; LimitNOFILE= of systemd)"
    );
    Ok(usize::try_from(limit - others).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn some_files_are_for_no_connection() {
        for (limit, connections) in [(0, None), (256, None), (257, Some(1)), (1024, Some(768))] {
            assert_eq!(left(limit, 256).ok(), connections, "{limit}");
        }
        assert!(left(u64::MAX, 256).is_ok_and(|connections| connections > 1 << 20));
    }
}
