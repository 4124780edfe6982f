//! Writing: a volume to a NIfTI file that appears whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use nifti::NiftiType;

use super::header::{DESCRIPTION_BYTES, Header, StoredVoxels, farthest_corner};
use super::{extension, gzip};
use crate::{Error, Result, Volume, digest, whole_file};

/// How far, in millimetres, a volume's corners may be from where the header puts them: rounding, not another place.
const SAME_PLACE_WITHIN: f64 = 1e-3;
/// Largest text of an extension, in bytes.
const MAX_EXTENSION_TEXT: usize = 1 << 20;
/// Voxels that are encoded at a time. Its size decides the bytes of a gzip file.
const CHUNK_VOXELS: usize = 1 << 18;

/// The voxel types that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VoxelType {
    /// Unsigned 8-bit integers.
    Uint8,
    /// Signed 16-bit integers.
    Int16,
    /// Unsigned 16-bit integers.
    Uint16,
    /// Single-precision numbers.
    Float32,
    /// Double-precision numbers.
    Float64,
    /// Unsigned 8-bit integers that are labels (a mask's 0 and 1): stored as they are, not on a scale.
    Label,
}

impl VoxelType {
    const ALL: [Self; 6] =
        [Self::Uint8, Self::Int16, Self::Uint16, Self::Float32, Self::Float64, Self::Label];

    /// The type's name in options and records; `label` for [`VoxelType::Label`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int16 => "int16",
            Self::Uint16 => "uint16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Label => "label",
        }
    }

    /// The type of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|voxel_type| voxel_type.name() == name)
    }

    /// The stored integer that means 1.0, or None for a type that stores values as they are.
    ///
    /// Integer types hold values in 0..=1, in steps of 1/255 or 1/1000; what is outside is clamped, and what is not a
    /// number becomes 0.
    pub fn full_scale(self) -> Option<f32> {
        match self {
            Self::Uint8 => Some(255.0),
            Self::Int16 | Self::Uint16 => Some(1000.0),
            Self::Float32 | Self::Float64 | Self::Label => None,
        }
    }

    fn datatype(self) -> NiftiType {
        match self {
            Self::Uint8 | Self::Label => NiftiType::Uint8,
            Self::Int16 => NiftiType::Int16,
            Self::Uint16 => NiftiType::Uint16,
            Self::Float32 => NiftiType::Float32,
            Self::Float64 => NiftiType::Float64,
        }
    }

    /// Appends the bytes of a value, little-endian.
    fn encode(self, value: f32, bytes: &mut Vec<u8>) {
        // A cast takes NaN to 0.
        let stored =
            self.full_scale().map_or(value, |scale| (value.clamp(0.0, 1.0) * scale).round_ties_even());
        match self {
            Self::Uint8 => bytes.push(stored as u8),
            Self::Int16 => bytes.extend((stored as i16).to_le_bytes()),
            Self::Uint16 => bytes.extend((stored as u16).to_le_bytes()),
            Self::Float32 => bytes.extend(stored.to_le_bytes()),
            Self::Float64 => bytes.extend(f64::from(stored).to_le_bytes()),
            // A cast keeps within 0 to 255.
            Self::Label => bytes.push(stored.round_ties_even() as u8),
        }
    }
}

/// How to write a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions<'a> {
    /// The type that voxels are stored in.
    pub voxel_type: VoxelType,
    /// Free text for the header, at most 79 bytes.
    pub description: &'a str,
    /// Text for a NIfTI extension of code 6 (comment), at most 1 MiB.
    pub extension: Option<&'a str>,
    /// Whether an existing file may be replaced.
    pub overwrite: bool,
}

/// Writes `volume` as a single three-dimensional NIfTI file, gzipped if `path` ends in `.nii.gz`, plain if in `.nii`.
///
/// Format version, qform, sform, codes, units and slice timing are those of `template`. The file is written beside
/// its place, brought to the disk and then renamed, so that `path` is never a partial file; equal arguments give equal
/// bytes. Gzip files are compressed on all threads of the current pool of rayon.
///
/// # Errors
/// [`Error::InvalidArgument`] if the name ends otherwise, a text is too long or holds a NUL, `template` describes
/// another place than the volume's affine, or an axis is too long for NIfTI-1; [`Error::Io`] if writing fails, or the
/// file exists and may not be replaced.
pub fn write(path: &Path, volume: &Volume, template: &Header, options: &WriteOptions<'_>) -> Result<()> {
    let file = Contents::new(path, volume, template, options).map_err(|fault| fault.in_file(path))?;
    whole_file::check_place(path)?;
    if !options.overwrite && path.symlink_metadata().is_ok() {
        return Err(whole_file::already_exists(path));
    }
    whole_file::write(path, options.overwrite, |out| file.write_to(out))
}

