//! Pairs of scans: lists of them (a CSV file of one study a line), and both contrasts of a study on one grid.

use std::path::{Path, PathBuf};

use mrisynth::prepare::brain;
use mrisynth::prepare::normalize::{self, Scale};
use mrisynth::provenance::says_synthetic;
use mrisynth::{Contrast, Limits, Volume, nifti, plausible};
use ndarray::Array3;

use crate::data::raw;
use crate::error::Error;

const HEADER: &str = "id,patient,t1w,t2w";
/// Columns that may follow, in any order.
const STATE: &str = "state";
const LESIONS: &str = "lesions";
/// Corners of two grids that lie farther apart than this, in millimetres, are not on one grid.
const GRID_TOLERANCE: f64 = 0.01;

/// How much has been done to the scans of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: heads as they left the scanner.
    Raw,
    /// Bias-corrected, brain-extracted (background 0), on one grid along about the axes of MNI152.
    Prepared,
}

/// The scans of one study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// Names this study; unique within a list.
    pub id: String,
    /// Names the person; data are split by it.
    pub patient: String,
    /// The T1w scan.
    pub t1w: PathBuf,
    /// The T2w scan.
    pub t2w: PathBuf,
    /// How much has been done to both.
    pub state: State,
    /// A mask of lesions, if there is one: what is not 0, on the grid of a scan.
    pub lesions: Option<PathBuf>,
}

/// How scans are read and prepared.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Threads; 0: one a core.
    pub threads: usize,
    /// Note what looks implausible, where it would be refused.
    pub accept_implausible: bool,
}

impl ReadOptions {
    /// The doubts about something as notes, if they are to be accepted; else the error that they make.
    pub(crate) fn refuse_or_note(
        &self,
        doubts: Vec<String>,
        refusal: impl FnOnce(String) -> Error,
    ) -> Result<Vec<String>, Error> {
        if doubts.is_empty() || self.accept_implausible {
            return Ok(doubts.into_iter().map(|doubt| format!("accepted as asked: {doubt}")).collect());
        }
        Err(refusal(doubts.join("; ")))
    }
}

/// Both contrasts of one study on one grid.
#[derive(Clone, Debug)]
pub struct Pair {
    /// T1-weighted.
    pub t1w: Volume,
    /// T2-weighted.
    pub t2w: Volume,
    /// The brain of both.
    pub brain: Array3<bool>,
    /// The lesions, where the study has a mask of them.
    pub lesions: Option<Array3<bool>>,
    /// Which intensities of T1w and of T2w a generator sees as 0 and 1.
    pub scales: [Scale; 2],
    /// What was found on the way, and what needs a look; a sentence each.
    pub notes: Vec<String>,
}

impl Pair {
    /// The scan of one contrast.
    pub fn volume(&self, contrast: Contrast) -> &Volume {
        match contrast {
            Contrast::T1w => &self.t1w,
            Contrast::T2w => &self.t2w,
        }
    }
}

/// Where the columns stand that a list need not have.
struct Columns {
    state: Option<usize>,
    lesions: Option<usize>,
    count: usize,
}

impl Columns {
    /// None if the header is not one of a list.
    fn of(header: &str) -> Option<Self> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let further = names.strip_prefix(HEADER.split(',').collect::<Vec<_>>().as_slice())?;
        let place = |name| further.iter().position(|other| *other == name).map(|at| at + 4);
        let columns = Self { state: place(STATE), lesions: place(LESIONS), count: names.len() };
        // None twice, and no other.
        let known = usize::from(columns.state.is_some()) + usize::from(columns.lesions.is_some());
        (further.len() == known).then_some(columns)
    }
}

