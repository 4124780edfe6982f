//! Reading: from the bytes of an NRRD file, which nobody vouches for, to a volume.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use mrisynth::{Error, Limits, Result, Volume, regular_file};
use ndarray::{Array3, ShapeBuilder};

use super::header::{Encoding, Header, VoxelType, check_magic};

/// Bytes that are decoded at a time; a multiple of every voxel type's size.
const CHUNK_BYTES: usize = 1 << 16;
/// Bytes that a header may have.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// An NRRD image in memory.
pub struct Image {
    pub volume: Volume,
    /// What the file says that it holds.
    pub content: String,
}

/// Reads an NRRD file.
///
/// # Errors
/// All name the file. [`Error::Io`] if it cannot be opened or read; [`Error::BadImage`] if it is no NRRD file, damaged,
/// truncated or has no sound geometry; [`Error::Unsupported`] for what is right and not understood here;
/// [`Error::OutOfMemory`] over a limit.
pub fn read(path: &Path, limits: &Limits) -> Result<Image> {
    let file = regular_file::open(path, Error::BadImage)?;
    let source = BufReader::with_capacity(CHUNK_BYTES, file);
    read_image(source, limits).map_err(|fault| match fault {
        Fault::Io(fault) => Error::io(path, fault),
        Fault::Image(fault) => fault.in_file(path),
    })
}

/// What went wrong, before the file's name is added.
enum Fault {
    Io(io::Error),
    Image(Error),
}

impl From<Error> for Fault {
    fn from(fault: Error) -> Self {
        Self::Image(fault)
    }
}

/// Tells damaged data from a disk that fails.
fn explained(fault: io::Error) -> Fault {
    match fault.kind() {
        _ if fault.raw_os_error().is_some() => Fault::Io(fault),
        io::ErrorKind::UnexpectedEof => Fault::Image(Error::BadImage("the file is truncated".into())),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Fault::Image(Error::BadImage(format!("the gzip data is damaged: {fault}")))
        }
        _ => Fault::Io(fault),
    }
}

fn read_image(mut source: impl BufRead, limits: &Limits) -> std::result::Result<Image, Fault> {
    let text = header_text(&mut source)?;
    let mut lines = text.lines();
    check_magic(lines.next().unwrap_or_default())?;
    let header = Header::parse(lines, limits)?;
    let voxels = match header.encoding {
        Encoding::Raw => read_voxels(source, &header)?,
        Encoding::Gzip => read_voxels(MultiGzDecoder::new(source), &header)?,
    };
    let [i, j, k] = header.grid.dims;
    let voxels =
        Array3::from_shape_vec((i, j, k).f(), voxels).map_err(|fault| Error::Internal(fault.to_string()))?;
    Ok(Image { volume: Volume::new(voxels, header.grid.affine)?, content: header.content })
}

/// The lines up to the empty one before the voxels.
fn header_text(source: &mut impl BufRead) -> std::result::Result<String, Fault> {
    let mut source = source.take(MAX_HEADER_BYTES);
    let mut text = Vec::new();
    loop {
        let start = text.len();
        source.read_until(b'\n', &mut text).map_err(explained)?;
        let line = &text[start..];
        if start == 0 && !line.starts_with(b"NRRD") {
            return Err(Error::BadImage("not an NRRD file".into()).into());
        }
        if !line.ends_with(b"\n") {
            let message = "the header has no end: there is no empty line before the voxels";
            return Err(Error::BadImage(message.into()).into());
        }
        if line == b"\n" || line == b"\r\n" {
            text.truncate(start);
            break;
        }
    }
    String::from_utf8(text).map_err(|_| Error::BadImage("the header is not UTF-8".into()).into())
}

/// The voxels in file order, which is memory order.
fn read_voxels(mut source: impl Read, header: &Header) -> std::result::Result<Vec<f32>, Fault> {
    let mut voxels = Vec::new();
    voxels
        .try_reserve_exact(header.grid.len())
        .map_err(|fault| Error::OutOfMemory(format!("an image of {:?} voxels: {fault}", header.grid.dims)))?;
    let mut left = header.voxel_bytes();
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let bytes = &mut chunk[..left.min(CHUNK_BYTES as u64) as usize];
        source.read_exact(bytes).map_err(explained)?;
        decode(bytes, header, &mut voxels);
        left -= bytes.len() as u64;
    }
    // Also makes gzip data check itself, which it does at its end only.
    if source.take(1).read_to_end(&mut Vec::new()).map_err(explained)? > 0 {
        return Err(Error::BadImage("more follows the voxels than the header says".into()).into());
    }
    Ok(voxels)
}

