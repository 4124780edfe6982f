//! The NIfTI header: its fields in both versions, and the grid that they describe.

use glam::{DMat3, DQuat, DVec3};
use nifti::{Endianness, NiftiHeader, NiftiType};

use super::extension::EXTENDER_BYTES;
use crate::{Affine, Error, Grid, Limits, Result};

/// Space for the header of either version.
pub(super) const MAX_HEADER_BYTES: usize = NIFTI2.bytes;
/// Bytes of a NIfTI-1 header, the shorter of the two; enough to tell which version a file has.
pub(super) const MIN_HEADER_BYTES: usize = NIFTI1.bytes;
/// Bytes of the description, of which the last stays zero.
pub(super) const DESCRIPTION_BYTES: usize = 80;

/// End of a NIfTI-2 magic, which a transfer in text mode would damage.
const NIFTI2_SIGNATURE: [u8; 4] = *b"\r\n\x1a\n";
/// Distance of grid corners, in millimetres, over which sform and qform are said to disagree.
const FORMS_AGREE_WITHIN: f64 = 0.1;
/// How far over 1 the squared length of (b, c, d) may be and still be taken for a rotation written with few digits.
const LONGEST_QUATERNION: f64 = 1.01;
/// `xform` code of scanner coordinates.
const SCANNER_CODE: i32 = 1;
/// `xform` code of MNI152 coordinates.
const MNI152_CODE: i32 = 4;
/// `xyzt_units` of millimetres and seconds.
const MILLIMETRES_AND_SECONDS: i32 = 2 | 8;

/// How a number lies in the header.
#[derive(Clone, Copy)]
enum Number {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

/// A number, or a run of numbers, in the header.
#[derive(Clone, Copy)]
struct Field {
    /// Offset in bytes.
    at: usize,
    number: Number,
}

const fn field(at: usize, number: Number) -> Field {
    Field { at, number }
}

/// Copies out the bytes of one number.
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut copy = [0; N];
    copy.copy_from_slice(&bytes[at..at + N]);
    copy
}

/// Reads a number of type `$type` in the byte order at hand.
macro_rules! ordered {
    ($type:ty, $bytes:expr, $at:expr, $order:expr) => {
        match $order {
            Endianness::Little => <$type>::from_le_bytes(bytes_at($bytes, $at)),
            Endianness::Big => <$type>::from_be_bytes(bytes_at($bytes, $at)),
        }
    };
}

impl Field {
    /// The number at `index` of the run. A double holds all that the fields can sensibly say (integers up to 2^53).
    fn get(self, bytes: &[u8], order: Endianness, index: usize) -> f64 {
        match self.number {
            Number::U8 => f64::from(bytes[self.at + index]),
            Number::I16 => f64::from(ordered!(i16, bytes, self.at + 2 * index, order)),
            Number::I32 => f64::from(ordered!(i32, bytes, self.at + 4 * index, order)),
            Number::I64 => ordered!(i64, bytes, self.at + 8 * index, order) as f64,
            Number::F32 => f64::from(ordered!(f32, bytes, self.at + 4 * index, order)),
            Number::F64 => ordered!(f64, bytes, self.at + 8 * index, order),
        }
    }

    /// A whole run of numbers.
    fn get_all<const N: usize>(self, bytes: &[u8], order: Endianness) -> [f64; N] {
        std::array::from_fn(|index| self.get(bytes, order, index))
    }

    /// Stores numbers from the start of the run, little-endian.
    fn put(self, bytes: &mut [u8], values: &[f64]) {
        for (index, &value) in values.iter().enumerate() {
            match self.number {
                Number::U8 => bytes[self.at + index] = value as u8,
                Number::I16 => put_bytes(bytes, self.at + 2 * index, (value as i16).to_le_bytes()),
                Number::I32 => put_bytes(bytes, self.at + 4 * index, (value as i32).to_le_bytes()),
                Number::I64 => put_bytes(bytes, self.at + 8 * index, (value as i64).to_le_bytes()),
                Number::F32 => put_bytes(bytes, self.at + 4 * index, (value as f32).to_le_bytes()),
                Number::F64 => put_bytes(bytes, self.at + 8 * index, value.to_le_bytes()),
            }
        }
    }
}