/// What a file is to hold.
struct Contents<'a> {
    gzipped: bool,
    /// All that comes before the voxels.
    prelude: Vec<u8>,
    chunks: Vec<&'a [f32]>,
    voxel_type: VoxelType,
}

impl<'a> Contents<'a> {
    fn new(path: &Path, volume: &'a Volume, template: &Header, options: &WriteOptions<'_>) -> Result<Self> {
        Ok(Self {
            gzipped: is_gzip_name(path)?,
            prelude: prelude(volume, template, options)?,
            chunks: volume.as_slice().chunks(CHUNK_VOXELS).collect(),
            voxel_type: options.voxel_type,
        })
    }

    fn write_to(&self, mut out: &mut dyn Write) -> io::Result<()> {
        let count = 1 + self.chunks.len();
        if self.gzipped {
            return gzip::write(&mut out, count, |number| self.block(number));
        }
        (0..count).try_for_each(|number| out.write_all(&self.block(number)))
    }

    /// The file's bytes, a block at a time; the header is a block of its own.
    fn block(&self, number: usize) -> Vec<u8> {
        match number.checked_sub(1) {
            None => self.prelude.clone(),
            Some(chunk) => encoded(self.chunks[chunk], self.voxel_type),
        }
    }
}

/// True for `.nii.gz`, false for `.nii`.
fn is_gzip_name(path: &Path) -> Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".nii.gz") {
        Ok(true)
    } else if name.ends_with(".nii") {
        Ok(false)
    } else {
        Err(Error::InvalidArgument("the output's name must end in .nii or .nii.gz".into()))
    }
}

/// All that comes before the voxels.
fn prelude(volume: &Volume, template: &Header, options: &WriteOptions<'_>) -> Result<Vec<u8>> {
    check_text(options.description, DESCRIPTION_BYTES - 1)?;
    check_text(options.extension.unwrap_or_default(), MAX_EXTENSION_TEXT)?;
    if !template.is_nifti2() && volume.dims().iter().any(|&voxels| voxels > i16::MAX as usize) {
        return Err(Error::InvalidArgument(format!("{:?} voxels are too many for NIfTI-1", volume.dims())));
    }
    let distance = farthest_corner(&template.affine()?, volume.affine(), volume.dims());
    if distance > SAME_PLACE_WITHIN {
        let message = format!("the volume lies {distance:.3} mm from where the header to write would put it");
        return Err(Error::InvalidArgument(message));
    }
    let extensions = extension::encode(options.extension);
    let voxels = StoredVoxels {
        dims: volume.dims(),
        datatype: options.voxel_type.datatype(),
        offset: template.version().header_bytes() + extensions.len(),
        slope: options.voxel_type.full_scale().map_or(1.0, |scale| 1.0 / f64::from(scale)),
    };
    let mut prelude = template.to_bytes(&voxels, options.description);
    prelude.extend(extensions);
    Ok(prelude)
}

fn check_text(text: &str, max_bytes: usize) -> Result<()> {
    if text.len() > max_bytes {
        let message = format!("a text of {} bytes for the header, which holds {max_bytes}", text.len());
        return Err(Error::InvalidArgument(message));
    }
    if text.contains('\0') {
        return Err(Error::InvalidArgument("a text for the header with a NUL in it".into()));
    }
    Ok(())
}

/// The SHA-256, in hexadecimal, of the bytes of `volume`'s voxels as [`write`] stores them: i fastest, little-endian, and
/// before any compression.
pub fn voxels_sha256(volume: &Volume, voxel_type: VoxelType) -> String {
    digest::sha256_of_parts(volume.as_slice().chunks(CHUNK_VOXELS).map(|chunk| encoded(chunk, voxel_type)))
}

