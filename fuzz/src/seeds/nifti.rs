//! NIfTI files.

use super::named;
use crate::Seed;

/// A header to be: where each field lies in the version at hand, and in which byte order it is written.
struct File {
    bytes: Vec<u8>,
    is_second: bool,
    is_big_endian: bool,
}

/// The voxels of all seeds, whatever their type.
const DIMS: [i64; 3] = [3, 2, 2];
const VOXELS: usize = 12;

impl File {
    /// A header of 1 mm voxels of the type `datatype`, with an extender and no voxels.
    fn new(is_second: bool, is_big_endian: bool, datatype: i64, bits: i64) -> Self {
        let size = if is_second { 540 } else { 348 };
        let mut file = Self { bytes: vec![0; size + 4], is_second, is_big_endian };
        file.put(0, 4, size as i64);
        let magic: &[u8] = if is_second { b"n+2\0\r\n\x1a\n" } else { b"n+1\0" };
        file.put_bytes(if is_second { 4 } else { 344 }, magic);
        file.set_dims(&[3, DIMS[0], DIMS[1], DIMS[2], 1, 1, 1, 1]);
        file.put_short(70, 12, datatype);
        file.put_short(72, 14, bits);
        for axis in 0..4 {
            file.put_float(76 + 4 * axis, 104 + 8 * axis, 1.0);
        }
        file.set_offset(size as i64 + 4);
        file.put_float(112, 176, 1.0);
        file.put_code(252, 344, 1);
        file.put_code(254, 348, 1);
        for axis in 0..3 {
            let diagonal = 4 * axis + axis;
            file.put_float(280 + 4 * diagonal, 400 + 8 * diagonal, 1.0);
        }
        if is_second {
            file.put(500, 4, 10)
        } else {
            file.bytes[123] = 10
        }
        file
    }

    fn put(&mut self, at: usize, size: usize, value: i64) {
        let mut bytes = value.to_le_bytes()[..size].to_vec();
        if self.is_big_endian {
            bytes.reverse();
        }
        self.put_bytes(at, &bytes);
    }

    fn put_bytes(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A number of 16 bits in either version.
    fn put_short(&mut self, first: usize, second: usize, value: i64) {
        self.put(if self.is_second { second } else { first }, 2, value);
    }

    /// A number of 16 bits in the first version, and of 32 in the second.
    fn put_code(&mut self, first: usize, second: usize, value: i64) {
        if self.is_second { self.put(second, 4, value) } else { self.put(first, 2, value) }
    }

    /// A float of 32 bits in the first version, and of 64 in the second.
    fn put_float(&mut self, first: usize, second: usize, value: f64) {
        if self.is_second {
            self.put(second, 8, value.to_bits() as i64);
        } else {
            self.put(first, 4, i64::from((value as f32).to_bits()));
        }
    }

    fn set_dims(&mut self, dims: &[i64; 8]) {
        for (axis, &length) in dims.iter().enumerate() {
            if self.is_second {
                self.put(16 + 8 * axis, 8, length)
            } else {
                self.put(40 + 2 * axis, 2, length)
            }
        }
    }

    fn set_offset(&mut self, offset: i64) {
        if self.is_second { self.put(168, 8, offset) } else { self.put_float(108, 108, offset as f64) }
    }

    /// The file with bytes behind what there is.
    fn with(mut self, bytes: &[u8]) -> Vec<u8> {
        self.bytes.extend(bytes);
        self.bytes
    }

    /// Puts an extension before the voxels.
    fn with_extension(mut self, text: &[u8]) -> Self {
        let size = (8 + text.len()).next_multiple_of(16);
        let at = self.bytes.len();
        self.bytes[at - 4] = 1;
        self.bytes.resize(at + size, 0);
        self.put(at, 4, size as i64);
        self.put(at + 4, 4, 6);
        self.put_bytes(at + 8, text);
        self.set_offset((at + size) as i64);
        self
    }
}

/// As many bytes of voxels as a type of `size` bytes wants.
fn voxels(size: usize) -> Vec<u8> {
    (0..VOXELS * size).map(|at| (at * 37) as u8).collect()
}

fn plain() -> Vec<u8> {
    File::new(false, false, 16, 32).with(&voxels(4))
}

pub(crate) fn single_files() -> Vec<Seed> {
    let types = [
        (2, 1),
        (4, 2),
        (8, 4),
        (16, 4),
        (64, 8),
        (256, 1),
        (512, 2),
        (768, 4),
        (1024, 8),
        (1280, 8),
        (128, 3),
    ];
    let mut seeds: Vec<Seed> = types
        .into_iter()
        .map(|(code, size)| {
            let file = File::new(false, false, code, 8 * size as i64).with(&voxels(size));
            (format!("nifti1-type-{code}.nii"), file)
        })
        .collect();
    let mut scaled = File::new(false, false, 4, 16);
    scaled.put_float(112, 176, 0.5);
    scaled.put_float(116, 184, -3.0);
    let mut turned = File::new(true, false, 4, 16);
    turned.put_code(254, 348, 0);
    for (part, value) in [0.1, 0.7, -0.2].into_iter().enumerate() {
        turned.put_float(256 + 4 * part, 352 + 8 * part, value);
    }
    let mut formless = File::new(false, false, 2, 8);
    formless.put_code(252, 344, 0);
    formless.put_code(254, 348, 0);
    formless.put_float(80, 112, -1.0);
    let mut in_metres = File::new(false, false, 2, 8);
    in_metres.bytes[123] = 1;
    for at in [280, 300, 320] {
        in_metres.put(at, 4, i64::from(0.001_f32.to_bits()));
    }
    let mut long = File::new(false, false, 2, 8);
    long.set_dims(&[7, 12, 1, 1, 1, 1, 1, 1]);
    seeds.extend(named([
        ("nifti1-big-endian.nii", File::new(false, true, 4, 16).with(&voxels(2))),
        ("nifti2.nii", File::new(true, false, 16, 32).with(&voxels(4))),
        ("nifti2-big-endian.nii", File::new(true, true, 64, 64).with(&voxels(8))),
        ("nifti1-extension.nii", File::new(false, false, 2, 8).with_extension(b"a text").with(&voxels(1))),
        ("nifti2-extension.nii", File::new(true, true, 2, 8).with_extension(b"{}").with(&voxels(1))),
        ("nifti1-scaled.nii", scaled.with(&voxels(2))),
        ("nifti2-quaternion.nii", turned.with(&voxels(2))),
        ("nifti1-no-form.nii", formless.with(&voxels(1))),
        ("nifti1-metres.nii", in_metres.with(&voxels(1))),
        ("nifti1-seven-dimensions.nii", long.with(&voxels(1))),
        ("nifti1-truncated.nii", plain()[..380].to_vec()),
        ("gzip-header-alone.nii", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]),
        ("empty.nii", Vec::new()),
    ]));
    seeds
}

