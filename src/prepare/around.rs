//! What lies around the voxels of a mask, row by row: quicker than asking each voxel for its 26 neighbours.

/// A mask's cells, i fastest, and how many there are along each axis.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) cells: &'a [bool],
    pub(super) dims: [usize; 3],
}

/// Of the voxels of one row and what touches them (27 voxels, fewer at the faces): whether any, and whether all, are in
/// the mask.
#[derive(Default)]
pub(super) struct Around {
    pub(super) any: Vec<bool>,
    pub(super) all: Vec<bool>,
    columns: Columns,
}

/// The same of the nine rows in each voxel's plane across the row.
#[derive(Default)]
struct Columns {
    any: Vec<bool>,
    all: Vec<bool>,
}

impl Around {
    /// Looks at the row at `j`, `k`. False if the row and all that touches it is alike; then nothing else is filled in.
    pub(super) fn look(&mut self, mask: Cells<'_>, j: usize, k: usize) -> bool {
        let [ni, nj, nk] = mask.dims;
        let Columns { any, all } = &mut self.columns;
        any.clear();
        any.resize(ni, false);
        all.clear();
        all.resize(ni, true);
        for kk in k.saturating_sub(1)..(k + 2).min(nk) {
            for jj in j.saturating_sub(1)..(j + 2).min(nj) {
                let row = &mask.cells[(kk * nj + jj) * ni..][..ni];
                any.iter_mut().zip(row).for_each(|(any, cell)| *any |= cell);
                all.iter_mut().zip(row).for_each(|(all, cell)| *all &= cell);
            }
        }
        if any.iter().all(|any| !any) || all.iter().all(|all| *all) {
            return false;
        }
        spread(any, &mut self.any, |a, b| a | b);
        spread(all, &mut self.all, |a, b| a & b);
        true
    }
}

/// Joins each entry with its neighbours.
fn spread(row: &[bool], onto: &mut Vec<bool>, join: impl Fn(bool, bool) -> bool) {
    onto.clear();
    onto.extend_from_slice(row);
    onto.iter_mut().skip(1).zip(row).for_each(|(joined, left)| *joined = join(*joined, *left));
    onto.iter_mut().zip(row.iter().skip(1)).for_each(|(joined, right)| *joined = join(*joined, *right));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_see_their_26_neighbours(
            dims in prop::array::uniform3(1_usize..6), pattern in 1_usize..50, turn in 1_usize..7,
        ) {
            let cells: Vec<bool> = (0..dims.iter().product()).map(|at: usize| at * pattern % 7 < turn).collect();
            let mask = Cells { cells: &cells, dims };
            let [ni, nj, nk] = dims;
            let mut around = Around::default();
            for (j, k) in (0..nk).flat_map(|k| (0..nj).map(move |j| (j, k))) {
                let differs = around.look(mask, j, k);
                for i in 0..ni {
                    let near = |at: usize, length: usize| at.saturating_sub(1)..(at + 2).min(length);
                    let touching: Vec<bool> = near(k, nk)
                        .flat_map(|k| near(j, nj).flat_map(move |j| near(i, ni).map(move |i| (k * nj + j) * ni + i)))
                        .map(|at| cells[at])
                        .collect();
                    let (any, all) = (touching.contains(&true), !touching.contains(&false));
                    if differs {
                        prop_assert_eq!((around.any[i], around.all[i]), (any, all));
                    } else {
                        prop_assert_eq!(any, all);
                    }
                }
            }
        }
    }
}
