//! Reading and writing of small NIfTI files that are built byte by byte here, independent of the library's writer.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use mrisynth::nifti::{Header, Image, VoxelType, WriteOptions};
use mrisynth::{Affine, Error, Grid, Limits, Result, Volume, nifti};
use ndarray::Array3;
use proptest::prelude::*;
use tempfile::TempDir;

/// A number as some file stores it.
#[derive(Clone, Copy, Debug)]
enum Stored {
    U8(u8),
    I16(i16),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
}

/// A NIfTI file under construction.
#[derive(Clone)]
struct Builder {
    version: u8,
    big_endian: bool,
    magic: &'static [u8],
    dim: [i64; 8],
    /// Code and bits of the voxel type.
    datatype: (i16, i16),
    pixdim: [f64; 8],
    vox_offset: f64,
    scaling: (f64, f64),
    xyzt_units: u8,
    codes: (i16, i16),
    quaternion: [f64; 3],
    qoffset: [f64; 3],
    srow: [f64; 12],
    toffset: f64,
    voxels: Vec<u8>,
}

const DIMS: [usize; 3] = [4, 3, 2];
const SROW: [f64; 12] = [-2.0, 0.0, 0.0, 90.0, 0.0, 0.0, 1.5, -126.0, 0.0, 3.0, 0.0, -72.0];