fn put_bytes<const N: usize>(bytes: &mut [u8], at: usize, number: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&number);
}

/// Where the fields of one version lie: the one table for reading and for writing.
struct Layout {
    bytes: usize,
    magic: usize,
    single_file_magic: &'static [u8],
    dim_info: Field,
    dim: Field,
    datatype: Field,
    bitpix: Field,
    pixdim: Field,
    vox_offset: Field,
    scl_slope: Field,
    scl_inter: Field,
    slice_start: Field,
    slice_end: Field,
    slice_code: Field,
    slice_duration: Field,
    xyzt_units: Field,
    toffset: Field,
    descrip: usize,
    qform_code: Field,
    sform_code: Field,
    quaternion: Field,
    qoffset: Field,
    srow: Field,
}

const NIFTI1: Layout = Layout {
    bytes: 348,
    magic: 344,
    single_file_magic: b"n+1\0",
    dim_info: field(39, Number::U8),
    dim: field(40, Number::I16),
    datatype: field(70, Number::I16),
    bitpix: field(72, Number::I16),
    pixdim: field(76, Number::F32),
    vox_offset: field(108, Number::F32),
    scl_slope: field(112, Number::F32),
    scl_inter: field(116, Number::F32),
    slice_start: field(74, Number::I16),
    slice_end: field(120, Number::I16),
    slice_code: field(122, Number::U8),
    slice_duration: field(132, Number::F32),
    xyzt_units: field(123, Number::U8),
    toffset: field(136, Number::F32),
    descrip: 148,
    qform_code: field(252, Number::I16),
    sform_code: field(254, Number::I16),
    quaternion: field(256, Number::F32),
    qoffset: field(268, Number::F32),
    srow: field(280, Number::F32),
};

const NIFTI2: Layout = Layout {
    bytes: 540,
    magic: 4,
    single_file_magic: b"n+2\0\r\n\x1a\n",
    dim_info: field(524, Number::U8),
    dim: field(16, Number::I64),
    datatype: field(12, Number::I16),
    bitpix: field(14, Number::I16),
    pixdim: field(104, Number::F64),
    vox_offset: field(168, Number::I64),
    scl_slope: field(176, Number::F64),
    scl_inter: field(184, Number::F64),
    slice_start: field(224, Number::I64),
    slice_end: field(232, Number::I64),
    slice_code: field(496, Number::I32),
    slice_duration: field(208, Number::F64),
    xyzt_units: field(500, Number::I32),
    toffset: field(216, Number::F64),
    descrip: 240,
    qform_code: field(344, Number::I32),
    sform_code: field(348, Number::I32),
    quaternion: field(352, Number::F64),
    qoffset: field(376, Number::F64),
    srow: field(400, Number::F64),
};

/// The two versions of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    fn layout(self) -> &'static Layout {
        match self {
            Self::One => &NIFTI1,
            Self::Two => &NIFTI2,
        }
    }

    /// Bytes of this version's header.
    pub(super) fn header_bytes(self) -> usize {
        self.layout().bytes
    }

    /// Version and byte order, by the header's first field, which is its own size.
    ///
    /// # Errors
    /// [`Error::BadImage`] if the field is no version's size.
    pub(super) fn detect(start: [u8; 4]) -> Result<(Self, Endianness)> {
        for version in [Self::One, Self::Two] {
            let size = version.layout().bytes as u32;
            if u32::from_le_bytes(start) == size {
                return Ok((version, Endianness::Little));
            }
            if u32::from_be_bytes(start) == size {
                return Ok((version, Endianness::Big));
            }
        }
        Err(Error::BadImage("not a NIfTI file: it does not start with a header size of 348 or 540".into()))
    }

    /// How close to zero the squared real part of a quaternion is taken for zero: rounding of its other parts must not
    /// turn a half turn into something else.
    fn quaternion_rounding(self) -> f64 {
        match self {
            Self::One => 3.0 * f64::from(f32::EPSILON),
            Self::Two => 3.0 * f64::EPSILON,
        }
    }

    /// `value` as this version's headers can hold it.
    fn rounded(self, value: f64) -> f64 {
        match self {
            Self::One => f64::from(value as f32),
            Self::Two => value,
        }
    }
}

