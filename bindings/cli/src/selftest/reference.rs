//! What the self-test must come to: digests for each set of instructions, and voxels here and there for all others.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::Path;

use mrisynth::kernels::{TOLERANCE_BETWEEN_TIERS, Tier};
use mrisynth::nifti::{VoxelType, voxels_sha256};
use mrisynth::{Error, Result, Volume, whole_file};
use serde::{Deserialize, Serialize};

use super::road::Outcome;

const DIGESTS: &str = include_str!("../../data/selftest.json");
const SAMPLES: &[u8] = include_bytes!("../../data/selftest.samples");

/// Every so many voxels along each axis one is kept.
const STRIDE: usize = 4;
/// Kept as integers, of which this many make 1; none is over 2.
const STEPS: f32 = 32_000.0;

/// The images that are compared.
#[derive(Default, Deserialize, Serialize)]
pub struct Reference {
    /// By platform, tier and the processor's best tier, then by image: SHA-256 of the voxels as floats.
    digests: BTreeMap<String, BTreeMap<String, String>>,
    /// By image: where its samples begin, and how many there are.
    samples: BTreeMap<String, (usize, usize)>,
}

/// How far a sample may be from the reference where instructions differ, its own rounding included.
const TOLERANCE: f32 = TOLERANCE_BETWEEN_TIERS + 0.5 / STEPS;
/// One sample in so many may be farther, where a voxel at the brain's border falls on the other side.
const ONE_IN: usize = 1000;

/// The system that results of mathematical functions depend on.
pub fn platform() -> String {
    let library = if cfg!(target_env = "gnu") { "-gnu" } else { "" };
    format!("{ARCH}-{OS}{library}")
}

/// Under which name digests of this machine are kept. Where a tier is chosen that is not the processor's best, other code than
/// the kernels still takes the best.
fn machine() -> String {
    let best = Tier::available().next().map_or("none", Tier::name);
    format!("{}, {} on {best}", platform(), Tier::current_name())
}

impl Reference {
    /// The one inside this program.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is damaged.
    pub fn embedded() -> Result<Self> {
        serde_json::from_str(DIGESTS).map_err(|fault| Error::Internal(format!("the reference: {fault}")))
    }

    /// Compares an image: by its digest where there is one for this machine's instructions, else by its samples.
    ///
    /// # Errors
    /// [`Error::Internal`] if the reference does not fit the image.
    pub fn compare(&self, name: &str, image: &Volume) -> Outcome<()> {
        let known = self.digests.get(&machine()).and_then(|digests| digests.get(name));
        if known.is_some_and(|digest| *digest == digest_of(image)) {
            return Ok(("the bytes of the reference".into(), true, ()));
        }
        let Difference { largest, far, count } = self.difference(name, image)?;
        let apart = format!(
            "at most {largest:.1e} from the reference, {far} of {count} samples over {TOLERANCE:.0e}"
        );
        Ok(match known {
            Some(_) => (format!("other bytes than on this CPU tier before: {apart}"), false, ()),
            None => (apart, far <= count / ONE_IN, ()),
        })
    }

    fn difference(&self, name: &str, image: &Volume) -> Result<Difference> {
        let kept = self.samples.get(name).and_then(|&(first, count)| SAMPLES.get(first..first + 2 * count));
        let found: Vec<f32> = samples(image).collect();
        let Some(kept) = kept.filter(|kept| kept.len() == 2 * found.len()) else {
            return Err(Error::Internal(format!("the reference does not fit the {name} image")));
        };
        let kept = kept.as_chunks::<2>().0.iter().map(|&bytes| f32::from(u16::from_le_bytes(bytes)) / STEPS);
        let apart: Vec<f32> = kept.zip(&found).map(|(kept, found)| (kept - found).abs()).collect();
        Ok(Difference {
            largest: apart.iter().copied().fold(0.0, f32::max),
            // What is not a number is far off too.
            far: apart.iter().filter(|apart| apart.is_nan() || **apart > TOLERANCE).count(),
            count: apart.len(),
        })
    }
}

/// How far an image is from the samples of the reference.
struct Difference {
    largest: f32,
    far: usize,
    count: usize,
}

/// In the order of the voxels: i fastest.
fn samples(image: &Volume) -> impl Iterator<Item = f32> {
    let [ni, nj, nk] = image.dims();
    let every = |count: usize| (0..count).step_by(STRIDE);
    every(nk)
        .flat_map(move |k| every(nj).flat_map(move |j| every(ni).map(move |i| image.voxels()[[i, j, k]])))
}

fn digest_of(image: &Volume) -> String {
    voxels_sha256(image, VoxelType::Float32)
}

/// Makes these images the reference of this machine in the files of `folder`: their digests, and the samples for all machines.
///
/// # Errors
/// [`Error::Io`]; [`Error::Internal`] if the digests that are there are damaged.
pub fn write(folder: &Path, images: [(&'static str, &Volume); 3]) -> Result<()> {
    let path = folder.join("selftest.json");
    let mut reference = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(not_json)?,
        Err(_) => Reference::default(),
    };
    let mut kept = Vec::new();
    for (name, image) in images {
        let values: Vec<f32> = samples(image).collect();
        reference.samples.insert(name.into(), (kept.len(), values.len()));
        kept.extend(values.iter().flat_map(|value| ((value * STEPS).round() as u16).to_le_bytes()));
    }
    let digests = images.map(|(name, image)| (name.to_owned(), digest_of(image)));
    reference.digests.insert(machine(), digests.into());
    let text = serde_json::to_string_pretty(&reference).map_err(not_json)? + "\n";
    whole_file::write(&path, true, |out| out.write_all(text.as_bytes()))?;
    whole_file::write(&folder.join("selftest.samples"), true, |out| out.write_all(&kept))
}

fn not_json(fault: serde_json::Error) -> Error {
    Error::Internal(format!("the reference: {fault}"))
}