impl Builder {
    /// A little-endian single file of 4 x 3 x 2 int16 voxels, with an sform.
    fn new(version: u8) -> Self {
        let values: Vec<i16> = (0..24).map(|value| 10 * value - 50).collect();
        Self {
            version,
            big_endian: false,
            magic: if version == 1 { b"n+1\0" } else { b"n+2\0\r\n\x1a\n" },
            dim: [3, 4, 3, 2, 1, 1, 1, 1],
            datatype: (4, 16),
            pixdim: [1.0, 2.0, 3.0, 1.5, 0.0, 0.0, 0.0, 0.0],
            vox_offset: if version == 1 { 352.0 } else { 544.0 },
            scaling: (1.0, 0.0),
            xyzt_units: 2,
            codes: (0, 1),
            quaternion: [0.0; 3],
            qoffset: [0.0; 3],
            srow: SROW,
            toffset: 0.0,
            voxels: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn header_bytes(&self) -> usize {
        if self.version == 1 { 348 } else { 540 }
    }

    fn put(&self, bytes: &mut [u8], at: usize, value: Stored) {
        let mut number = match value {
            Stored::U8(value) => value.to_le_bytes().to_vec(),
            Stored::I16(value) => value.to_le_bytes().to_vec(),
            Stored::I32(value) => value.to_le_bytes().to_vec(),
            Stored::I64(value) => value.to_le_bytes().to_vec(),
            Stored::F32(value) => value.to_le_bytes().to_vec(),
            Stored::F64(value) => value.to_le_bytes().to_vec(),
        };
        if self.big_endian {
            number.reverse();
        }
        bytes[at..at + number.len()].copy_from_slice(&number);
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.header_bytes()];
        self.put(&mut bytes, 0, Stored::I32(self.header_bytes() as i32));
        if self.version == 1 {
            self.fill_version_1(&mut bytes)
        } else {
            self.fill_version_2(&mut bytes)
        }
        bytes
    }

    fn fill_version_1(&self, bytes: &mut [u8]) {
        let mut floats = |at: usize, values: &[f64]| {
            for (index, &value) in values.iter().enumerate() {
                self.put(bytes, at + 4 * index, Stored::F32(value as f32));
            }
        };
        floats(76, &self.pixdim);
        floats(108, &[self.vox_offset, self.scaling.0, self.scaling.1]);
        floats(136, &[self.toffset]);
        floats(256, &self.quaternion);
        floats(268, &self.qoffset);
        floats(280, &self.srow);
        for (index, &voxels) in self.dim.iter().enumerate() {
            self.put(bytes, 40 + 2 * index, Stored::I16(voxels as i16));
        }
        for (at, value) in
            [(70, self.datatype.0), (72, self.datatype.1), (252, self.codes.0), (254, self.codes.1)]
        {
            self.put(bytes, at, Stored::I16(value));
        }
        self.put(bytes, 123, Stored::U8(self.xyzt_units));
        bytes[148..159].copy_from_slice(b"description");
        bytes[344..344 + self.magic.len()].copy_from_slice(self.magic);
    }

    fn fill_version_2(&self, bytes: &mut [u8]) {
        let mut floats = |at: usize, values: &[f64]| {
            for (index, &value) in values.iter().enumerate() {
                self.put(bytes, at + 8 * index, Stored::F64(value));
            }
        };
        floats(104, &self.pixdim);
        floats(176, &[self.scaling.0, self.scaling.1]);
        floats(216, &[self.toffset]);
        floats(352, &self.quaternion);
        floats(376, &self.qoffset);
        floats(400, &self.srow);
        for (index, &voxels) in self.dim.iter().enumerate() {
            self.put(bytes, 16 + 8 * index, Stored::I64(voxels));
        }
        self.put(bytes, 168, Stored::I64(self.vox_offset as i64));
        self.put(bytes, 12, Stored::I16(self.datatype.0));
        self.put(bytes, 14, Stored::I16(self.datatype.1));
        self.put(bytes, 344, Stored::I32(self.codes.0.into()));
        self.put(bytes, 348, Stored::I32(self.codes.1.into()));
        self.put(bytes, 500, Stored::I32(self.xyzt_units.into()));
        bytes[240..251].copy_from_slice(b"description");
        bytes[4..4 + self.magic.len()].copy_from_slice(self.magic);
    }

    /// The bytes of a single file.
    fn file(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.extend([0; 4]);
        bytes.extend(&self.voxels);
        bytes
    }

    /// Replaces the voxels by 0, 10, 20, ... (or what of that the type can hold) in the given type.
    fn with_type(mut self, code: i16, bits: i16) -> Self {
        self.datatype = (code, bits);
        let size = bits as usize / 8;
        let mut bytes = vec![0; 24 * size];
        for (index, voxel) in bytes.chunks_mut(size).enumerate() {
            let value = 5 * index as i64;
            let stored = match code {
                16 => Stored::F32(value as f32),
                64 => Stored::F64(value as f64),
                _ => match size {
                    1 => Stored::U8(value as u8),
                    2 => Stored::I16(value as i16),
                    4 => Stored::I32(value as i32),
                    _ => Stored::I64(value),
                },
            };
            self.put(voxel, 0, stored);
        }
        self.voxels = bytes;
        self
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn stored(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn read_bytes(bytes: &[u8]) -> Result<Image> {
    let folder = folder();
    nifti::read(&stored(&folder, "scan.nii", bytes), &Limits::default())
}

fn bad_image(bytes: &[u8]) -> String {
    let fault = read_bytes(bytes).unwrap_err();
    assert!(matches!(fault.kind(), Error::BadImage(_)), "{fault}");
    assert!(fault.to_string().contains("scan.nii"), "{fault}");
    fault.to_string()
}

fn first_values(image: &Image) -> [f32; 3] {
    let values = image.volume.as_slice();
    [values[0], values[1], values[23]]
}

#[test]
fn every_type_order_version_and_compression_reads() {
    let types = [
        (2, 8),
        (256, 8),
        (4, 16),
        (512, 16),
        (8, 32),
        (768, 32),
        (1024, 64),
        (1280, 64),
        (16, 32),
        (64, 64),
    ];
    for version in [1, 2] {
        for big_endian in [false, true] {
            for (code, bits) in types {
                let builder = Builder { big_endian, ..Builder::new(version) }.with_type(code, bits);
                for bytes in [builder.file(), gzip(&builder.file())] {
                    let image = read_bytes(&bytes).unwrap();
                    assert_eq!(first_values(&image), [0.0, 5.0, 115.0], "{version} {big_endian} {code}");
                    assert_eq!(image.volume.dims(), DIMS);
                    assert_eq!(image.volume.affine().rows()[0], [-2.0, 0.0, 0.0, 90.0]);
                    assert_eq!(image.volume.affine().rows()[1], [0.0, 0.0, 1.5, -126.0]);
                    assert_eq!(image.header.is_nifti2(), version == 2);
                    assert_eq!(image.header.description(), "description");
                    assert!(image.warnings.is_empty(), "{:?}", image.warnings);
                }
            }
        }
    }
}

#[test]
fn voxels_are_in_the_file_s_order() {
    let image = read_bytes(&Builder::new(1).file()).unwrap();
    assert_eq!(image.volume.voxels()[(1, 0, 0)], -40.0);
    assert_eq!(image.volume.voxels()[(0, 1, 0)], -10.0);
    assert_eq!(image.volume.voxels()[(0, 0, 1)], 70.0);
}

#[test]
fn pairs_read_by_either_name() {
    for version in [1, 2] {
        let magic: &[u8] = if version == 1 { b"ni1\0" } else { b"ni2\0\r\n\x1a\n" };
        let pair = Builder { magic, vox_offset: 0.0, ..Builder::new(version) };
        for (header, voxels) in
            [("a.1.hdr", "a.1.img"), ("b.hdr.gz", "b.img.gz"), ("c.hdr", "c.img.gz"), ("D.HDR", "D.IMG")]
        {
            let folder = folder();
            let packed =
                |name: &str, bytes: &[u8]| if name.ends_with(".gz") { gzip(bytes) } else { bytes.to_vec() };
            let header = stored(&folder, header, &packed(header, &pair.header()));
            let voxels = stored(&folder, voxels, &packed(voxels, &pair.voxels));
            for path in [&header, &voxels] {
                assert_eq!(
                    first_values(&nifti::read(path, &Limits::default()).unwrap()),
                    [-50.0, -40.0, 180.0]
                );
            }
            fs::remove_file(&voxels).unwrap();
            let fault = nifti::read(&header, &Limits::default()).unwrap_err();
            assert!(matches!(fault, Error::Io { .. }), "{fault}");
        }
        assert!(bad_image(&pair.file()).contains(".hdr"));
    }
}

#[test]
fn an_img_beside_a_single_file_is_not_silently_passed_over() {
    let folder = folder();
    stored(&folder, "a.hdr", &Builder::new(1).file());
    let voxels = stored(&folder, "a.img", &[0; 48]);
    assert!(matches!(nifti::read(&voxels, &Limits::default()).unwrap_err().kind(), Error::BadImage(_)));
}

#[test]
fn slopes_are_applied_and_senseless_ones_are_not() {
    let read = |scaling| read_bytes(&Builder { scaling, ..Builder::new(1) }.file());
    assert_eq!(first_values(&read((0.5, -100.0)).unwrap()), [-125.0, -120.0, -10.0]);
    assert_eq!(first_values(&read((-1.0, 0.0)).unwrap()), [50.0, 40.0, -180.0]);
    for slope in [0.0, f64::NAN, f64::INFINITY] {
        let image = read((slope, 7.0)).unwrap();
        assert_eq!(first_values(&image), [-50.0, -40.0, 180.0]);
        assert_eq!(image.warnings.len(), usize::from(slope != 0.0));
    }
    assert!(matches!(read((1.0, f64::NAN)).unwrap_err().kind(), Error::BadImage(_)));
}

#[test]
fn wide_integers_are_scaled_before_they_are_narrowed() {
    let mut builder = Builder { scaling: (1.0, -2_147_483_000.0), ..Builder::new(2) }.with_type(8, 32);
    builder.voxels[..4].copy_from_slice(&2_147_483_647_i32.to_le_bytes());
    assert_eq!(first_values(&read_bytes(&builder.file()).unwrap())[0], 647.0);
}

#[test]
fn voxels_that_are_no_numbers_stay_so() {
    let mut builder = Builder::new(1).with_type(16, 32);
    builder.voxels[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    builder.voxels[4..8].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let values = first_values(&read_bytes(&builder.file()).unwrap());
    assert!(values[0].is_nan() && values[1] == f32::INFINITY);
}

#[test]
fn forms_are_chosen_by_their_codes() {
    // A quarter turn about z: i runs to the front, j to the left; the third axis is mirrored.
    let turned = Builder {
        pixdim: [-1.0, 2.0, 3.0, 1.5, 0.0, 0.0, 0.0, 0.0],
        quaternion: [0.0, 0.0, 0.5_f64.sqrt()],
        qoffset: [1.0, 2.0, 3.0],
        ..Builder::new(2)
    };
    let rows = |codes| {
        let image = read_bytes(&Builder { codes, ..turned.clone() }.file()).unwrap();
        (image.volume.affine().rows(), image.warnings)
    };
    let (qform, warnings) = rows((1, 0));
    let expected = [[0.0, -3.0, 0.0, 1.0], [2.0, 0.0, 0.0, 2.0], [0.0, 0.0, -1.5, 3.0], [0.0, 0.0, 0.0, 1.0]];
    for (entry, expected) in qform.iter().flatten().zip(expected.iter().flatten()) {
        assert!((entry - expected).abs() < 1e-12, "{qform:?}");
    }
    assert!(warnings.is_empty());
    let (sform, warnings) = rows((1, 4));
    assert_eq!(sform[0], [-2.0, 0.0, 0.0, 90.0]);
    assert!(warnings[0].contains("apart"));
    let (neither, warnings) = rows((0, 0));
    assert_eq!(neither[1], [0.0, 3.0, 0.0, 0.0]);
    assert!(warnings[0].contains("left and right"));
}

#[test]
fn an_unusable_form_gives_way_to_the_other() {
    let singular = Builder { srow: [0.0; 12], codes: (1, 1), ..Builder::new(1) };
    let image = read_bytes(&singular.file()).unwrap();
    assert_eq!(image.volume.affine().voxel_sizes(), [2.0, 3.0, 1.5]);
    assert!(image.warnings[0].contains("sform is ignored"));
    let no_turn = Builder { quaternion: [f64::NAN; 3], codes: (1, 1), ..Builder::new(1) };
    let image = read_bytes(&no_turn.file()).unwrap();
    assert!(image.warnings[0].contains("qform is ignored"));

    assert!(bad_image(&Builder { codes: (0, 1), ..singular.clone() }.file()).contains("sform"));
    assert!(bad_image(&Builder { srow: [f64::NAN; 12], ..Builder::new(1) }.file()).contains("sform"));
    let long = Builder { quaternion: [1.0; 3], codes: (1, 0), ..Builder::new(1) };
    assert!(bad_image(&long.file()).contains("qform"));
}

#[test]
fn voxel_sizes_are_repaired_only_where_another_form_says_them() {
    let pixdim = [0.0, -2.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0];
    let image = read_bytes(&Builder { pixdim, ..Builder::new(1) }.file()).unwrap();
    assert_eq!(image.warnings.len(), 2, "{:?}", image.warnings);
    for codes in [(1, 0), (0, 0)] {
        bad_image(&Builder { pixdim, codes, ..Builder::new(1) }.file());
    }
    let negative = [0.0, -2.0, 3.0, 1.5, 0.0, 0.0, 0.0, 0.0];
    let image = read_bytes(&Builder { pixdim: negative, codes: (1, 0), ..Builder::new(1) }.file()).unwrap();
    assert_eq!(image.volume.affine().rows()[0][0], 2.0);
    assert_eq!(image.volume.affine().rows()[2][2], 1.5);
}

#[test]
fn other_units_are_brought_to_millimetres_and_back() {
    let srow = SROW.map(|entry| entry / 1000.0);
    let pixdim = [1.0, 0.002, 0.003, 0.0015, 0.0, 0.0, 0.0, 0.0];
    let image = read_bytes(&Builder { srow, pixdim, xyzt_units: 1, ..Builder::new(2) }.file()).unwrap();
    assert!((image.volume.affine().rows()[0][0] + 2.0).abs() < 1e-9);
    let folder = folder();
    let path = folder.path().join("metres.nii");
    let options = WriteOptions { description: "description", ..float_options() };
    nifti::write(&path, &image.volume, &image.header, &options).unwrap();
    assert_eq!(nifti::read(&path, &Limits::default()).unwrap(), image);
}

#[test]
fn one_volume_of_more_dimensions_reads_and_several_do_not() {
    let read = |dim| read_bytes(&Builder { dim, ..Builder::new(1) }.file());
    assert_eq!(read([4, 4, 3, 2, 1, 0, 0, 0]).unwrap().volume.dims(), DIMS);
    assert_eq!(read([7, 4, 3, 2, 1, 1, 1, 1]).unwrap().volume.dims(), DIMS);
    assert!(
        bad_image(&Builder { dim: [4, 4, 3, 2, 5, 1, 1, 1], ..Builder::new(1) }.file()).contains("5 volumes")
    );
    for dim in [
        [2, 4, 6, 1, 1, 1, 1, 1],
        [0; 8],
        [8; 8],
        [-3; 8],
        [3, 4, 0, 2, 1, 1, 1, 1],
        [3, 4, -3, 2, 1, 1, 1, 1],
    ] {
        assert!(matches!(read(dim).unwrap_err().kind(), Error::BadImage(_)), "{dim:?}");
    }
}

#[test]
fn lying_dimensions_are_over_a_limit() {
    for (version, dim) in [
        (1, [3, 32767, 32767, 32767, 1, 1, 1, 1]),
        (2, [3, i64::MAX, 2, 2, 1, 1, 1, 1]),
        (1, [3, 1024, 1024, 1024, 1, 1, 1, 1]),
    ] {
        let fault = read_bytes(&Builder { dim, ..Builder::new(version) }.file()).unwrap_err();
        assert!(matches!(fault.kind(), Error::OutOfMemory(_)), "{fault}");
    }
    let fault = read_bytes(&Builder { vox_offset: 1e9, ..Builder::new(1) }.file()).unwrap_err();
    assert!(matches!(fault.kind(), Error::OutOfMemory(_)), "{fault}");
}

#[test]
fn extensions_are_passed_over() {
    let mut bytes = Builder { vox_offset: 384.0, ..Builder::new(1) }.header();
    bytes.extend([1, 0, 0, 0]);
    bytes.extend([0x20, 0, 0, 0, 6, 0, 0, 0]);
    bytes.extend([b'x'; 24]);
    bytes.extend(Builder::new(1).voxels);
    assert_eq!(first_values(&read_bytes(&bytes).unwrap()), [-50.0, -40.0, 180.0]);
}

#[test]
fn wrong_magics_types_and_offsets_are_refused() {
    bad_image(&Builder { magic: b"n+3\0", ..Builder::new(1) }.file());
    bad_image(&Builder { magic: b"n+2\0\n\x1a\n\0", ..Builder::new(2) }.file());
    bad_image(&Builder { datatype: (9999, 16), ..Builder::new(1) }.file());
    bad_image(b"This is not a NIfTI file.");
    for vox_offset in [0.0, 100.0, -1.0, 352.5, f64::NAN, f64::INFINITY] {
        bad_image(&Builder { vox_offset, ..Builder::new(1) }.file());
    }
    let analyze = Builder { magic: b"\0\0\0\0", ..Builder::new(1) };
    for (builder, word) in [
        (analyze, "Analyze"),
        (Builder { datatype: (32, 64), ..Builder::new(1) }, "Complex64"),
        (Builder { datatype: (1536, 128), ..Builder::new(1) }, "Float128"),
        (Builder { datatype: (128, 24), ..Builder::new(1) }, "Rgb24"),
    ] {
        let fault = read_bytes(&builder.file()).unwrap_err();
        assert!(matches!(fault.kind(), Error::Unsupported(_)) && fault.to_string().contains(word), "{fault}");
    }
}

#[test]
fn every_truncation_is_told() {
    for version in [1, 2] {
        let whole = Builder::new(version).file();
        for length in 1..whole.len() {
            bad_image(&whole[..length]);
        }
        let packed = gzip(&whole);
        for length in 1..packed.len() {
            bad_image(&packed[..length]);
        }
    }
    let message = bad_image(&Builder::new(1).file()[..380]);
    assert!(message.contains("48 bytes") && message.contains("28 found"), "{message}");
}

#[test]
fn trailing_bytes_are_tolerated_and_wrong_checksums_are_not() {
    let mut bytes = Builder::new(1).file();
    bytes.extend([7; 100]);
    assert_eq!(first_values(&read_bytes(&bytes).unwrap()), [-50.0, -40.0, 180.0]);
    let mut packed = gzip(&bytes);
    let checksum = packed.len() - 8;
    assert!(read_bytes(&packed).is_ok());
    packed[checksum] ^= 1;
    assert!(bad_image(&packed).contains("damaged"));
}

#[test]
fn a_gzip_bomb_is_left_alone_after_the_limit() {
    let mut bytes = Builder::new(1).file();
    bytes.resize(1 << 20, 0);
    let folder = folder();
    let path = stored(&folder, "bomb.nii.gz", &gzip(&bytes));
    let image = nifti::read(&path, &Limits { max_extension_bytes: 1000, ..Limits::default() }).unwrap();
    assert!(image.warnings[0].contains("checksum"));
}

/// A file of several of the reader's buffers, packed: random voxels do not compress.
fn large_packed() -> Vec<u8> {
    let dim = [3, 40, 50, 60, 1, 1, 1, 1];
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let voxels = (0..2 * 40 * 50 * 60).map(|_| random()).collect();
    gzip(&Builder { dim, voxels, ..Builder::new(1) }.file())
}

#[test]
fn every_damage_of_a_gzip_trailer_is_told() {
    for packed in [gzip(&Builder::new(1).file()), large_packed()] {
        assert!(read_bytes(&packed).is_ok());
        let trailer = packed.len() - 8;
        // Its checksum, and then its length.
        for (at, bit) in (trailer..packed.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = packed.clone();
            damaged[at] ^= 1 << bit;
            assert!(bad_image(&damaged).contains("damaged"), "bit {bit} of byte {at}");
        }
        for length in (trailer..packed.len()).chain((2..trailer).step_by(packed.len().div_ceil(300))) {
            assert!(bad_image(&packed[..length]).contains("truncated"), "{length} of {}", packed.len());
        }
    }
}

#[test]
fn damage_anywhere_in_gzip_data_is_told_or_changes_nothing() {
    let packed = gzip(&Builder::new(1).file());
    let whole = read_bytes(&packed).unwrap();
    for (at, bit) in (0..packed.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut damaged = packed.clone();
        damaged[at] ^= 1 << bit;
        // The time in gzip's own header, for one, says nothing about the data.
        if let Ok(image) = read_bytes(&damaged) {
            assert_eq!(image, whole, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn gzip_members_are_one_file_wherever_they_part() {
    let bytes = Builder::new(1).file();
    let whole = read_bytes(&bytes).unwrap();
    for part in 1..bytes.len() {
        let packed = [gzip(&bytes[..part]), gzip(b""), gzip(&bytes[part..])].concat();
        assert_eq!(read_bytes(&packed).unwrap(), whole, "{part}");
    }
    // A member is damaged or cut short wherever it lies, be it behind the voxels.
    let (first, second) = (gzip(&bytes), gzip(b"more"));
    let mut damaged = [first.clone(), second.clone()].concat();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert!(bad_image(&damaged).contains("damaged"));
    for length in 2..second.len() {
        assert!(bad_image(&[&first[..], &second[..length]].concat()).contains("truncated"), "{length}");
    }
}

#[test]
fn what_follows_the_last_gzip_member_is_ignored() {
    let packed = gzip(&Builder::new(1).file());
    let whole = read_bytes(&packed).unwrap();
    for garbage in [&b"\0"[..], b"\x1f", &[0; 1000], b"rest of another file", &[0xff; 70_000]] {
        assert_eq!(read_bytes(&[&packed[..], garbage].concat()).unwrap(), whole);
    }
}

#[test]
fn the_packed_header_of_a_pair_is_checked_to_its_end() {
    let pair = Builder { magic: b"ni1\0", vox_offset: 0.0, ..Builder::new(1) };
    let folder = folder();
    let mut packed = gzip(&pair.header());
    let voxels = stored(&folder, "a.img.gz", &gzip(&pair.voxels));
    stored(&folder, "a.hdr.gz", &packed);
    assert!(nifti::read(&voxels, &Limits::default()).is_ok());
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    stored(&folder, "a.hdr.gz", &packed);
    let fault = nifti::read(&voxels, &Limits::default()).unwrap_err();
    assert!(fault.to_string().contains("a.hdr.gz") && fault.to_string().contains("damaged"), "{fault}");
}

#[test]
fn compression_is_told_by_content() {
    let folder = folder();
    let plain_named_gz = stored(&folder, "a.nii.gz", &Builder::new(1).file());
    let gzip_named_plain = stored(&folder, "b.nii", &gzip(&Builder::new(1).file()));
    for path in [plain_named_gz, gzip_named_plain] {
        assert!(nifti::read(&path, &Limits::default()).is_ok());
    }
}

#[test]
fn what_is_no_file_is_told() {
    let folder = folder();
    let read = |path: &Path| nifti::read(path, &Limits::default()).unwrap_err().to_string();
    assert!(read(folder.path()).contains("directory"));
    assert!(read(&stored(&folder, "empty.nii", b"")).contains("empty"));
    assert!(read(&folder.path().join("absent.nii")).contains("absent.nii"));
    #[cfg(unix)]
    assert!(read(Path::new("/dev/zero")).contains("not a regular file"));
}

fn float_options() -> WriteOptions<'static> {
    WriteOptions {
        voxel_type: VoxelType::Float32,
        description: "made here",
        extension: None,
        overwrite: false,
    }
}

fn small_volume() -> Volume {
    let voxels = Array3::from_shape_fn(DIMS, |(i, j, k)| (i + 4 * j + 12 * k) as f32 / 23.0);
    let rows = [[0.0, 0.9, 0.0, -20.0], [-1.1, 0.0, 0.0, 30.0], [0.0, 0.0, 2.5, 7.0], [0.0, 0.0, 0.0, 1.0]];
    Volume::new(voxels, Affine::from_rows(rows).unwrap()).unwrap()
}

#[test]
fn written_files_read_the_same() {
    let folder = folder();
    for version in [1, 2] {
        for (name, codes) in [
            ("scan.1.5mm.nii", (1, 2)),
            ("scan.nii.gz", (0, 4)),
            ("neither.nii", (0, 0)),
            ("q.NII.GZ", (3, 0)),
        ] {
            let image = read_bytes(
                &Builder {
                    codes,
                    quaternion: [0.1, -0.2, 0.3],
                    qoffset: [-1.5, 2.25, 3.1],
                    toffset: 4.5,
                    xyzt_units: 10,
                    ..Builder::new(version)
                }
                .file(),
            )
            .unwrap();
            let path = folder.path().join(format!("{version}.{name}"));
            let options = WriteOptions { description: "description", ..float_options() };
            nifti::write(&path, &image.volume, &image.header, &options).unwrap();
            assert_eq!(nifti::read(&path, &Limits::default()).unwrap(), image);
            let packed = fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]);
            assert_eq!(packed, name.to_lowercase().ends_with(".gz"));
        }
    }
    assert!(folder.path().join("1.scan.1.5mm.nii").exists());
}

#[test]
fn every_written_type_reads_within_its_step() {
    let folder = folder();
    let volume = small_volume();
    let header = Header::for_grid(&volume.grid());
    for (voxel_type, step) in [
        (VoxelType::Uint8, 1.0_f32 / 255.0),
        (VoxelType::Int16, 1e-3),
        (VoxelType::Uint16, 1e-3),
        (VoxelType::Float32, 0.0),
        (VoxelType::Float64, 0.0),
    ] {
        let path = folder.path().join(format!("{voxel_type:?}.nii"));
        nifti::write(&path, &volume, &header, &WriteOptions { voxel_type, ..float_options() }).unwrap();
        let image = nifti::read(&path, &Limits::default()).unwrap();
        assert!(image.warnings.is_empty(), "{:?}", image.warnings);
        for (read, value) in image.volume.as_slice().iter().zip(volume.as_slice()) {
            assert!((read - value).abs() <= 0.5 * step * 1.001, "{voxel_type:?}: {read} {value}");
        }
    }
}

#[test]
fn labels_and_the_standard_space_survive_a_round_trip() {
    let folder = folder();
    let mut volume = small_volume();
    for (index, voxel) in volume.as_mut_slice().iter_mut().enumerate() {
        *voxel = (index % 3) as f32;
    }
    let path = folder.path().join("labels.nii");
    let header = Header::for_grid(&volume.grid()).in_mni152();
    let options = WriteOptions { voxel_type: VoxelType::Label, ..float_options() };
    nifti::write(&path, &volume, &header, &options).unwrap();
    let bytes = fs::read(&path).unwrap();
    let word = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    // Unsigned bytes; qform and sform of MNI152; a slope of 1.
    assert_eq!([word(70), word(252), word(254)], [2, 4, 4]);
    assert_eq!(bytes[112..116], 1.0_f32.to_le_bytes());
    assert_eq!(bytes[352..358], [0, 1, 2, 0, 1, 2]);
    let image = nifti::read(&path, &Limits::default()).unwrap();
    assert_eq!(image.volume.as_slice(), volume.as_slice());
    assert_eq!(image.header.affine().unwrap(), header.affine().unwrap());
}

#[test]
fn another_reader_agrees_with_what_is_written() {
    use ::nifti::{IntoNdArray, NiftiObject, ReaderOptions};
    let folder = folder();
    let volume = small_volume();
    let path = folder.path().join("scan.nii.gz");
    let options = WriteOptions { extension: Some("{\"made\": \"here\"}"), ..float_options() };
    nifti::write(&path, &volume, &Header::for_grid(&volume.grid()), &options).unwrap();
    let object = ReaderOptions::new().read_file(&path).unwrap();
    assert_eq!(object.header().dim, [3, 4, 3, 2, 1, 1, 1, 1]);
    assert_eq!((object.header().qform_code, object.header().sform_code), (1, 1));
    assert_eq!(object.header().srow_y, [-1.1, 0.0, 0.0, 30.0]);
    assert!(object.header().descrip.starts_with(b"made here\0"));
    assert_eq!(nifti::description(&path).unwrap(), "made here");
    let extension = object.extensions().iter().next().unwrap();
    assert_eq!(extension.code(), 6);
    assert!(extension.data().starts_with(b"{\"made\": \"here\"}\0"));
    let voxels = object.into_volume().into_ndarray::<f32>().unwrap();
    assert_eq!(voxels, volume.voxels().into_dyn());
}

#[test]
fn equal_volumes_give_equal_bytes() {
    let folder = folder();
    let volume = small_volume();
    let written = |name: &str| {
        let path = folder.path().join(name);
        nifti::write(&path, &volume, &Header::for_grid(&volume.grid()), &float_options()).unwrap();
        fs::read(path).unwrap()
    };
    assert_eq!(written("a.nii.gz"), written("b.nii.gz"));
}

#[test]
fn existing_files_stay_unless_overwriting_is_asked_for() {
    let folder = folder();
    let volume = small_volume();
    let header = Header::for_grid(&volume.grid());
    let path = stored(&folder, "scan.nii", b"precious");
    let fault = nifti::write(&path, &volume, &header, &float_options()).unwrap_err();
    assert!(fault.to_string().contains("exists"), "{fault}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    nifti::write(&path, &volume, &header, &WriteOptions { overwrite: true, ..float_options() }).unwrap();
    assert!(nifti::read(&path, &Limits::default()).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = folder();
    let volume = small_volume();
    let header = Header::for_grid(&volume.grid());
    let absent = folder.path().join("absent").join("scan.nii");
    assert!(matches!(nifti::write(&absent, &volume, &header, &float_options()), Err(Error::Io { .. })));
    // A directory cannot be replaced by a file.
    let taken = folder.path().join("taken.nii");
    fs::create_dir(&taken).unwrap();
    let overwriting = WriteOptions { overwrite: true, ..float_options() };
    assert!(nifti::write(&taken, &volume, &header, &overwriting).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn an_unwritable_folder_is_told_and_stays_empty() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), b"").is_ok() {
        eprintln!("SKIPPED: this user may write anywhere, so an unwritable folder cannot be made");
        return;
    }
    let volume = small_volume();
    let header = Header::for_grid(&volume.grid());
    let written = nifti::write(&locked.join("scan.nii"), &volume, &header, &float_options());
    assert!(matches!(written, Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(&locked).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn written_files_have_the_permissions_of_new_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let volume = small_volume();
    let path = folder.path().join("scan.nii");
    nifti::write(&path, &volume, &Header::for_grid(&volume.grid()), &float_options()).unwrap();
    assert_eq!(mode(&path), mode(&stored(&folder, "new", b"")));
}

#[test]
fn bad_arguments_are_refused_before_anything_is_written() {
    let folder = folder();
    let volume = small_volume();
    let header = Header::for_grid(&volume.grid());
    let long = "x".repeat(80);
    let elsewhere =
        Header::for_grid(&Grid { affine: volume.affine().cropped_at([1.0, 0.0, 0.0]), ..volume.grid() });
    let refused = |name: &str, header: &Header, options: WriteOptions<'_>| {
        let fault = nifti::write(&folder.path().join(name), &volume, header, &options).unwrap_err();
        assert!(matches!(fault.kind(), Error::InvalidArgument(_)), "{fault}");
    };
    refused("a.nii", &elsewhere, float_options());
    refused("a.nii", &header, WriteOptions { description: &long, ..float_options() });
    refused("a.nii", &header, WriteOptions { description: "a\0b", ..float_options() });
    refused("a.hdr", &header, float_options());
    refused("a.mgz", &header, float_options());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let just_fits = WriteOptions { description: &long[..79], ..float_options() };
    nifti::write(&folder.path().join("a.nii"), &volume, &header, &just_fits).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        version in 1_u8..=2, packed in any::<bool>(),
        changes in prop::collection::vec((0_usize..600, any::<u8>()), 0..12), cut in 0_usize..700,
    ) {
        let mut bytes = Builder { codes: (1, 1), ..Builder::new(version) }.file();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut);
        let bytes = if packed { gzip(&bytes) } else { bytes };
        let limits = Limits { max_axis: 100, max_voxels: 10_000, max_extension_bytes: 1000, ..Limits::default() };
        let folder = folder();
        match nifti::read(&stored(&folder, "scan.nii", &bytes), &limits) {
            Ok(image) => {
                prop_assert!(image.volume.dims().iter().all(|&voxels| voxels <= 100));
                prop_assert!(image.volume.as_slice().len() <= 10_000);
                // What reads can be written, and then reads without a further repair.
                let copy = folder.path().join("copy.nii");
                nifti::write(&copy, &image.volume, &image.header, &float_options()).unwrap();
                let again = nifti::read(&copy, &limits).unwrap();
                prop_assert_eq!(again.volume.affine(), image.volume.affine());
            }
            Err(fault) => prop_assert!(!matches!(fault.kind(), Error::Internal(_)), "{}", fault),
        }
    }

    #[test]
    fn random_headers_are_harmless(mut bytes in prop::collection::vec(any::<u8>(), 0..700), version in 0_u8..3, big_endian in any::<bool>()) {
        if version > 0 {
            let start = Builder { big_endian, ..Builder::new(version) }.header();
            let magic = if version == 1 { 344..348 } else { 4..12 };
            for at in (0..4).chain(magic) {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = start[at];
                }
            }
        }
        let folder = folder();
        let limits = Limits { max_axis: 100, max_voxels: 10_000, ..Limits::default() };
        let _ = nifti::read(&stored(&folder, "scan.nii", &bytes), &limits);
    }
}