/// What a NIfTI header says of a volume's grid and acquisition: enough to write another volume on the same grid with
/// the same qform, sform, codes, units and format version.
///
/// What it says of the voxels (type, scaling, intent, display range) is not kept: another volume has its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    version: Version,
    pixdim: [f64; 8],
    qform_code: i32,
    sform_code: i32,
    quaternion: [f64; 3],
    qoffset: [f64; 3],
    srow: [f64; 12],
    xyzt_units: i32,
    dim_info: u8,
    slice_start: f64,
    slice_end: f64,
    slice_code: i32,
    slice_duration: f64,
    toffset: f64,
    description: String,
}

impl Header {
    /// A NIfTI-1 header for a grid that comes from no file: millimetres, sform and (if the grid is not sheared) qform in
    /// scanner coordinates.
    pub fn for_grid(grid: &Grid) -> Self {
        let version = Version::One;
        let rows = grid.affine.rows();
        let mut header = Self {
            version,
            pixdim: [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            qform_code: SCANNER_CODE,
            sform_code: SCANNER_CODE,
            quaternion: [0.0; 3],
            qoffset: [0, 1, 2].map(|row| version.rounded(rows[row][3])),
            srow: std::array::from_fn(|index| version.rounded(rows[index / 4][index % 4])),
            xyzt_units: MILLIMETRES_AND_SECONDS,
            dim_info: 0,
            slice_start: 0.0,
            slice_end: 0.0,
            slice_code: 0,
            slice_duration: 0.0,
            toffset: 0.0,
            description: String::new(),
        };
        header.set_rotation(&grid.affine);
        let sheared =
            header.qform().map_or(true, |qform| farthest_corner(&qform, &grid.affine, grid.dims) > 1e-3);
        if sheared {
            header.qform_code = 0;
        }
        header
    }

    /// This header, saying that its coordinates are those of MNI152.
    #[must_use]
    pub fn in_mni152(mut self) -> Self {
        for code in [&mut self.qform_code, &mut self.sform_code] {
            // A form that is not set stays so.
            *code = if *code > 0 { MNI152_CODE } else { 0 };
        }
        self
    }

    /// Sets voxel sizes, handedness and quaternion from the axes of `affine`.
    fn set_rotation(&mut self, affine: &Affine) {
        let (rows, sizes) = (affine.rows(), affine.voxel_sizes());
        let axis = |j: usize| DVec3::new(rows[0][j], rows[1][j], rows[2][j]) / sizes[j];
        let mut axes = DMat3::from_cols(axis(0), axis(1), axis(2));
        if axes.determinant() < 0.0 {
            self.pixdim[0] = -1.0;
            axes.z_axis = -axes.z_axis;
        }
        let turn = DQuat::from_mat3(&axes).normalize();
        // The real part is not stored; it is taken to be positive.
        let turn = if turn.w < 0.0 { -turn } else { turn };
        self.quaternion = [turn.x, turn.y, turn.z].map(|part| self.version.rounded(part));
        for (stored, size) in self.pixdim[1..4].iter_mut().zip(sizes) {
            *stored = self.version.rounded(size);
        }
    }

    /// True for NIfTI-2, false for NIfTI-1.
    pub fn is_nifti2(&self) -> bool {
        self.version == Version::Two
    }

    /// The file's free text of at most 80 bytes.
    pub fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// From voxel indices to millimetres: the sform if its code says that it is set, else the qform, else voxel sizes
    /// alone with the origin at voxel (0, 0, 0) (the format's "method 1").
    ///
    /// # Errors
    /// [`Error::BadImage`] if that map is not finite or singular, or has voxels outside 0.01..=100 mm.
    pub fn affine(&self) -> Result<Affine> {
        if self.sform_code > 0 {
            self.sform()
        } else if self.qform_code > 0 {
            self.qform()
        } else {
            self.in_millimetres(DMat3::from_diagonal(self.voxel_sizes()), [0.0; 3])
        }
    }

    fn sform(&self) -> Result<Affine> {
        let column = |j: usize| DVec3::new(self.srow[j], self.srow[4 + j], self.srow[8 + j]);
        let axes = DMat3::from_cols(column(0), column(1), column(2));
        self.in_millimetres(axes, column(3).to_array()).map_err(|fault| explained("sform", fault))
    }

    fn qform(&self) -> Result<Affine> {
        let handedness = DVec3::new(1.0, 1.0, self.pixdim[0]);
        let sizes = DMat3::from_diagonal(self.voxel_sizes() * handedness);
        let turn = self.rotation().map_err(|fault| explained("qform", fault))?;
        self.in_millimetres(turn * sizes, self.qoffset).map_err(|fault| explained("qform", fault))
    }

    fn rotation(&self) -> Result<DMat3> {
        let [b, c, d] = self.quaternion;
        let squared = b * b + c * c + d * d;
        if squared.is_nan() || squared > LONGEST_QUATERNION {
            return Err(Error::BadImage(format!("the quaternion ({b}, {c}, {d}) is no rotation")));
        }
        let rest = 1.0 - squared;
        let a = if rest < self.version.quaternion_rounding() { 0.0 } else { rest.sqrt() };
        Ok(DMat3::from_quat(DQuat::from_xyzw(b, c, d, a).normalize()))
    }

    fn voxel_sizes(&self) -> DVec3 {
        DVec3::new(self.pixdim[1], self.pixdim[2], self.pixdim[3])
    }

    /// Millimetres of one spatial unit of this file.
    fn unit(&self) -> f64 {
        match self.xyzt_units & 7 {
            1 => 1000.0,
            3 => 0.001,
            _ => 1.0,
        }
    }

    fn in_millimetres(&self, axes: DMat3, origin: [f64; 3]) -> Result<Affine> {
        let unit = self.unit();
        let row = |r: usize| {
            [axes.col(0)[r] * unit, axes.col(1)[r] * unit, axes.col(2)[r] * unit, origin[r] * unit]
        };
        Affine::from_rows([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
    }

    /// Repairs what can be repaired, so that what is written from this header later is sound, and gives the affine.
    /// `warnings` says what was repaired or doubtful.
    pub(super) fn settle(&mut self, dims: [usize; 3], warnings: &mut Vec<String>) -> Result<Affine> {
        self.repair_signs(warnings);
        let affine = self.choose_form(dims, warnings)?;
        self.repair_sizes(&affine, warnings);
        if !matches!(self.xyzt_units & 7, 0..=3) {
            warnings.push(format!("unknown spatial unit {}: taken as millimetres", self.xyzt_units & 7));
        }
        Ok(affine)
    }

    fn repair_signs(&mut self, warnings: &mut Vec<String>) {
        self.pixdim[0] = if self.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
        if self.pixdim[1..4].iter().any(|&size| size < 0.0) {
            warnings.push(format!("negative voxel sizes {:?}: signs ignored", &self.pixdim[1..4]));
            for size in &mut self.pixdim[1..4] {
                *size = size.abs();
            }
        }
    }

    /// The affine, with the code of a form that is unusable set to 0 where the other form is usable.
    fn choose_form(&mut self, dims: [usize; 3], warnings: &mut Vec<String>) -> Result<Affine> {
        let sform = (self.sform_code > 0).then(|| self.sform());
        let qform = (self.qform_code > 0).then(|| self.qform());
        match (sform, qform) {
            (Some(Ok(sform)), Some(Ok(qform))) => {
                let distance = farthest_corner(&sform, &qform, dims);
                if distance > FORMS_AGREE_WITHIN {
                    warnings
                        .push(format!("sform and qform are up to {distance:.1} mm apart: the sform is used"));
                }
                Ok(sform)
            }
            (Some(Ok(sform)), Some(Err(fault))) => {
                warnings.push(format!("the qform is ignored: {fault}"));
                self.qform_code = 0;
                Ok(sform)
            }
            (Some(Err(fault)), Some(Ok(qform))) => {
                warnings.push(format!("the sform is ignored and the qform used: {fault}"));
                self.sform_code = 0;
                Ok(qform)
            }
            (Some(form), _) | (None, Some(form)) => form,
            (None, None) => {
                warnings.push(
                    "neither sform nor qform is set: the axes are taken to point right, front and up; check that \
                     left and right are not swapped"
                        .into(),
                );
                self.affine().map_err(|fault| explained("pixdim", fault))
            }
        }
    }

    /// Puts the affine's voxel sizes where the header has none.
    fn repair_sizes(&mut self, affine: &Affine, warnings: &mut Vec<String>) {
        let unit = self.unit();
        for (axis, size) in affine.voxel_sizes().into_iter().enumerate() {
            let stored = &mut self.pixdim[1 + axis];
            if !(stored.is_finite() && *stored > 0.0) {
                warnings.push(format!("voxel size {stored} along axis {}: the affine's is used", axis + 1));
                *stored = self.version.rounded(size / unit);
            }
        }
    }

    /// The bytes of this header, little-endian, for a three-dimensional single file.
    pub(super) fn to_bytes(&self, voxels: &StoredVoxels, description: &str) -> Vec<u8> {
        let layout = self.version.layout();
        let mut bytes = vec![0; layout.bytes];
        put_bytes(&mut bytes, 0, (layout.bytes as u32).to_le_bytes());
        bytes[layout.magic..][..layout.single_file_magic.len()].copy_from_slice(layout.single_file_magic);
        bytes[layout.descrip..][..description.len()].copy_from_slice(description.as_bytes());
        let [i, j, k] = voxels.dims.map(|voxels| voxels as f64);
        let mut put = |field: Field, values: &[f64]| field.put(&mut bytes, values);
        put(layout.dim, &[3.0, i, j, k, 1.0, 1.0, 1.0, 1.0]);
        put(layout.datatype, &[f64::from(voxels.datatype as u16)]);
        put(layout.bitpix, &[8.0 * voxels.datatype.size_of() as f64]);
        put(layout.vox_offset, &[voxels.offset as f64]);
        put(layout.scl_slope, &[voxels.slope]);
        put(layout.pixdim, &self.pixdim);
        put(layout.dim_info, &[f64::from(self.dim_info)]);
        put(layout.slice_start, &[self.slice_start]);
        put(layout.slice_end, &[self.slice_end]);
        put(layout.slice_code, &[f64::from(self.slice_code)]);
        put(layout.slice_duration, &[self.slice_duration]);
        put(layout.xyzt_units, &[f64::from(self.xyzt_units)]);
        put(layout.toffset, &[self.toffset]);
        put(layout.qform_code, &[f64::from(self.qform_code)]);
        put(layout.sform_code, &[f64::from(self.sform_code)]);
        put(layout.quaternion, &self.quaternion);
        put(layout.qoffset, &self.qoffset);
        put(layout.srow, &self.srow);
        bytes
    }
}

/// What a header to write says of the voxels behind it. The intercept is always 0.
pub(super) struct StoredVoxels {
    pub dims: [usize; 3],
    pub datatype: NiftiType,
    /// Where they start, in bytes from the start of the file.
    pub offset: usize,
    pub slope: f64,
}

/// A header as read, with what is needed to find and decode the voxels.
pub(super) struct ParsedHeader {
    pub header: Header,
    pub order: Endianness,
    /// True if the voxels follow in the same file, false if they are in an `.img`.
    pub single_file: bool,
    pub dims: [usize; 3],
    pub datatype: NiftiType,
    /// Where the voxels start, in bytes from the start of their file.
    pub offset: u64,
    /// Slope and intercept, if there is a scaling.
    pub scaling: Option<(f64, f64)>,
    pub warnings: Vec<String>,
}

impl ParsedHeader {
    /// Reads the fields of a header whose version and byte order are known. `bytes` holds at least the header.
    ///
    /// # Errors
    /// [`Error::BadImage`] for a damaged header or one that is not three-dimensional, [`Error::Unsupported`] for
    /// Analyze 7.5 and voxel types that are not real numbers, [`Error::OutOfMemory`] over a limit.
    pub(super) fn parse(bytes: &[u8], version: Version, order: Endianness, limits: &Limits) -> Result<Self> {
        let layout = version.layout();
        let mut warnings = Vec::new();
        let single_file = check_magic(bytes, version)?;
        let dims = checked_dims(layout.dim.get_all(bytes, order), limits)?;
        let datatype = checked_datatype(layout.datatype.get(bytes, order, 0))?;
        let bits = layout.bitpix.get(bytes, order, 0);
        if bits != 8.0 * datatype.size_of() as f64 {
            warnings.push(format!(
                "{bits} bits per voxel do not fit the type {datatype:?}: the type is believed"
            ));
        }
        let first_offset = if single_file { layout.bytes } else { 0 } as u64;
        let offset = checked_offset(layout.vox_offset.get(bytes, order, 0), first_offset, limits)?;
        let slope = layout.scl_slope.get(bytes, order, 0);
        let scaling = checked_scaling(slope, layout.scl_inter.get(bytes, order, 0), &mut warnings)?;
        let header = Header::parse(bytes, version, order);
        Ok(Self { header, order, single_file, dims, datatype, offset, scaling, warnings })
    }
}

impl Header {
    fn parse(bytes: &[u8], version: Version, order: Endianness) -> Self {
        let layout = version.layout();
        let number = |field: Field| field.get(bytes, order, 0);
        let description = &bytes[layout.descrip..][..DESCRIPTION_BYTES];
        let description = description.split(|&byte| byte == 0).next().unwrap_or_default();
        Self {
            version,
            pixdim: layout.pixdim.get_all(bytes, order),
            qform_code: number(layout.qform_code) as i32,
            sform_code: number(layout.sform_code) as i32,
            quaternion: layout.quaternion.get_all(bytes, order),
            qoffset: layout.qoffset.get_all(bytes, order),
            srow: layout.srow.get_all(bytes, order),
            xyzt_units: number(layout.xyzt_units) as i32,
            dim_info: number(layout.dim_info) as u8,
            slice_start: number(layout.slice_start),
            slice_end: number(layout.slice_end),
            slice_code: number(layout.slice_code) as i32,
            slice_duration: number(layout.slice_duration),
            toffset: number(layout.toffset),
            description: String::from_utf8_lossy(description).trim_end().to_owned(),
        }
    }
}

/// True for a single file, false for a pair.
fn check_magic(bytes: &[u8], version: Version) -> Result<bool> {
    let magic: [u8; 4] = bytes_at(bytes, version.layout().magic);
    match (version, &magic) {
        (Version::One, b"n+1\0") => Ok(true),
        (Version::One, b"ni1\0") => Ok(false),
        (Version::One, [0, 0, 0, 0]) => Err(Error::Unsupported(
            "this is an Analyze 7.5 file, which does not say where left and right are; convert it to NIfTI"
                .into(),
        )),
        (Version::Two, b"n+2\0" | b"ni2\0") => {
            let signature: [u8; 4] = bytes_at(bytes, version.layout().magic + 4);
            if signature != NIFTI2_SIGNATURE && signature != [0; 4] {
                let message =
                    "its line ends were changed by a transfer in text mode; copy it again in binary mode";
                return Err(Error::BadImage(message.into()));
            }
            Ok(&magic == b"n+2\0")
        }
        _ => Err(Error::BadImage(format!("not a NIfTI file: its magic is \"{}\"", magic.escape_ascii()))),
    }
}

/// The three dimensions of a header's `dim`.
fn checked_dims(dim: [f64; 8], limits: &Limits) -> Result<[usize; 3]> {
    let axes = dim[0];
    if !(1.0..=7.0).contains(&axes) {
        return Err(Error::BadImage(format!("a header of {axes} dimensions")));
    }
    // Integers in every version of the header, so that nothing is lost here.
    let dim = &dim.map(|voxels| voxels as i64)[1..=axes as usize];
    if dim.iter().any(|&voxels| voxels < 1) {
        return Err(Error::BadImage(format!("an image of {dim:?} voxels")));
    }
    if dim.len() < 3 {
        return Err(Error::BadImage(format!("an image of {} dimensions; a volume has 3", dim.len())));
    }
    // Doubles cannot overflow.
    let product = |dim: &[i64]| dim.iter().map(|&voxels| voxels as f64).product::<f64>();
    let volumes = product(&dim[3..]);
    if volumes > 1.0 {
        return Err(Error::BadImage(format!("it holds {volumes} volumes; extract the one to use")));
    }
    if dim.iter().any(|&voxels| voxels as u64 > limits.max_axis) {
        let message =
            format!("an image of {:?} voxels; at most {} per axis are read", &dim[..3], limits.max_axis);
        return Err(Error::OutOfMemory(message));
    }
    let voxels = product(dim);
    if voxels > limits.max_voxels as f64 {
        return Err(Error::OutOfMemory(format!("{voxels} voxels; at most {} are read", limits.max_voxels)));
    }
    Ok([dim[0] as usize, dim[1] as usize, dim[2] as usize])
}

fn checked_datatype(code: f64) -> Result<NiftiType> {
    let header = NiftiHeader { datatype: code as i16, ..NiftiHeader::default() };
    let datatype =
        header.data_type().map_err(|_| Error::BadImage(format!("unknown voxel type code {code}")))?;
    match datatype {
        NiftiType::Complex64
        | NiftiType::Complex128
        | NiftiType::Complex256
        | NiftiType::Float128
        | NiftiType::Rgb24
        | NiftiType::Rgba32 => Err(Error::Unsupported(format!("voxels of type {datatype:?}"))),
        _ => Ok(datatype),
    }
}

fn checked_offset(offset: f64, first: u64, limits: &Limits) -> Result<u64> {
    if offset.fract() != 0.0 || offset < first as f64 || !offset.is_finite() {
        return Err(Error::BadImage(format!(
            "voxels at byte {offset}; they cannot start before byte {first}"
        )));
    }
    let extensions = offset as u64 - first;
    if extensions > limits.max_extension_bytes.saturating_add(EXTENDER_BYTES as u64) {
        let limit = limits.max_extension_bytes;
        return Err(Error::OutOfMemory(format!(
            "{extensions} bytes of extensions; at most {limit} are read"
        )));
    }
    Ok(offset as u64)
}

fn checked_scaling(slope: f64, intercept: f64, warnings: &mut Vec<String>) -> Result<Option<(f64, f64)>> {
    if slope == 0.0 || (slope, intercept) == (1.0, 0.0) {
        return Ok(None);
    }
    if !slope.is_finite() {
        warnings.push(format!("a scaling slope of {slope}: the voxels are not scaled"));
        return Ok(None);
    }
    if !intercept.is_finite() {
        return Err(Error::BadImage(format!("a scaling of slope {slope} and intercept {intercept}")));
    }
    Ok(Some((slope, intercept)))
}

/// The largest distance, in millimetres, between where two affines put a corner of the grid.
pub(super) fn farthest_corner(one: &Affine, other: &Affine, dims: [usize; 3]) -> f64 {
    let last = dims.map(|voxels| voxels.saturating_sub(1) as f64);
    (0..8_usize)
        .map(|corner| {
            let index = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { last[axis] } else { 0.0 });
            let (a, b) = (one.to_millimetres(index), other.to_millimetres(index));
            DVec3::from_array(a).distance(DVec3::from_array(b))
        })
        .fold(0.0, f64::max)
}

/// The fault, saying which field of the header it is about.
fn explained(field: &str, fault: Error) -> Error {
    match fault {
        Error::BadImage(message) => Error::BadImage(format!("{field}: {message}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid_turned(quaternion: DQuat, sizes: [f64; 3], mirrored: bool) -> Grid {
        let sign = if mirrored { -1.0 } else { 1.0 };
        let axes = DMat3::from_quat(quaternion.normalize())
            * DMat3::from_diagonal(DVec3::new(sizes[0], sizes[1], sign * sizes[2]));
        let row = |r: usize| [axes.col(0)[r], axes.col(1)[r], axes.col(2)[r], 10.0 * r as f64 - 90.0];
        let affine = Affine::from_rows([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]).unwrap();
        Grid { dims: [200, 220, 180], affine }
    }

    #[test]
    fn a_sheared_grid_has_no_qform() {
        let rows = [[1.0, 0.2, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let grid = Grid { dims: [100; 3], affine: Affine::from_rows(rows).unwrap() };
        let header = Header::for_grid(&grid);
        assert_eq!((header.qform_code, header.sform_code), (0, 1));
        assert!(farthest_corner(&header.affine().unwrap(), &grid.affine, grid.dims) < 1e-4);
    }

    #[test]
    fn a_standard_grid_says_that_it_is_mni152() {
        let grid = grid_turned(DQuat::IDENTITY, [1.0; 3], true);
        let header = Header::for_grid(&grid).in_mni152();
        assert_eq!((header.qform_code, header.sform_code), (MNI152_CODE, MNI152_CODE));
        assert_eq!(header.affine().unwrap(), Header::for_grid(&grid).affine().unwrap());
    }

    #[test]
    fn half_turns_are_exact() {
        for axis in [DVec3::X, DVec3::Y, DVec3::Z] {
            let grid =
                grid_turned(DQuat::from_axis_angle(axis, std::f64::consts::PI), [1.0, 0.9, 3.0], false);
            let header = Header::for_grid(&grid);
            assert_eq!(header.qform_code, 1);
            assert!(farthest_corner(&header.qform().unwrap(), &grid.affine, grid.dims) < 1e-4);
        }
    }

    #[test]
    fn units_are_converted_to_millimetres() {
        let mut header = Header::for_grid(&grid_turned(DQuat::IDENTITY, [1.0; 3], false));
        header.xyzt_units = 1;
        header.srow = [0.001, 0.0, 0.0, -0.09, 0.0, 0.002, 0.0, 0.0, 0.0, 0.0, 0.003, 0.0];
        let affine = header.affine().unwrap();
        assert!((affine.voxel_sizes()[1] - 2.0).abs() < 1e-9 && (affine.rows()[0][3] + 90.0).abs() < 1e-9);
        header.xyzt_units = 3;
        header.srow = header.srow.map(|entry| entry * 1e6);
        let affine = header.affine().unwrap();
        assert!((affine.voxel_sizes()[2] - 3.0).abs() < 1e-9);
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = Limits { max_axis: 10, max_voxels: 600, ..Limits::default() };
        assert!(checked_dims([3.0, 10.0, 10.0, 6.0, 0.0, 0.0, 0.0, 0.0], &limits).is_ok());
        for dims in [[11.0, 1.0, 1.0], [10.0, 10.0, 7.0]] {
            let fault = checked_dims([3.0, dims[0], dims[1], dims[2], 1.0, 1.0, 1.0, 1.0], &limits);
            assert!(matches!(fault, Err(Error::OutOfMemory(_))));
        }
    }

    proptest! {
        #[test]
        fn a_rigid_grid_survives_its_qform(
            parts in prop::array::uniform4(-1.0_f64..1.0).prop_filter("a turn", |parts| parts.iter().map(|p| p * p).sum::<f64>() > 0.1),
            sizes in prop::array::uniform3(0.3_f64..5.0), mirrored in any::<bool>(),
        ) {
            let grid = grid_turned(DQuat::from_array(parts), sizes, mirrored);
            let header = Header::for_grid(&grid);
            prop_assert!(farthest_corner(&header.affine().unwrap(), &grid.affine, grid.dims) < 1e-3);
            if header.qform_code > 0 {
                prop_assert!(farthest_corner(&header.qform().unwrap(), &grid.affine, grid.dims) < 1e-3);
            }
        }
    }
}
