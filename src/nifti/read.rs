//! Reading: from the bytes of a NIfTI file, which nobody vouches for, to a volume.

use std::ffi::OsStr;
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use ndarray::{Array3, ShapeBuilder};
use nifti::{DataElement, Endianness, NiftiError, NiftiType};

use super::extension;
use super::header::{Header, MAX_HEADER_BYTES, MIN_HEADER_BYTES, ParsedHeader, Version};
use crate::{Affine, Error, Limits, Result, Volume, regular_file};

/// Bytes that are decoded at a time; a multiple of every voxel type's size.
const CHUNK_BYTES: usize = 1 << 16;
/// How a gzip file starts.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A NIfTI image in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its voxels, with the file's scaling applied, and where they lie. Voxels that are NaN or infinite stay so.
    pub volume: Volume,
    /// What is needed to write another volume on the same grid.
    pub header: Header,
    /// What was repaired or is doubtful, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads a NIfTI-1 or NIfTI-2 file: `.nii`, or either file of an `.hdr`/`.img` pair, plain or gzipped.
///
/// The file must hold one volume of real numbers (dimensions after the third may be 1). The affine is the sform, else
/// the qform, else the voxel sizes alone, with a warning; it is brought to millimetres if the file has other units.
/// Values are computed in double precision and kept in single precision. Memory is bounded by `limits` and about once
/// the volume's own, four bytes a voxel.
///
/// # Errors
/// All name the file. [`Error::Io`] if it cannot be opened or read; [`Error::BadImage`] if it is no NIfTI file,
/// damaged, truncated, not one volume, or has no sound affine; [`Error::Unsupported`] for Analyze 7.5 and for voxels
/// that are not real numbers (or 128-bit ones); [`Error::OutOfMemory`] over a limit.
pub fn read(path: &Path, limits: &Limits) -> Result<Image> {
    read_by(path, limits, &Source::open)
}

/// [`read`] by way of `open`.
fn read_by(path: &Path, limits: &Limits, open: &dyn Fn(&Path) -> Result<Source>) -> Result<Image> {
    let pair = PairName::of(path);
    let header_path = match &pair {
        Some(pair) if pair.is_voxels => pair.sibling(path, "hdr"),
        _ => path.to_owned(),
    };
    let mut source = open(&header_path)?;
    let mut parsed = read_header(&mut source, limits).map_err(|fault| fault.in_file(&header_path))?;
    let affine = parsed
        .header
        .settle(parsed.dims, &mut parsed.warnings)
        .map_err(|fault| fault.in_file(&header_path))?;
    let voxel_path = voxel_path(path, pair.as_ref(), parsed.single_file)?;
    if !parsed.single_file {
        check_rest(&mut source, limits, &mut parsed.warnings).map_err(|fault| fault.in_file(&header_path))?;
        source = open(&voxel_path)?;
    }
    read_volume(source, &mut parsed, affine, limits)
        .map(|volume| Image { volume, header: parsed.header, warnings: parsed.warnings })
        .map_err(|fault| fault.in_file(&voxel_path))
}

/// The free text in a file's header, without reading its voxels. Of a pair, `path` is the `.hdr`.
///
/// # Errors
/// Those of [`read`] that concern the header.
pub fn description(path: &Path) -> Result<String> {
    let mut source = Source::open(path)?;
    let parsed = read_header(&mut source, &Limits::default()).map_err(|fault| fault.in_file(path))?;
    Ok(parsed.header.description().to_owned())
}

/// The texts of a file's extensions of code 6 (comment), such as a synthetic image's [`crate::provenance`], without reading its
/// voxels. Of a pair, `path` is the `.hdr`.
///
/// # Errors
/// Those of [`read`] that concern the header.
pub fn comments(path: &Path) -> Result<Vec<String>> {
    let (mut source, limits) = (Source::open(path)?, Limits::default());
    let parsed = read_header(&mut source, &limits).map_err(|fault| fault.in_file(path))?;
    let most = match parsed.single_file {
        true => parsed.offset - parsed.header.version().header_bytes() as u64,
        false => limits.max_extension_bytes,
    };
    let mut bytes = Vec::new();
    let read = source.reader.by_ref().take(most).read_to_end(&mut bytes);
    read.map_err(|fault| source.explained(fault).in_file(path))?;
    Ok(extension::comments(&bytes, parsed.order))
}