/// Appends the values of whole voxels.
fn decode(bytes: &[u8], header: &Header, voxels: &mut Vec<f32>) {
    macro_rules! values {
        ($type:ty, $to_f32:expr) => {
            voxels.extend(bytes.as_chunks().0.iter().map(|&bytes| {
                let value = if header.is_big_endian {
                    <$type>::from_be_bytes(bytes)
                } else {
                    <$type>::from_le_bytes(bytes)
                };
                $to_f32(value)
            }))
        };
    }
    match header.voxel_type {
        VoxelType::Int8 => values!(i8, f32::from),
        VoxelType::Uint8 => values!(u8, f32::from),
        VoxelType::Int16 => values!(i16, f32::from),
        VoxelType::Uint16 => values!(u16, f32::from),
        // Rounded, as the values of NIfTI files are: by way of a double.
        VoxelType::Int32 => values!(i32, |value| f64::from(value) as f32),
        VoxelType::Uint32 => values!(u32, |value| f64::from(value) as f32),
        VoxelType::Int64 => values!(i64, |value| value as f64 as f32),
        VoxelType::Uint64 => values!(u64, |value| value as f64 as f32),
        VoxelType::Float32 => values!(f32, |value| value),
        VoxelType::Float64 => values!(f64, |value| value as f32),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn header(kind: &str, endian: &str, encoding: &str) -> Vec<u8> {
        format!(
            "NRRD0004\ntype: {kind}\ndimension: 3\nspace: RAS\nsizes: 2 1 2\nspace directions: (1,0,0) (0,1,0) \
             (0,0,1)\nspace origin: (0,0,0)\nendian: {endian}\nencoding: {encoding}\n\n"
        )
        .into_bytes()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Vec<f32>> {
        match read_image(bytes, &Limits::default()) {
            Ok(image) => Ok(image.volume.as_slice().to_vec()),
            Err(Fault::Image(fault)) => Err(fault),
            Err(Fault::Io(fault)) => Err(Error::io("bytes", fault)),
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_type_and_byte_order_gives_the_same_values() {
        macro_rules! check {
            ($($type:ty: $name:literal),*) => {$(
                let values: [$type; 4] = [1, 2, 100, 127].map(|value: u8| value as $type);
                let little = values.map(|value| value.to_le_bytes()).concat();
                let big = values.map(|value| value.to_be_bytes()).concat();
                for (endian, bytes) in [("little", little), ("big", big)] {
                    for (encoding, bytes) in [("raw", bytes.clone()), ("gzip", gzip(&bytes))] {
                        let file = [header($name, endian, encoding), bytes].concat();
                        assert_eq!(read_bytes(&file).unwrap(), [1.0, 2.0, 100.0, 127.0], "{} {endian}", $name);
                    }
                }
            )*};
        }
        check!(i8: "signed char", u8: "uchar", i16: "short", u16: "unsigned short", i32: "int", u32: "uint",
               i64: "long long", u64: "uint64_t", f32: "float", f64: "double");
        let file =
            [header("short", "little", "raw"), [-1_i16, 0, 1, -300].map(i16::to_le_bytes).concat()].concat();
        assert_eq!(read_bytes(&file).unwrap(), [-1.0, 0.0, 1.0, -300.0]);
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = [header("uchar", "little", "raw"), vec![1, 2, 3, 4]].concat();
        let packed = [header("uchar", "little", "gzip"), gzip(&[1, 2, 3, 4])].concat();
        let mut changed = packed.clone();
        let middle = changed.len() - 6;
        changed[middle] ^= 0x55;
        for (bytes, part) in [
            (whole[..whole.len() - 1].to_vec(), "truncated"),
            ([whole.clone(), vec![5]].concat(), "more follows"),
            (packed[..packed.len() - 3].to_vec(), "truncated"),
            (changed, "damaged"),
            (b"NRRD0004\ntype: uchar\n".to_vec(), "no end"),
            (b"\x1f\x8b".to_vec(), "not an NRRD file"),
            (Vec::new(), "not an NRRD file"),
            (b"NRRD0004\n\xff: 1\n\n".to_vec(), "UTF-8"),
        ] {
            let fault = read_bytes(&bytes).unwrap_err().to_string();
            assert!(fault.contains(part), "{part}: {fault}");
        }
    }

    #[test]
    fn a_header_without_end_is_not_read_for_ever() {
        let endless =
            b"NRRD0004\n".iter().copied().chain(std::iter::repeat_n(b'#', 3 << 20)).collect::<Vec<_>>();
        assert!(read_bytes(&endless).unwrap_err().to_string().contains("no end"));
    }
}
