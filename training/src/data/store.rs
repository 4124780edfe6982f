//! The packed store of paired subjects: one checked file that training reads whole into memory.
//!
//! Layout: the magic, a version (u32, little endian), one zlib blob a subject (all of T1w, then all of T2w, u16 little
//! endian, i fastest), a JSON index, and a footer of the index's length (u64, little endian) and its SHA-256.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use ndarray::{Array3, ShapeBuilder};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use mrisynth::{Affine, Contrast, Volume, digest};

use crate::error::Error;

const MAGIC: &[u8; 8] = b"MRISTORE";
const VERSION: u32 = 1;
const HEADER_LENGTH: u64 = 12;
const FOOTER_LENGTH: u64 = 40;
/// The longest index that is read, in bytes: far more than any cohort needs.
const MAXIMUM_INDEX_LENGTH: u64 = 1 << 28;
/// The largest extent along one axis, in voxels.
const MAXIMUM_EXTENT: usize = 1024;
/// The largest volume, in voxels.
const MAXIMUM_VOXELS: usize = 1 << 27;

/// Where a pair of contrasts comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Both contrasts were acquired from one person.
    Real,
    /// Both contrasts were computed from one label map or phantom.
    Simulated,
}

/// One study: both contrasts on one grid, RAS at 1 mm, index `[i, j, k]`, an axial slice at each `k`.
///
/// `0..=65535` stands for intensity 0..1 (each contrast divided by its 99.5th percentile inside the brain and clipped);
/// the background is exactly 0. Both volumes have the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Names this study; unique within a store.
    pub id: String,
    /// Names the person; studies of one person share it.
    pub patient: String,
    /// Acquired or simulated.
    pub origin: Origin,
    /// T1-weighted intensities.
    pub t1w: Array3<u16>,
    /// T2-weighted intensities.
    pub t2w: Array3<u16>,
}

impl Subject {
    /// The stored intensities of a contrast.
    pub fn contrast(&self, contrast: Contrast) -> &Array3<u16> {
        match contrast {
            Contrast::T1w => &self.t1w,
            Contrast::T2w => &self.t2w,
        }
    }

    /// A contrast as a prepared scan: 0..1, 1 mm, axes right, front and top, its first voxel at the origin.
    ///
    /// # Errors
    /// Those of [`Volume::new`].
    pub fn volume(&self, contrast: Contrast) -> Result<Volume, Error> {
        let intensities = self.contrast(contrast).mapv(|value| f32::from(value) / f32::from(u16::MAX));
        Ok(Volume::new(intensities, Affine::from_sizes([1.0; 3], [0.0; 3])?)?)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    patient: String,
    origin: Origin,
    dims: [usize; 3],
    offset: u64,
    length: u64,
    sha256: String,
}

/// Writes a store one subject at a time; nothing appears under the final name before [`StoreWriter::finish`].
pub struct StoreWriter {
    path: PathBuf,
    file: NamedTempFile,
    entries: Vec<Entry>,
    position: u64,
}

impl StoreWriter {
    /// Starts a store that will be named `path`; its folder must exist and be writable.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let mut file = temporary_in(folder_of(&path)).map_err(|e| Error::io(&path, e))?;
        file.write_all(MAGIC)
            .and_then(|()| file.write_all(&VERSION.to_le_bytes()))
            .map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, file, entries: Vec::new(), position: HEADER_LENGTH })
    }

    /// Appends one subject; refuses a repeated id, unequal shapes and impossible sizes.
    pub fn append(&mut self, subject: &Subject) -> Result<(), Error> {
        let dims: [usize; 3] = subject.t1w.dim().into();
        if subject.t1w.dim() != subject.t2w.dim() {
            return Err(self.fault(format!(
                "subject {}: T1w is {dims:?} and T2w is {:?}",
                subject.id,
                subject.t2w.dim()
            )));
        }
        check_dims(dims).map_err(|fault| self.fault(format!("subject {}: {fault}", subject.id)))?;
        if self.entries.iter().any(|entry| entry.id == subject.id) {
            return Err(self.fault(format!("subject {} is there already", subject.id)));
        }
        let blob = compress(subject).map_err(|e| Error::io(&self.path, e))?;
        self.file.write_all(&blob).map_err(|e| Error::io(&self.path, e))?;
        self.entries.push(Entry {
            id: subject.id.clone(),
            patient: subject.patient.clone(),
            origin: subject.origin,
            dims,
            offset: self.position,
            length: blob.len() as u64,
            sha256: digest::sha256(&blob),
        });
        self.position += blob.len() as u64;
        Ok(())
    }

    /// Writes the index, forces all to the disk and gives the file its final name.
    pub fn finish(mut self) -> Result<(), Error> {
        let index =
            serde_json::to_vec(&self.entries).map_err(|e| Error::store(&self.path, format!("index: {e}")))?;
        let footer =
            [(index.len() as u64).to_le_bytes().as_slice(), Sha256::digest(&index).as_slice()].concat();
        self.file
            .write_all(&index)
            .and_then(|()| self.file.write_all(&footer))
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.as_file().sync_all())
            .map_err(|e| Error::io(&self.path, e))?;
        self.file.persist(&self.path).map_err(|e| Error::io(&self.path, e.error))?;
        sync_folder(&self.path)
    }

    fn fault(&self, fault: String) -> Error {
        Error::store(&self.path, fault)
    }
}