/// The file that holds the voxels.
fn voxel_path(path: &Path, pair: Option<&PairName>, single_file: bool) -> Result<PathBuf> {
    let fault = |message: &str| Err(Error::BadImage(message.into()).in_file(path));
    match (pair, single_file) {
        (Some(pair), true) if pair.is_voxels => {
            fault("the header beside it says that it holds the voxels itself")
        }
        (_, true) => Ok(path.to_owned()),
        (Some(pair), false) if pair.is_voxels => Ok(path.to_owned()),
        (Some(pair), false) => Ok(pair.sibling(path, "img")),
        (None, false) => {
            fault("the header of a pair, which must be named .hdr, with the voxels beside it in an .img")
        }
    }
}

/// What a name says about a file of a pair.
struct PairName {
    /// True for `.img`, false for `.hdr`.
    is_voxels: bool,
    /// Bytes of the name before the extension.
    stem: String,
    upper_case: bool,
    gzipped: bool,
}

impl PairName {
    /// None if the name is not that of a file of a pair.
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().and_then(OsStr::to_str)?;
        let gzipped = name.to_ascii_lowercase().ends_with(".gz");
        let plain = if gzipped { name.get(..name.len() - 3)? } else { name };
        let (stem, extension) = plain.rsplit_once('.')?;
        let is_voxels = match extension.to_ascii_lowercase().as_str() {
            "img" => true,
            "hdr" => false,
            _ => return None,
        };
        let upper_case = extension.chars().all(|letter| letter.is_ascii_uppercase());
        Some(Self { is_voxels, stem: stem.to_owned(), upper_case, gzipped })
    }

    /// The other file: compressed like this one, or else the other way if only that exists.
    fn sibling(&self, path: &Path, extension: &str) -> PathBuf {
        let named = |gzipped: bool| {
            let name = format!("{extension}{}", if gzipped { ".gz" } else { "" });
            let name = if self.upper_case { name.to_ascii_uppercase() } else { name };
            path.with_file_name(format!("{}.{name}", self.stem))
        };
        let (likely, other) = (named(self.gzipped), named(!self.gzipped));
        if !likely.exists() && other.exists() { other } else { likely }
    }
}

/// The bytes of a file, decompressed if they are gzip.
struct Source {
    /// The file's name, for errors.
    path: PathBuf,
    reader: Box<dyn Read>,
    gzipped: bool,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = regular_file::open(path, Error::BadImage)?;
        if file.metadata().map_err(|fault| Error::io(path, fault))?.len() == 0 {
            return Err(Error::BadImage("the file is empty".into()).in_file(path));
        }
        Self::new(path, file)
    }

    fn new(path: &Path, file: impl Read + 'static) -> Result<Self> {
        let mut bytes = Buffered::new(file);
        let gzipped = bytes.is_gzip().map_err(|fault| Error::io(path, fault))?;
        let reader: Box<dyn Read> = if gzipped { Box::new(GzipMembers::new(bytes)) } else { Box::new(bytes) };
        Ok(Self { path: path.to_owned(), reader, gzipped })
    }

    /// Fills `buffer` as far as the data goes, and says how far.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                Err(fault) => return Err(self.explained(fault)),
            }
        }
        Ok(filled)
    }

    /// Skips bytes, and says how many there were to skip.
    fn skip(&mut self, bytes: u64) -> Result<u64> {
        io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink())
            .map_err(|fault| self.explained(fault))
    }

    /// Tells damaged data from a disk that fails.
    fn explained(&self, fault: io::Error) -> Error {
        match fault.kind() {
            _ if fault.raw_os_error().is_some() => Error::io(&self.path, fault),
            ErrorKind::UnexpectedEof if self.gzipped => {
                Error::BadImage("the gzip data is truncated: the file is incomplete".into())
            }
            ErrorKind::InvalidInput | ErrorKind::InvalidData if self.gzipped => {
                Error::BadImage(format!("the gzip data is damaged: {fault}"))
            }
            _ => Error::io(&self.path, fault),
        }
    }
}

