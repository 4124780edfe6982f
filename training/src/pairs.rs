//! Lists of paired scans: a CSV file of one study a line, and the pairs it names.

use std::path::{Path, PathBuf};

use mrisynth::Limits;
use mrisynth::Volume;
use mrisynth::nifti;
use mrisynth::prepare::brain;
use ndarray::Array3;

use crate::error::Error;

const HEADER: &str = "id,patient,t1w,t2w";
/// Corners of two grids that lie farther apart than this, in millimetres, are not on one grid.
const GRID_TOLERANCE: f64 = 0.01;

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// Names this study; unique within a list.
    pub id: String,
    /// Names the person; data are split by it.
    pub patient: String,
    /// The T1w scan: bias-corrected, brain-extracted, background 0.
    pub t1w: PathBuf,
    /// The T2w scan on the same grid.
    pub t2w: PathBuf,
}

/// Both contrasts of one study on one grid.
pub struct Pair {
    /// T1-weighted.
    pub t1w: Volume,
    /// T2-weighted.
    pub t2w: Volume,
    /// Voxels where either contrast is not 0, holes filled.
    pub brain: Array3<bool>,
}

/// Reads a list: the header `id,patient,t1w,t2w`, then one study a line; paths are relative to the list's folder.
pub fn read_list(path: &Path) -> Result<Vec<PairFiles>, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let fault = |line: usize, fault: &str| Error::Data(format!("{}, line {line}: {fault}", path.display()));
    let mut lines =
        text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).filter(|(_, l)| !l.is_empty());
    if lines.next().map(|(_, line)| line) != Some(HEADER) {
        return Err(fault(1, &format!("the first line must be {HEADER}")));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut list: Vec<PairFiles> = Vec::new();
    for (number, line) in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [id, patient, t1w, t2w] = fields[..] else {
            return Err(fault(number, &format!("{} fields instead of 4", fields.len())));
        };
        if fields.iter().any(|field| field.is_empty()) {
            return Err(fault(number, "an empty field"));
        }
        if list.iter().any(|pair| pair.id == id) {
            return Err(fault(number, &format!("{id} is there already")));
        }
        list.push(PairFiles {
            id: id.into(),
            patient: patient.into(),
            t1w: folder.join(t1w),
            t2w: folder.join(t2w),
        });
    }
    if list.is_empty() {
        return Err(fault(1, "no study"));
    }
    Ok(list)
}

impl PairFiles {
    /// Reads both scans and checks that they share a grid and hold a brain.
    pub fn read(&self) -> Result<Pair, Error> {
        let read = |path: &Path| nifti::read(path, &Limits::default()).map(|image| image.volume);
        let (t1w, t2w) = (read(&self.t1w)?, read(&self.t2w)?);
        self.check_grids(&t1w, &t2w)?;
        if let Some(value) = t1w.as_slice().iter().chain(t2w.as_slice()).find(|value| !value.is_finite()) {
            return Err(Error::Data(format!("{}: a voxel is {value}", self.id)));
        }
        let either = ndarray::Zip::from(t1w.voxels())
            .and(t2w.voxels())
            .map_collect(|&a, &b| if a != 0.0 || b != 0.0 { 1.0 } else { 0.0 });
        let brain = brain::mask(either.view());
        if brain.iter().all(|inside| *inside) {
            return Err(Error::Data(format!("{}: no background; scans must be brain-extracted", self.id)));
        }
        Ok(Pair { t1w, t2w, brain })
    }

    fn check_grids(&self, t1w: &Volume, t2w: &Volume) -> Result<(), Error> {
        if t1w.dims() != t2w.dims() {
            return Err(Error::Data(format!(
                "{}: T1w has {:?} voxels and T2w {:?}; both must lie on one grid",
                self.id,
                t1w.dims(),
                t2w.dims()
            )));
        }
        let last = t1w.dims().map(|length| length as f64 - 1.0);
        for corner in 0..8_usize {
            let index = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { last[axis] } else { 0.0 });
            let (a, b) = (t1w.affine().to_millimetres(index), t2w.affine().to_millimetres(index));
            let distance = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
            if distance > GRID_TOLERANCE {
                return Err(Error::Data(format!(
                    "{}: the grids of T1w and T2w lie {distance:.2} mm apart at a corner",
                    self.id
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(text: &str) -> Result<Vec<PairFiles>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.csv");
        std::fs::write(&path, text).unwrap();
        read_list(&path)
    }

    #[test]
    fn lists_name_pairs_beside_them() {
        let list =
            list_of("id,patient,t1w,t2w\na_1, a, x/t1.nii.gz, x/t2.nii.gz\n\nb,b,t1.nii,t2.nii\n").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].id.as_str(), list[0].patient.as_str()), ("a_1", "a"));
        assert!(list[0].t1w.ends_with("x/t1.nii.gz") && list[0].t1w.is_absolute());
    }

    #[test]
    fn faults_name_their_line() {
        for (text, word) in [
            ("", "line 1"),
            ("id,patient,t1w,t2w\n", "no study"),
            ("id,t1w,t2w\na,b,c\n", "first line"),
            ("id,patient,t1w,t2w\na,b,c\n", "line 2: 3 fields"),
            ("id,patient,t1w,t2w\na,p,c,d\na,p,c,d\n", "line 3: a is there already"),
            ("id,patient,t1w,t2w\na,,c,d\n", "empty field"),
        ] {
            let fault = list_of(text).unwrap_err().to_string();
            assert!(fault.contains(word), "{fault}");
        }
    }
}
