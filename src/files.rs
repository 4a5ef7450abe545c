//! How many files a server may have open, of which each connection is one.

use anyhow::{Context, ensure};

/// Of these none is a connection: segments, snapshots, the store, the datamart, what threads wait with, Kafka, metrics.
const OTHERS: u64 = 256;

/// Raises the limit as far as it goes without asking anybody; gives how many connections may be open at once. Whatever their number
/// is, a journal that has to begin a segment finds a file free for it.
pub fn connections() -> anyhow::Result<usize> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    left(limit)
}

fn left(limit: u64) -> anyhow::Result<usize> {
    ensure!(
        limit > OTHERS,
        "{limit} files may be open at once, and {OTHERS} are kept for others than connections: nobody could connect\n    fix: raise the \
         limit (ulimit -Hn; LimitNOFILE= of systemd)"
    );
    Ok(usize::try_from(limit - OTHERS).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn some_files_are_for_no_connection() {
        for (limit, connections) in [(0, None), (256, None), (257, Some(1)), (1024, Some(768))] {
            assert_eq!(left(limit).ok(), connections, "{limit}");
        }
        assert!(left(u64::MAX).is_ok_and(|connections| connections > 1 << 20));
    }
}