/// The bytes of a file a piece at a time, of which the next can be looked at. Reads that a signal interrupts are made again.
struct Buffered<R> {
    file: R,
    buffer: Box<[u8]>,
    /// Where in the buffer the bytes lie that were read and not yet taken.
    start: usize,
    end: usize,
}

impl<R: Read> Buffered<R> {
    fn new(file: R) -> Self {
        Self { file, buffer: vec![0; CHUNK_BYTES].into(), start: 0, end: 0 }
    }

    /// Whether the next bytes begin a gzip member.
    fn is_gzip(&mut self) -> io::Result<bool> {
        while self.end - self.start < GZIP_MAGIC.len() && self.read_more()? > 0 {}
        Ok(self.buffer[self.start..self.end].starts_with(&GZIP_MAGIC))
    }

    /// Reads what comes behind the bytes that are there, and says how much that is.
    fn read_more(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        loop {
            match self.file.read(&mut self.buffer[self.end..]) {
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                outcome => {
                    let count = outcome?;
                    self.end += count;
                    return Ok(count);
                }
            }
        }
    }
}

impl<R: Read> BufRead for Buffered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.read_more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

impl<R: Read> Read for Buffered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// The decompressed bytes of one or more gzip members, one after the other. What follows the last member is ignored.
struct GzipMembers<R: Read> {
    member: Option<GzDecoder<Buffered<R>>>,
}

impl<R: Read> GzipMembers<R> {
    fn new(bytes: Buffered<R>) -> Self {
        Self { member: Some(GzDecoder::new(bytes)) }
    }
}

impl<R: Read> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            // This member is at its end and its checksum is right.
            if member.get_mut().is_gzip()? {
                self.member = self.member.take().map(|member| GzDecoder::new(member.into_inner()));
            } else {
                self.member = None;
            }
        }
        Ok(0)
    }
}

/// Reads and checks the header at the start of `source`, which then stands behind it.
fn read_header(source: &mut Source, limits: &Limits) -> Result<ParsedHeader> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    let mut found = source.fill(&mut bytes[..MIN_HEADER_BYTES])?;
    let start = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let (version, order) = Version::detect(start)?;
    if found == MIN_HEADER_BYTES {
        found += source.fill(&mut bytes[MIN_HEADER_BYTES..version.header_bytes()])?;
    }
    if found < version.header_bytes() {
        let message = format!("truncated: {found} bytes of a header of {}", version.header_bytes());
        return Err(Error::BadImage(message));
    }
    ParsedHeader::parse(&bytes, version, order, limits)
}

/// Reads the voxels of a file, whose header (if it has one) has been read.
fn read_volume(
    mut source: Source,
    parsed: &mut ParsedHeader,
    affine: Affine,
    limits: &Limits,
) -> Result<Volume> {
    let behind = if parsed.single_file { parsed.header.version().header_bytes() as u64 } else { 0 };
    let to_skip = parsed.offset.saturating_sub(behind);
    let skipped = source.skip(to_skip)?;
    if skipped < to_skip {
        let message =
            format!("truncated: voxels at byte {}, but {} bytes found", parsed.offset, behind + skipped);
        return Err(Error::BadImage(message));
    }
    let voxels = read_voxels(&mut source, parsed)?;
    check_rest(&mut source, limits, &mut parsed.warnings)?;
    let [i, j, k] = parsed.dims;
    let voxels =
        Array3::from_shape_vec((i, j, k).f(), voxels).map_err(|fault| Error::Internal(fault.to_string()))?;
    Volume::new(voxels, affine)
}

/// The voxels in file order, which is memory order.
fn read_voxels(source: &mut Source, parsed: &ParsedHeader) -> Result<Vec<f32>> {
    let count: usize = parsed.dims.iter().product();
    let mut voxels = Vec::new();
    voxels
        .try_reserve_exact(count)
        .map_err(|fault| Error::OutOfMemory(format!("an image of {:?} voxels: {fault}", parsed.dims)))?;
    let expected = count * parsed.datatype.size_of();
    let mut found = 0;
    while found < expected {
        let mut chunk = vec![0; CHUNK_BYTES.min(expected - found)];
        let filled = source.fill(&mut chunk)?;
        found += filled;
        if filled < chunk.len() {
            return Err(Error::BadImage(format!(
                "truncated: {expected} bytes of voxels expected, {found} found"
            )));
        }
        decode(chunk, parsed, &mut voxels)?;
    }
    Ok(voxels)
}