/// Reads a list: the header `id,patient,t1w,t2w`, then one study a line; paths are relative to the list's folder. A further
/// column `state` says `raw` or `prepared`; without it, `state` holds for all. A further column `lesions` names a mask, or
/// is empty.
///
/// # Errors
/// [`Error::Io`], or [`Error::Data`] with the line and its fault.
pub fn read_list(path: &Path, state: State) -> Result<Vec<PairFiles>, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let fault = |line: usize, fault: &str| Error::Data(format!("{}, line {line}: {fault}", path.display()));
    let mut lines =
        text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).filter(|(_, l)| !l.is_empty());
    let first = lines.next().map(|(_, line)| line).unwrap_or_default();
    let columns = Columns::of(first).ok_or_else(|| {
        fault(1, &format!("the first line must be {HEADER}, and perhaps ,{STATE} and ,{LESIONS}"))
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut list: Vec<PairFiles> = Vec::new();
    for (number, line) in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let ([id, patient, t1w, t2w, ..], true) = (&fields[..], fields.len() == columns.count) else {
            return Err(fault(number, &format!("{} fields instead of {}", fields.len(), columns.count)));
        };
        let field = |column: Option<usize>| column.and_then(|at| fields.get(at)).copied();
        let state = match field(columns.state) {
            Some("raw") => State::Raw,
            Some("prepared") => State::Prepared,
            Some(other) => return Err(fault(number, &format!("{other:?} is not raw or prepared"))),
            None => state,
        };
        let lesions = field(columns.lesions).filter(|name| !name.is_empty());
        if [id, patient, t1w, t2w].iter().any(|field| field.is_empty()) {
            return Err(fault(number, "an empty field"));
        }
        if list.iter().any(|pair| pair.id == *id) {
            return Err(fault(number, &format!("{id} is there already")));
        }
        list.push(PairFiles {
            id: (*id).into(),
            patient: (*patient).into(),
            t1w: folder.join(t1w),
            t2w: folder.join(t2w),
            state,
            lesions: lesions.map(|name| folder.join(name)),
        });
    }
    if list.is_empty() {
        return Err(fault(1, "no study"));
    }
    Ok(list)
}

impl PairFiles {
    /// All files of the study.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.t1w, &self.t2w].into_iter().chain(&self.lesions)
    }

    /// Both scans on one grid: as they are if they are prepared, else prepared by the library.
    ///
    /// # Errors
    /// [`Error::Library`] with the file for what cannot be read or the library refuses; [`Error::Study`] for scans that do
    /// not go together or are synthetic.
    pub fn read(&self, options: &ReadOptions) -> Result<Pair, Error> {
        let (t1w, t2w) = (self.read_scan(&self.t1w)?, self.read_scan(&self.t2w)?);
        let lesions = self.lesions.as_ref().map(|path| Ok::<_, Error>(self.read_image(path)?.volume));
        let lesions = lesions.transpose()?;
        match self.state {
            State::Raw => raw::pair(self, [&t1w, &t2w], lesions.as_ref(), options),
            State::Prepared => self.prepared(t1w, t2w, lesions.as_ref(), options),
        }
    }

    fn read_image(&self, path: &Path) -> Result<nifti::Image, Error> {
        nifti::read(path, &Limits::default()).map_err(|fault| match fault.kind() {
            // Too large for any scan: the fault is the file's, not the machine's.
            mrisynth::Error::OutOfMemory(_) => Error::study(&self.id, fault.to_string()),
            _ => fault.into(),
        })
    }

    fn read_scan(&self, path: &Path) -> Result<Volume, Error> {
        let image = self.read_image(path)?;
        if says_synthetic(image.header.description()) {
            let fault = format!("{} is synthetic, by its own description", path.display());
            return Err(Error::study(&self.id, fault));
        }
        plausible::check_image(&image.volume).map_err(|fault| fault.in_file(path))?;
        Ok(image.volume)
    }

    fn prepared(
        &self,
        t1w: Volume,
        t2w: Volume,
        lesions: Option<&Volume>,
        options: &ReadOptions,
    ) -> Result<Pair, Error> {
        if let Some(what) = grids_differ(&t1w, &t2w) {
            let (one, other) = (self.t1w.display(), self.t2w.display());
            return Err(Error::study(&self.id, format!("{one} and {other} must lie on one grid: {what}")));
        }
        if let Some(what) = lesions.and_then(|mask| grids_differ(mask, &t1w)) {
            return Err(Error::study(&self.id, format!("the lesions must lie on the scans' grid: {what}")));
        }
        let mut notes = Vec::new();
        for (volume, path) in [(&t1w, &self.t1w), (&t2w, &self.t2w)] {
            let doubts = plausible::doubts_about_prepared(volume, &brain::mask(volume.voxels()));
            let refusal = |text| mrisynth::Error::Refused(text).in_file(path).into();
            notes.extend(options.refuse_or_note(doubts, refusal)?);
        }
        let brain = either(&t1w, &t2w);
        let top = |volume: &Volume, path: &Path| -> Result<Scale, Error> {
            let high = normalize::top_intensity(volume, &brain).map_err(|fault| fault.in_file(path))?;
            Ok(Scale { low: 0.0, high })
        };
        let scales = [top(&t1w, &self.t1w)?, top(&t2w, &self.t2w)?];
        Ok(Pair { t1w, t2w, brain, lesions: lesions.map(not_zero), scales, notes })
    }
}

