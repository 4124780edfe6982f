//! Ranks, tied values sharing the mean of theirs.

/// The ranks of a sample.
pub(super) struct Ranks {
    /// Each value's rank, from 1; tied values have the mean of the ranks that they take up.
    pub ranks: Vec<f64>,
    /// The sum of t^3 - t over all groups of t tied values, by which variances of rank sums are corrected.
    pub ties: f64,
}

/// Ranks finite values, those being tied that follow each other by no more than `tolerance`.
pub(super) fn rank(values: &[f64], tolerance: f64) -> Ranks {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut ties = 0.0;
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*b] - values[*a] <= tolerance) {
        let count = tied.len() as f64;
        // The mean of before + 1 to before + count.
        let shared = before as f64 + 0.5 * (count + 1.0);
        for &at in tied {
            ranks[at] = shared;
        }
        ties += count.powi(3) - count;
        before += tied.len();
    }
    Ranks { ranks, ties }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_values_share_their_ranks() {
        // scipy.stats.rankdata([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
        let ranks = rank(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0], 0.0);
        assert_eq!(ranks.ranks, [4.5, 1.5, 6.0, 1.5, 8.0, 11.0, 3.0, 10.0, 8.0, 4.5, 8.0]);
        assert_eq!(ranks.ties, 6.0 + 6.0 + 24.0);
    }

    #[test]
    fn rounding_makes_ties() {
        let values = [0.8 - 0.7, 0.5, 0.3 - 0.2];
        assert_eq!(rank(&values, 1e-12).ranks, [1.5, 3.0, 1.5]);
        assert_eq!(rank(&values, 0.0).ranks, [2.0, 3.0, 1.0]);
        assert_eq!(rank(&[0.0, -0.0], 0.0).ranks, [1.5, 1.5]);
        assert!(rank(&[], 0.0).ranks.is_empty());
    }
}
