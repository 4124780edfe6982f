//! NIfTI files: read as single files, gzipped and as pairs; and what was read is written and read again.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use mrisynth::nifti::{self, Image, VoxelType, WriteOptions};
use mrisynth::{Limits, Volume};

use super::{sound, take};
use crate::files;
use crate::source::Source;

/// Small enough that an image within the limits is read in no time.
fn limits() -> Limits {
    Limits { max_axis: 1024, max_voxels: 1 << 20, max_extension_bytes: 1 << 16, ..Limits::default() }
}

/// The bytes of a `.nii`.
pub(super) fn read(bytes: &[u8]) {
    read_file(&files::put("scan.nii", bytes));
}

fn read_file(path: &Path) -> Option<Image> {
    sound(nifti::description(path));
    sound(nifti::comments(path));
    let image = sound(nifti::read(path, &limits()))?;
    check(&image);
    take();
    Some(image)
}

/// What every image that was read must be.
fn check(image: &Image) {
    let volume = &image.volume;
    let [i, j, k] = volume.dims();
    assert!(volume.as_slice().len() == i * j * k && i * j * k > 0, "{:?}", volume.dims());
    assert!([i, j, k].iter().all(|&voxels| voxels <= 1024) && i * j * k <= 1 << 20, "{:?}", volume.dims());
    assert!(volume.affine().rows().iter().flatten().all(|entry| entry.is_finite()));
    let sizes = volume.affine().voxel_sizes();
    assert!(sizes.iter().all(|size| (0.01..=100.0).contains(size)), "voxels of {sizes:?} mm");
}

/// A gzip file. The first byte is even: the rest is the file. Odd: the rest is what is in it, after five bytes that say how it is
/// compressed and damaged.
pub(super) fn gzip(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let file = if source.u8().is_multiple_of(2) { source.rest().to_vec() } else { compressed(&mut source) };
    // Its contents tell that it is gzip, not its name.
    read_file(&files::put("scan.nii", &file));
}

fn compressed(source: &mut Source<'_>) -> Vec<u8> {
    let (members, level, fields) = (1 + source.below(4), source.below(10), source.u8());
    let (damage, where_) = (source.below(8), usize::from(source.u8()));
    let contents = source.rest();
    let size = contents.len().div_ceil(members).max(1);
    let mut file: Vec<u8> = contents.chunks(size).flat_map(|part| member(part, level, fields)).collect();
    let end = file.len();
    match damage {
        // The checksum and the length are the last eight bytes.
        1 if end > 8 => file[end - 1 - where_ % 8] ^= 1 << (where_ / 8 % 8),
        2 => file.truncate(end - (where_ + 1).min(end)),
        3 => file.extend(std::iter::repeat_n(where_ as u8, 1 + where_)),
        4 => file.extend([0x1f, 0x8b]),
        5 => file.extend(member(&[0; 1 << 17], level, fields)),
        6 if end > 0 => file[where_ % end] ^= 1 << (where_ % 8),
        _ => {}
    }
    file
}

/// A gzip member with some of the fields that its header can have.
fn member(contents: &[u8], level: usize, fields: u8) -> Vec<u8> {
    let mut builder = GzBuilder::new();
    if fields & 1 == 1 {
        builder = builder.filename("scan.nii");
    }
    if fields & 2 == 2 {
        builder = builder.comment("a comment");
    }
    if fields & 4 == 4 {
        builder = builder.extra(vec![fields; usize::from(fields)]);
    }
    let mut encoder: GzEncoder<Vec<u8>> = builder.write(Vec::new(), Compression::new(level as u32));
    encoder.write_all(contents).and_then(|()| encoder.finish()).expect("memory takes all bytes")
}