pub(crate) fn gzipped() -> Vec<Seed> {
    // How it is wrapped is told in `targets::nifti`: members less one, level, fields, damage, where.
    let wrapped = |how: [u8; 5], file: Vec<u8>| [vec![1], how.to_vec(), file].concat();
    // Deflate's stored block, whose checksum is not right.
    let stored =
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 4, 0, 0xfb, 0xff, 0x5c, 1, 0, 0, 1, 2, 3, 4, 4, 0, 0, 0];
    named([
        ("one-member", wrapped([0, 6, 0, 0, 0], plain())),
        ("four-members-all-fields", wrapped([3, 1, 7, 0, 0], plain())),
        ("wrong-checksum", wrapped([0, 9, 0, 1, 7], plain())),
        ("wrong-length", wrapped([0, 9, 0, 1, 0], plain())),
        ("truncated-trailer", wrapped([0, 6, 0, 2, 3], plain())),
        ("bytes-behind", wrapped([0, 6, 0, 3, 9], plain())),
        ("half-a-member-behind", wrapped([1, 6, 0, 4, 0], plain())),
        ("many-zeros-behind", wrapped([0, 6, 0, 5, 0], plain())),
        ("damaged", wrapped([0, 6, 2, 6, 40], plain())),
        ("stored", wrapped([0, 0, 0, 0, 0], plain())),
        ("raw-stored-block", [vec![0], stored.to_vec()].concat()),
    ])
}

pub(crate) fn pairs() -> Vec<Seed> {
    let pair = |how: u8, magic: &[u8], is_second: bool| {
        let mut header = File::new(is_second, false, 2, 8);
        header.put_bytes(if is_second { 4 } else { 344 }, magic);
        header.set_offset(0);
        let header = header.bytes;
        [vec![how, header.len() as u8, (header.len() >> 8) as u8], header, voxels(1)].concat()
    };
    named([
        ("plain", pair(0, b"ni1\0", false)),
        ("gzipped", pair(3, b"ni1\0", false)),
        ("upper-case", pair(4, b"ni1\0", false)),
        ("no-voxels", pair(8, b"ni1\0", false)),
        ("voxels-named", pair(16, b"ni1\0", false)),
        ("half-gzipped-voxels-named", pair(18, b"ni1\0", false)),
        ("nifti2", pair(0, b"ni2\0", true)),
        ("says-single-file", pair(16, b"n+1\0", false)),
    ])
}