/// In what two volumes' grids differ; none if they are one.
pub(crate) fn grids_differ(one: &Volume, other: &Volume) -> Option<String> {
    if one.dims() != other.dims() {
        return Some(format!("{:?} and {:?} voxels", one.dims(), other.dims()));
    }
    let last = one.dims().map(|length| length as f64 - 1.0);
    (0..8_usize).find_map(|corner| {
        let index = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { last[axis] } else { 0.0 });
        let (a, b) = (one.affine().to_millimetres(index), other.affine().to_millimetres(index));
        let distance = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
        (distance > GRID_TOLERANCE).then(|| format!("{distance:.2} mm apart at a corner"))
    })
}

/// Where a mask's voxels are not 0.
pub(crate) fn not_zero(mask: &Volume) -> Array3<bool> {
    mask.voxels().mapv(|value| value != 0.0)
}

/// Where either contrast is not 0, holes filled.
fn either(t1w: &Volume, t2w: &Volume) -> Array3<bool> {
    let differs = |value: f32| value != 0.0;
    let either = ndarray::Zip::from(t1w.voxels())
        .and(t2w.voxels())
        .map_collect(|&a, &b| f32::from(u8::from(differs(a) || differs(b))));
    brain::mask(either.view())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(text: &str) -> Result<Vec<PairFiles>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.csv");
        std::fs::write(&path, text).unwrap();
        read_list(&path, State::Raw)
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
    fn lists_say_what_has_been_done_to_scans() {
        let list = list_of("id,patient,t1w,t2w,state\na,a,1,2,prepared\nb,b,3,4,raw\n").unwrap();
        assert_eq!((list[0].state, list[1].state), (State::Prepared, State::Raw));
    }

    #[test]
    fn lists_may_name_lesions() {
        let list =
            list_of("id,patient,t1w,t2w,lesions,state\na,a,1,2,x/l.nii,prepared\nb,b,3,4,,raw\n").unwrap();
        assert!(list[0].lesions.as_ref().unwrap().ends_with("x/l.nii") && list[1].lesions.is_none());
        assert_eq!((list[0].state, list[1].state), (State::Prepared, State::Raw));
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
            ("id,patient,t1w,t2w\na,p,c,d,raw\n", "5 fields instead of 4"),
            ("id,patient,t1w,t2w,state\na,p,c,d\n", "4 fields instead of 5"),
            ("id,patient,t1w,t2w,state\na,p,c,d,cooked\n", "\"cooked\" is not raw or prepared"),
            ("id,patient,t1w,t2w,lesions,lesions\na,p,c,d,e,e\n", "first line"),
            ("id,patient,t1w,t2w,mask\na,p,c,d,e\n", "first line"),
        ] {
            let fault = list_of(text).unwrap_err().to_string();
            assert!(fault.contains(word), "{fault}");
        }
    }
}