/// Appends the values of whole voxels.
fn decode(chunk: Vec<u8>, parsed: &ParsedHeader, voxels: &mut Vec<f32>) -> Result<()> {
    let ParsedHeader { order, scaling, .. } = *parsed;
    let scaled = |value: f64| match scaling {
        Some((slope, intercept)) => (value * slope + intercept) as f32,
        None => value as f32,
    };
    match parsed.datatype {
        NiftiType::Uint8 => voxels.extend(elements::<u8>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Int8 => voxels.extend(elements::<i8>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Uint16 => voxels.extend(elements::<u16>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Int16 => voxels.extend(elements::<i16>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Uint32 => voxels.extend(elements::<u32>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Int32 => voxels.extend(elements::<i32>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Uint64 => voxels.extend(elements::<u64>(chunk, order)?.map(|value| scaled(value as f64))),
        NiftiType::Int64 => voxels.extend(elements::<i64>(chunk, order)?.map(|value| scaled(value as f64))),
        NiftiType::Float32 => voxels.extend(elements::<f32>(chunk, order)?.map(|value| scaled(value.into()))),
        NiftiType::Float64 => voxels.extend(elements::<f64>(chunk, order)?.map(scaled)),
        other => return Err(Error::Internal(format!("voxels of type {other:?} passed the header's check"))),
    }
    Ok(())
}

fn elements<T: DataElement>(chunk: Vec<u8>, order: Endianness) -> Result<impl Iterator<Item = T>> {
    let elements =
        T::from_raw_vec(chunk, order).map_err(|fault: NiftiError| Error::Internal(fault.to_string()))?;
    Ok(elements.into_iter())
}

/// Reads gzip data to its end, for only there is its checksum; but not for ever, for a small file can hold a great deal.
fn check_rest(source: &mut Source, limits: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    if !source.gzipped {
        return Ok(());
    }
    let bound = limits.max_extension_bytes.saturating_add(1);
    if source.skip(bound)? == bound {
        warnings.push(
            "a lot of data follows the voxels: it was ignored, and the gzip checksum was not checked".into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::{Faulty, LASTING};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text_of(bytes: Vec<u8>) -> Result<String> {
        let mut source = Source::new(Path::new("bytes"), io::Cursor::new(bytes)).unwrap();
        let mut buffer = [0; 64];
        let filled = source.fill(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..filled]).into_owned())
    }

    #[test]
    fn gzip_members_are_joined_and_what_follows_is_ignored() {
        let mut bytes = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(text_of(bytes.clone()).unwrap(), "one two");
        bytes.extend([0; 7]);
        bytes.extend(b"rest");
        assert_eq!(text_of(bytes).unwrap(), "one two");
        assert_eq!(text_of(b"plain".to_vec()).unwrap(), "plain");
    }

    #[test]
    fn members_are_joined_wherever_in_the_buffer_they_end() {
        // Stored and not compressed, so that the length of the first member can be chosen.
        let stored = |length: usize| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
            encoder.write_all(&vec![b'x'; length]).unwrap();
            encoder.finish().unwrap()
        };
        let overhead = stored(CHUNK_BYTES / 2).len() - CHUNK_BYTES / 2;
        let mut ends = Vec::new();
        for length in CHUNK_BYTES - overhead - 8..CHUNK_BYTES - overhead + 8 {
            let first = stored(length);
            ends.push(first.len() as isize - CHUNK_BYTES as isize);
            let bytes = [first, gzip(b"second")].concat();
            let mut source = Source::new(Path::new("bytes"), io::Cursor::new(bytes)).unwrap();
            assert_eq!(source.skip(length as u64).unwrap(), length as u64);
            let mut rest = [0; 10];
            assert_eq!(source.fill(&mut rest).unwrap(), 6, "the first member has {length} bytes");
            assert_eq!(&rest[..6], b"second");
        }
        assert!(ends.contains(&-1), "the first byte of the second member alone ends the buffer: {ends:?}");
    }

    /// A small image as a file, or a pair of files, plain and packed.
    fn images(folder: &Path) -> Vec<PathBuf> {
        let affine = Affine::from_sizes([1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]).unwrap();
        let grid = crate::Grid { dims: [5, 4, 3], affine };
        let mut volume = Volume::zeros(&grid).unwrap();
        (0..).zip(volume.as_mut_slice()).for_each(|(at, voxel)| *voxel = (at * at % 61) as f32);
        let options = crate::nifti::WriteOptions {
            voxel_type: crate::nifti::VoxelType::Float32,
            description: "a test",
            extension: Some("an extension"),
            overwrite: false,
        };
        let header = Header::for_grid(&grid);
        let whole = folder.join("a.nii");
        crate::nifti::write(&whole, &volume, &header, &options).unwrap();
        let bytes = std::fs::read(&whole).unwrap();
        let offset = bytes.len() - 4 * grid.len();
        let (mut head, voxels) = (bytes[..348].to_vec(), &bytes[offset..]);
        head[108..112].fill(0);
        head[344..348].copy_from_slice(b"ni1\0");
        let half = bytes.len() / 2;
        let files = [
            ("b.nii.gz", gzip(&bytes)),
            ("c.nii.gz", [gzip(&bytes[..half]), gzip(&bytes[half..])].concat()),
            ("d.hdr", head.clone()),
            ("d.img", voxels.to_vec()),
            ("e.hdr.gz", gzip(&head)),
            ("e.img.gz", gzip(voxels)),
        ];
        files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
        ["a.nii", "b.nii.gz", "c.nii.gz", "d.hdr", "e.img.gz"].map(|name| folder.join(name)).to_vec()
    }

    fn open(path: &Path, disk: impl FnOnce(std::fs::File) -> Faulty<std::fs::File>) -> Result<Source> {
        Source::new(path, disk(std::fs::File::open(path).unwrap()))
    }

    #[test]
    fn short_and_interrupted_reads_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for path in images(folder.path()) {
            let expected = read(&path, &Limits::default()).unwrap();
            for most in [1, 2, 3, 7, 100, 1000] {
                let slow = |path: &Path| open(path, |file| Faulty::slow(file, most));
                assert_eq!(read_by(&path, &Limits::default(), &slow).unwrap(), expected, "{path:?} {most}");
            }
        }
    }

    #[test]
    fn a_disk_that_fails_at_any_byte_is_told_by_the_file_s_name() {
        let folder = tempfile::tempdir().unwrap();
        for path in images(folder.path()) {
            let pair = PairName::of(&path);
            let sibling = |ending| pair.as_ref().map(|pair| pair.sibling(&path, ending));
            // Each of the files that are read.
            let files: Vec<PathBuf> = match (sibling("hdr"), sibling("img")) {
                (Some(header), Some(voxels)) => vec![header, voxels],
                _ => vec![path.clone()],
            };
            for failing in &files {
                let length = std::fs::metadata(failing).unwrap().len() as usize;
                for at in 0..length {
                    let (name, errno) = LASTING[at % LASTING.len()];
                    let open = |path: &Path| {
                        let at = if path == failing { at } else { usize::MAX };
                        open(path, |file| Faulty::after(file, at, errno))
                    };
                    let outcome = read_by(&path, &Limits::default(), &open);
                    let Err(Error::Io { path: named, source }) = &outcome else {
                        panic!("{failing:?}, {name} at {at} of {length}: {outcome:?}")
                    };
                    assert_eq!((named, source.raw_os_error()), (failing, Some(errno)));
                }
            }
        }
    }

    #[test]
    fn pairs_find_each_other_by_name() {
        let name = |path: &str| {
            let pair = PairName::of(Path::new(path)).unwrap();
            pair.sibling(Path::new(path), if pair.is_voxels { "hdr" } else { "img" })
        };
        assert_eq!(name("no/where.1.5mm.hdr"), Path::new("no/where.1.5mm.img"));
        assert_eq!(name("no/where.img.gz"), Path::new("no/where.hdr.gz"));
        assert_eq!(name("no/WHERE.HDR"), Path::new("no/WHERE.IMG"));
        assert!(PairName::of(Path::new("no/where.nii.gz")).is_none());
        assert!(PairName::of(Path::new("..")).is_none());
    }
}