/// Reads every subject of the store at `path`, checking sizes and digests on the way.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Subject>, Error> {
    let path = path.as_ref();
    let entries = read_index(path)?;
    entries.into_par_iter().map(|entry| read_subject(path, entry)).collect()
}

/// Reads several stores one after the other; refuses an id that occurs twice.
pub fn read_many(paths: &[impl AsRef<Path>]) -> Result<Vec<Subject>, Error> {
    let mut subjects = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for path in paths {
        for subject in read(path)? {
            if !seen.insert(subject.id.clone()) {
                return Err(Error::store(path, format!("subject {} is in an earlier store too", subject.id)));
            }
            subjects.push(subject);
        }
    }
    Ok(subjects)
}

fn read_index(path: &Path) -> Result<Vec<Entry>, Error> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let size = file.metadata().map_err(|e| Error::io(path, e))?.len();
    if size < HEADER_LENGTH + FOOTER_LENGTH {
        return Err(Error::store(path, format!("{size} bytes are too few for a store")));
    }
    let header = read_at(&mut file, path, 0, HEADER_LENGTH)?;
    if &header[..8] != MAGIC {
        return Err(Error::store(path, "this is no store (wrong first bytes)"));
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(Error::store(
            path,
            format!("version {version} is unknown, this program reads version {VERSION}"),
        ));
    }
    let footer = read_at(&mut file, path, size - FOOTER_LENGTH, FOOTER_LENGTH)?;
    let (length, digest) = footer.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap_or([0xff; 8]));
    if length > MAXIMUM_INDEX_LENGTH || length > size - HEADER_LENGTH - FOOTER_LENGTH {
        return Err(Error::store(
            path,
            format!(
                "the footer speaks of an index of {length} bytes in a file of {size}: it is cut short or damaged"
            ),
        ));
    }
    let end_of_blobs = size - FOOTER_LENGTH - length;
    let index = read_at(&mut file, path, end_of_blobs, length)?;
    if Sha256::digest(&index).as_slice() != digest {
        return Err(Error::store(path, "the index does not match its SHA-256"));
    }
    let entries: Vec<Entry> = serde_json::from_slice(&index)
        .map_err(|e| Error::store(path, format!("the index cannot be read: {e}")))?;
    for entry in &entries {
        check_entry(entry, end_of_blobs)
            .map_err(|fault| Error::store(path, format!("subject {}: {fault}", entry.id)))?;
    }
    Ok(entries)
}

fn check_entry(entry: &Entry, end_of_blobs: u64) -> Result<(), String> {
    check_dims(entry.dims)?;
    let end = entry.offset.checked_add(entry.length);
    if entry.offset < HEADER_LENGTH || end.is_none_or(|end| end > end_of_blobs) {
        return Err(format!("its {} bytes at {} lie outside the file", entry.length, entry.offset));
    }
    Ok(())
}

fn check_dims(dims: [usize; 3]) -> Result<(), String> {
    let possible = dims.iter().all(|&d| (1..=MAXIMUM_EXTENT).contains(&d))
        && dims.iter().product::<usize>() <= MAXIMUM_VOXELS;
    if possible {
        Ok(())
    } else {
        Err(format!("dimensions {dims:?} are outside 1..={MAXIMUM_EXTENT} or exceed {MAXIMUM_VOXELS} voxels"))
    }
}