/// The bytes of some voxels.
fn encoded(voxels: &[f32], voxel_type: VoxelType) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(voxels.len() * voxel_type.datatype().size_of());
    voxels.iter().for_each(|&value| voxel_type.encode(value, &mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::{Faulty, LASTING};
    use crate::{Affine, Grid};

    fn encoded(voxel_type: VoxelType, value: f32) -> Vec<u8> {
        super::encoded(&[value], voxel_type)
    }

    #[test]
    fn integers_are_rounded_and_clamped() {
        assert_eq!(encoded(VoxelType::Uint8, 0.5), [128]);
        assert_eq!(encoded(VoxelType::Uint8, 2.0), [255]);
        assert_eq!(encoded(VoxelType::Uint8, f32::NAN), [0]);
        assert_eq!(encoded(VoxelType::Int16, 1.0), 1000_i16.to_le_bytes());
        assert_eq!(encoded(VoxelType::Int16, -0.1), [0, 0]);
        // 0.0625 is 62.5 steps, and the even neighbour is 62; 0.1875 is 187.5, and the even one 188.
        assert_eq!(encoded(VoxelType::Uint16, 0.0625), 62_u16.to_le_bytes());
        assert_eq!(encoded(VoxelType::Uint16, 0.1875), 188_u16.to_le_bytes());
        assert_eq!(encoded(VoxelType::Float32, -3.5), (-3.5_f32).to_le_bytes());
        for (value, label) in [(1.0, 1), (0.0, 0), (-3.0, 0), (300.0, 255), (f32::NAN, 0)] {
            assert_eq!(encoded(VoxelType::Label, value), [label]);
        }
    }

    #[test]
    fn types_have_names() {
        for voxel_type in VoxelType::ALL {
            assert_eq!(VoxelType::named(voxel_type.name()), Some(voxel_type));
        }
        assert_eq!(VoxelType::named("complex64"), None);
    }

    #[test]
    fn the_digest_is_of_the_stored_bytes() {
        let voxels = ndarray::Array3::from_shape_fn((2, 1, 1), |(i, _, _)| i as f32);
        let affine = crate::Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
        let volume = Volume::new(voxels, affine).unwrap();
        for (voxel_type, bytes) in [
            (VoxelType::Uint8, vec![0, 255]),
            (VoxelType::Int16, vec![0, 0, 0xe8, 3]),
            (VoxelType::Label, vec![0, 1]),
        ] {
            assert_eq!(voxels_sha256(&volume, voxel_type), digest::sha256(&bytes));
        }
    }

    #[test]
    fn only_the_end_of_the_name_counts() {
        assert!(!is_gzip_name(Path::new("scan.1.5mm.nii")).unwrap());
        assert!(is_gzip_name(Path::new("Scan.NII.GZ")).unwrap());
        for name in ["scan.hdr", "scan.img", "scan.gz", "nii", "", "scan.nii.gz/.."] {
            assert!(matches!(is_gzip_name(Path::new(name)), Err(Error::InvalidArgument(_))), "{name}");
        }
    }

    fn small_volume() -> Volume {
        let affine = Affine::from_sizes([1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]).unwrap();
        let mut volume = Volume::zeros(&Grid { dims: [7, 5, 3], affine }).unwrap();
        (0..).zip(volume.as_mut_slice()).for_each(|(at, voxel)| *voxel = (at * at % 97) as f32 / 96.0);
        volume
    }

    #[test]
    fn a_disk_that_fails_at_any_byte_leaves_the_old_image() {
        let (folder, volume) = (tempfile::tempdir().unwrap(), small_volume());
        let header = Header::for_grid(&volume.grid());
        let options = WriteOptions {
            voxel_type: VoxelType::Int16,
            description: "a test",
            extension: Some("an extension"),
            overwrite: true,
        };
        for name in ["a.nii", "a.nii.gz"] {
            let path = folder.path().join(name);
            super::write(&path, &volume, &header, &options).unwrap();
            let whole = std::fs::read(&path).unwrap();
            let contents = Contents::new(&path, &volume, &header, &options).unwrap();
            std::fs::write(&path, "old").unwrap();
            let write = |disk: &dyn Fn(&std::fs::File) -> Box<dyn whole_file::Disk + '_>| {
                whole_file::write_through(&path, true, |out| contents.write_to(out), disk)
            };
            for at in 0..whole.len() {
                let (fault, errno) = LASTING[at % LASTING.len()];
                let outcome = write(&|file| Box::new(Faulty::after(file, at, errno)));
                let Err(Error::Io { path: named, source }) = &outcome else { panic!("{fault} {outcome:?}") };
                assert_eq!((named, source.raw_os_error()), (&path, Some(errno)));
                assert_eq!(std::fs::read(&path).unwrap(), b"old", "{fault} at {at}");
            }
            for most in [1, 13] {
                write(&|file| Box::new(Faulty::slow(file, most))).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), whole);
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "something is left");
    }
}