/// A pair. The first byte says how the files are named and stored and which one is read, the next two how long the header is;
/// then come the header and the voxels.
pub(super) fn pair(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let how = source.u8();
    let length = source.u16();
    let (header, voxels) = (source.bytes(length.into()), source.rest());
    let is = |bit: u8| how & bit == bit;
    let [header_name, voxel_name] = [("hdr", is(1)), ("img", is(2))].map(|(ending, gzipped)| {
        let name = format!("scan.{ending}{}", if gzipped { ".gz" } else { "" });
        if is(4) { name.to_ascii_uppercase() } else { name }
    });
    let stored = |bytes: &[u8], gzipped| if gzipped { member(bytes, 1, 0) } else { bytes.to_vec() };
    let header = files::put(&header_name, &stored(header, is(1)));
    let voxels = (!is(8)).then(|| files::put(&voxel_name, &stored(voxels, is(2))));
    let read = if is(16) { files::path(&voxel_name) } else { header.clone() };
    read_file(&read);
    // The next input may have other names, and must not find these.
    for path in [Some(header), voxels].into_iter().flatten() {
        fs::remove_file(path).expect("a file can be removed");
    }
}

/// The bytes of a `.nii`: what is read of them can be written, and is the same when it is read again.
pub(super) fn round_trip(bytes: &[u8]) {
    let Some(image) = read_file(&files::put("scan.nii", bytes)) else { return };
    // What is written ends in a NUL, and what is read need not; letters that are no text become longer ones.
    let description = image.header.description().chars().filter(char::is_ascii).take(79);
    let description: String = description.collect();
    let extension = String::from_utf8_lossy(bytes).replace('\0', "");
    let gzipped = bytes.last().is_some_and(|last| last % 2 == 1);
    let name = if gzipped { "again.nii.gz" } else { "again.nii" };
    for (voxel_type, extension) in
        [(VoxelType::Float32, None), (VoxelType::Float64, Some(extension.as_str()))]
    {
        let again = write_and_read(name, &image, &description, voxel_type, extension);
        check_same(&image, &again, &description);
        let comments = nifti::comments(&files::path(name)).expect("what was written can be read");
        assert_eq!(comments, extension.map(str::to_owned).as_slice());
    }
    for voxel_type in [VoxelType::Uint8, VoxelType::Int16, VoxelType::Uint16, VoxelType::Label] {
        let again = write_and_read(name, &image, &description, voxel_type, None);
        check_rounded(&image.volume, &again.volume, voxel_type);
    }
}

fn write_and_read(
    name: &str,
    image: &Image,
    description: &str,
    voxel_type: VoxelType,
    extension: Option<&str>,
) -> Image {
    let options = WriteOptions { voxel_type, description, extension, overwrite: true };
    let path = files::path(name);
    nifti::write(&path, &image.volume, &image.header, &options).expect("what was read can be written");
    nifti::read(&path, &limits()).expect("what was written can be read")
}

/// Not a bit may be lost.
fn check_same(image: &Image, again: &Image, description: &str) {
    assert_eq!(bits(&image.volume), bits(&again.volume), "voxels");
    assert_eq!(image.volume.grid(), again.volume.grid());
    // As texts, for numbers that are none are not equal to themselves.
    let text = |image: &Image| {
        let text = format!("{:?}", image.header);
        text.split(", description: ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(text(image), text(again));
    assert_eq!(again.header.description(), description.trim_end());
    let new = again.warnings.iter().find(|warning| !image.warnings.contains(warning));
    assert_eq!(new, None, "what was read and written once is no more doubtful than before");
}

/// The bits of voxels, of which all that are no number are one.
fn bits(volume: &Volume) -> Vec<u32> {
    let bits = |&value: &f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
    volume.as_slice().iter().map(bits).collect()
}

/// Values within a type's range may be off by half a step, and all others are at its ends.
fn check_rounded(volume: &Volume, again: &Volume, voxel_type: VoxelType) {
    let (most, step) = voxel_type.full_scale().map_or((255.0, 1.0), |scale| (1.0, 1.0 / scale));
    for (&value, &stored) in volume.as_slice().iter().zip(again.as_slice()) {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, most) };
        assert!((value - stored).abs() <= 0.5001 * step, "{value} became {stored} as {voxel_type:?}");
    }
}