fn read_subject(path: &Path, entry: Entry) -> Result<Subject, Error> {
    let fault = |fault: String| Error::store(path, format!("subject {}: {fault}", entry.id));
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let blob = read_at(&mut file, path, entry.offset, entry.length)?;
    if digest::sha256(&blob) != entry.sha256 {
        return Err(fault("its bytes do not match their SHA-256".into()));
    }
    let voxels: usize = entry.dims.iter().product();
    let bytes = decompress(&blob, voxels * 4).map_err(fault)?;
    let (t1w, t2w) = bytes.split_at(voxels * 2);
    Ok(Subject {
        t1w: volume(t1w, entry.dims).map_err(fault)?,
        t2w: volume(t2w, entry.dims).map_err(fault)?,
        id: entry.id,
        patient: entry.patient,
        origin: entry.origin,
    })
}

fn read_at(file: &mut File, path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(length).read_to_end(&mut bytes))
        .map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 != length {
        return Err(Error::store(path, format!("ends before byte {offset} + {length}")));
    }
    Ok(bytes)
}

fn compress(subject: &Subject) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(4));
    for volume in [&subject.t1w, &subject.t2w] {
        // The transposed view iterates with i fastest, so that an axial slice is contiguous.
        let bytes: Vec<u8> = volume.t().iter().flat_map(|v| v.to_le_bytes()).collect();
        encoder.write_all(&bytes)?;
    }
    encoder.finish()
}

fn decompress(blob: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // One byte more than expected is asked for, so that a longer stream shows.
    ZlibDecoder::new(blob)
        .take(length as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot be decompressed: {e}"))?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(format!("decompresses to {} bytes or more instead of {length}", bytes.len()))
    }
}

fn volume(bytes: &[u8], dims: [usize; 3]) -> Result<Array3<u16>, String> {
    let voxels = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    Array3::from_shape_vec((dims[0], dims[1], dims[2]).f(), voxels).map_err(|e| e.to_string())
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a whole file or none.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = temporary_in(folder_of(path)).map_err(|e| Error::io(path, e))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

/// A temporary file that gets the usual permissions, not the owner's alone.
pub(crate) fn temporary_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(|e| Error::io(path, e))
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str, dims: (usize, usize, usize)) -> Subject {
        let t1w = Array3::from_shape_fn(dims, |(i, j, k)| (i * 7 + j * 31 + k * 1009) as u16);
        let t2w = t1w.mapv(|v| 65535 - v);
        Subject { id: id.into(), patient: "p".into(), origin: Origin::Simulated, t1w, t2w }
    }

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("a.store");
        let mut writer = StoreWriter::create(&path).unwrap();
        writer.append(&subject("a", (3, 4, 5))).unwrap();
        writer.append(&subject("b", (6, 2, 9))).unwrap();
        assert!(!path.exists(), "nothing may appear before finish");
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let subjects = read(written(folder.path())).unwrap();
        assert_eq!(subjects, [subject("a", (3, 4, 5)), subject("b", (6, 2, 9))]);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let good = std::fs::read(&path).unwrap();
        let bad = folder.path().join("bad.store");
        for length in 0..good.len() {
            std::fs::write(&bad, &good[..length]).unwrap();
            let message = read(&bad).unwrap_err().to_string();
            assert!(message.contains("bad.store"), "{message}");
        }
        for position in 0..good.len() {
            let mut bytes = good.clone();
            bytes[position] ^= 0x41;
            std::fs::write(&bad, &bytes).unwrap();
            assert!(read(&bad).is_err(), "byte {position} flipped unnoticed");
        }
    }

    #[test]
    fn unequal_shapes_and_repeated_ids_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::create(folder.path().join("x")).unwrap();
        let mut odd = subject("odd", (3, 4, 5));
        odd.t2w = Array3::zeros((3, 4, 6));
        assert!(writer.append(&odd).is_err());
        writer.append(&subject("a", (3, 4, 5))).unwrap();
        assert!(writer.append(&subject("a", (3, 4, 5))).is_err());
    }

    #[test]
    fn a_lying_index_is_refused() {
        let mut entry = Entry {
            id: "a".into(),
            patient: "p".into(),
            origin: Origin::Real,
            dims: [1, 1, 1],
            offset: HEADER_LENGTH,
            length: 10,
            sha256: String::new(),
        };
        assert!(check_entry(&entry, 22).is_ok());
        assert!(check_entry(&entry, 21).is_err());
        entry.offset = u64::MAX;
        assert!(check_entry(&entry, 22).is_err());
        entry.offset = HEADER_LENGTH;
        entry.dims = [1024, 1024, 1024];
        assert!(check_entry(&entry, 22).is_err());
    }

    #[test]
    fn one_id_in_two_stores_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        assert!(read_many(&[&path]).is_ok());
        assert!(read_many(&[&path, &path]).is_err());
    }
}
