//! Images of the caller: checked, copied into a [`Volume`], and written back.

use std::ffi::c_void;

use half::f16;
use safer_ffi::{derive_ReprC, ffi_export};

use super::boundary::{enter, null};
use super::layout::Layout;
use super::status::MrisynthStatus;
use super::versioned::{self, Versioned};
use crate::nifti::VoxelType;
use crate::{Affine, Error, Grid, Limits, Result, Volume};

/// The values of MrisynthImage.dtype. They are passed as plain integers, so that a value from a newer header is an
/// error, not undefined behaviour.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MrisynthDtype {
    /// Unsigned 8-bit integers. Synthesized values 0..1 are written as 0..255.
    U8 = 1,
    /// Signed 16-bit integers. Synthesized values 0..1 are written as 0..1000.
    I16 = 2,
    /// Unsigned 16-bit integers. Synthesized values 0..1 are written as 0..1000.
    U16 = 3,
    /// IEEE 754 binary16.
    F16 = 4,
    /// IEEE 754 binary32.
    F32 = 5,
    /// IEEE 754 binary64; rounded to binary32 on the way in.
    F64 = 6,
}

/// A caller-owned buffer of voxels and where they lie. Nothing of it is kept after the call.
///
/// Native byte order; the voxels need not be aligned. Limits: 1024 voxels along an axis, 134217728 together.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MrisynthImage {
    /// sizeof(MrisynthImage) of the caller; set by mrisynth_image_init().
    pub struct_size: u32,
    /// One of MRISYNTH_DTYPE_*.
    pub dtype: u32,
    /// First voxel, the one with index (0, 0, 0).
    pub data: *mut c_void,
    /// Voxels along i, j, k.
    pub dims: [u64; 3],
    /// Bytes between neighbours along i, j, k; all zero: packed, i fastest. May be negative, in any order and padded,
    /// but no two voxels may overlap. Of no meaning along an axis with one voxel.
    pub strides: [i64; 3],
    /// Row-major 4x4, voxel index to millimetres in LPS, as DICOM and ITK have it. The last row is 0 0 0 1.
    pub index_to_lps: [f64; 16],
}

// SAFETY: repr(C), the size first, then integers, floats and a raw pointer.
unsafe impl Versioned for MrisynthImage {
    const NAME: &'static str = "MrisynthImage";
    const FIRST_SIZE: usize = std::mem::offset_of!(MrisynthImage, index_to_lps) + size_of::<[f64; 16]>();

    fn initial(struct_size: u32) -> Self {
        Self {
            struct_size,
            dtype: MrisynthDtype::F32 as u32,
            data: std::ptr::null_mut(),
            dims: [0; 3],
            strides: [0; 3],
            index_to_lps: [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        }
    }
}

/// A caller's buffer whose every member was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    data: *mut u8,
    dtype: MrisynthDtype,
    layout: Layout,
    /// The voxel grid that the buffer holds.
    pub(super) grid: Grid,
}

impl Buffer {
    /// Copies and checks the struct; `role` names it in messages.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for NULL, sizes, strides and addresses; [`Error::Unsupported`] for an unknown voxel
    /// type; [`Error::BadImage`] for the affine.
    ///
    /// # Safety
    /// A non-NULL `image` is a readable struct that has the bytes it says it has.
    pub(super) unsafe fn new(image: *const MrisynthImage, role: &str) -> Result<Self> {
        if image.is_null() {
            return Err(null(role));
        }
        // SAFETY: the caller's promise.
        let image = unsafe { versioned::read(image) }?;
        Self::checked(&image).map_err(|fault| about(fault, role))
    }

    fn checked(image: &MrisynthImage) -> Result<Self> {
        let dtype = dtype_from(image.dtype)?;
        if image.data.is_null() {
            return Err(null("data"));
        }
        let layout = Layout::new(image.dims, image.strides, element_size(dtype), &Limits::default())?;
        if !layout.fits_at(image.data.addr()) {
            return Err(Error::InvalidArgument("data and strides leave the address space".into()));
        }
        let entry = |row: usize, column: usize| image.index_to_lps[4 * row + column];
        let affine = Affine::from_lps([0, 1, 2, 3].map(|row| [0, 1, 2, 3].map(|column| entry(row, column))))?;
        let grid = Grid { dims: layout.dims, affine };
        Ok(Self { data: image.data.cast(), dtype, layout, grid })
    }

    /// Bytes that [`Buffer::read`] allocates.
    pub(super) fn volume_bytes(&self) -> u64 {
        (self.grid.len() * size_of::<f32>()) as u64
    }

    /// A copy of the voxels as they are, without scaling.
    ///
    /// # Safety
    /// The bytes that the struct describes may be read, and nobody changes them during the call.
    pub(super) unsafe fn read(&self) -> Result<Volume> {
        let mut volume = Volume::zeros(&self.grid)?;
        let voxels = volume.as_mut_slice();
        // SAFETY: the caller's promise.
        unsafe {
            match self.dtype {
                MrisynthDtype::U8 => self.read_as::<u8>(voxels),
                MrisynthDtype::I16 => self.read_as::<i16>(voxels),
                MrisynthDtype::U16 => self.read_as::<u16>(voxels),
                MrisynthDtype::F16 => self.read_as::<f16>(voxels),
                MrisynthDtype::F32 => self.read_as::<f32>(voxels),
                MrisynthDtype::F64 => self.read_as::<f64>(voxels),
            }
        }
        Ok(volume)
    }

    /// Writes values 0..1, integers scaled to their range.
    ///
    /// # Safety
    /// The bytes that the struct describes may be written, and nobody else touches them during the call.
    pub(super) unsafe fn write(&self, volume: &Volume) -> Result<()> {
        if volume.dims() != self.grid.dims {
            let (made, wanted) = (volume.dims(), self.grid.dims);
            return Err(Error::Internal(format!("an image of {made:?} voxels was made, not {wanted:?}")));
        }
        let voxels = volume.as_slice();
        // SAFETY: the caller's promise.
        unsafe {
            match self.dtype {
                MrisynthDtype::U8 => self.write_as::<u8>(voxels),
                MrisynthDtype::I16 => self.write_as::<i16>(voxels),
                MrisynthDtype::U16 => self.write_as::<u16>(voxels),
                MrisynthDtype::F16 => self.write_as::<f16>(voxels),
                MrisynthDtype::F32 => self.write_as::<f32>(voxels),
                MrisynthDtype::F64 => self.write_as::<f64>(voxels),
            }
        }
        Ok(())
    }

    /// # Safety
    /// Those of [`Buffer::read`], and `T` is the voxel type.
    unsafe fn read_as<T: Voxel>(&self, voxels: &mut [f32]) {
        let mut voxels = voxels.iter_mut();
        self.layout.for_each_offset(|offset| {
            // SAFETY: the offset is that of a voxel, whose bytes the caller promises; alignment is not needed.
            let value = unsafe { self.data.offset(offset).cast::<T>().read_unaligned() };
            // There are as many offsets as voxels.
            if let Some(voxel) = voxels.next() {
                *voxel = value.to_f32();
            }
        });
    }

    /// # Safety
    /// Those of [`Buffer::write`], and `T` is the voxel type.
    unsafe fn write_as<T: Voxel>(&self, voxels: &[f32]) {
        let mut voxels = voxels.iter();
        self.layout.for_each_offset(|offset| {
            // There are as many offsets as voxels.
            if let Some(&voxel) = voxels.next() {
                // SAFETY: the offset is that of a voxel, whose bytes the caller promises; alignment is not needed.
                unsafe { self.data.offset(offset).cast::<T>().write_unaligned(T::from_unit(voxel)) };
            }
        });
    }
}

/// A voxel type of the caller's.
trait Voxel: Copy {
    /// The value as it is.
    fn to_f32(self) -> f32;
    /// From a value 0..1: as it is for floats, scaled and rounded half to even for integers.
    fn from_unit(value: f32) -> Self;
}

/// What a value 0..1 becomes in an integer type: the same in a caller's buffer as in a file.
fn scaled(value: f32, voxel_type: VoxelType) -> f32 {
    let scale = voxel_type.full_scale().unwrap_or(1.0);
    (value.clamp(0.0, 1.0) * scale).round_ties_even()
}

impl Voxel for u8 {
    fn to_f32(self) -> f32 {
        self.into()
    }

    fn from_unit(value: f32) -> Self {
        scaled(value, VoxelType::Uint8) as Self
    }
}

impl Voxel for i16 {
    fn to_f32(self) -> f32 {
        self.into()
    }

    fn from_unit(value: f32) -> Self {
        scaled(value, VoxelType::Int16) as Self
    }
}

impl Voxel for u16 {
    fn to_f32(self) -> f32 {
        self.into()
    }

    fn from_unit(value: f32) -> Self {
        scaled(value, VoxelType::Uint16) as Self
    }
}

impl Voxel for f16 {
    fn to_f32(self) -> f32 {
        self.into()
    }

    fn from_unit(value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl Voxel for f32 {
    fn to_f32(self) -> f32 {
        self
    }

    fn from_unit(value: f32) -> Self {
        value
    }
}

impl Voxel for f64 {
    fn to_f32(self) -> f32 {
        // A value beyond the range of floats becomes infinite, and is refused with the other non-finite ones.
        self as f32
    }

    fn from_unit(value: f32) -> Self {
        value.into()
    }
}

fn dtype_from(number: u32) -> Result<MrisynthDtype> {
    use MrisynthDtype::{F16, F32, F64, I16, U8, U16};
    let known = [U8, I16, U16, F16, F32, F64].into_iter().find(|&dtype| dtype as u32 == number);
    known.ok_or_else(|| Error::Unsupported(format!("voxel type {number}")))
}

fn element_size(dtype: MrisynthDtype) -> usize {
    match dtype {
        MrisynthDtype::U8 => 1,
        MrisynthDtype::I16 | MrisynthDtype::U16 | MrisynthDtype::F16 => 2,
        MrisynthDtype::F32 => 4,
        MrisynthDtype::F64 => 8,
    }
}

/// The same error, saying which of the caller's images it is about.
fn about(fault: Error, role: &str) -> Error {
    match fault {
        Error::InvalidArgument(text) => Error::InvalidArgument(format!("{role}: {text}")),
        Error::BadImage(text) => Error::BadImage(format!("{role}: {text}")),
        Error::Unsupported(text) => Error::Unsupported(format!("{role}: {text}")),
        other => other,
    }
}

/// Fills the struct with defaults: float voxels, no data, no voxels, packed, 1 mm, and its size. Pass
/// sizeof(MrisynthImage).
///
/// MRISYNTH_STATUS_INVALID_ARGUMENT if image is NULL or struct_size is not that of a version of this struct; then
/// nothing is written.
///
/// The caller promises: a non-NULL image has struct_size writable bytes.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_image_init(
    image: *mut MrisynthImage,
    struct_size: usize,
) -> MrisynthStatus {
    // SAFETY: the caller's promise.
    enter(|| unsafe { versioned::init(image, struct_size) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An image over `buffer`, 2 x 3 x 4 voxels.
    fn image<T>(buffer: &mut [T], dtype: MrisynthDtype) -> MrisynthImage {
        let mut image = MrisynthImage::initial(size_of::<MrisynthImage>() as u32);
        image.dtype = dtype as u32;
        image.data = buffer.as_mut_ptr().cast();
        image.dims = [2, 3, 4];
        image
    }

    fn buffer(image: &MrisynthImage) -> Result<Buffer> {
        // SAFETY: a whole struct of this version.
        unsafe { Buffer::new(image, "input") }
    }

    #[test]
    fn every_type_reads_its_values_as_they_are() {
        fn check<T: From<u8> + Copy>(dtype: MrisynthDtype) {
            let mut values: Vec<T> = (0..24_u8).map(T::from).collect();
            // SAFETY: the image lies in `values`.
            let volume = unsafe { buffer(&image(&mut values, dtype)).unwrap().read() }.unwrap();
            assert_eq!(volume.as_slice(), (0..24).map(|value| value as f32).collect::<Vec<_>>(), "{dtype:?}");
            assert_eq!(volume.dims(), [2, 3, 4]);
            // LPS on the way in, RAS inside.
            assert_eq!(volume.affine().rows()[0][0], -1.0);
        }
        check::<u8>(MrisynthDtype::U8);
        check::<i16>(MrisynthDtype::I16);
        check::<u16>(MrisynthDtype::U16);
        check::<f16>(MrisynthDtype::F16);
        check::<f32>(MrisynthDtype::F32);
        check::<f64>(MrisynthDtype::F64);
    }

    #[test]
    fn integers_take_the_full_scale_and_round_half_to_even() {
        assert_eq!([0.0, 0.5, 1.0].map(u8::from_unit), [0, 128, 255]);
        assert_eq!([0.0, 0.0005, 0.0015, 1.0].map(i16::from_unit), [0, 0, 2, 1000]);
        assert_eq!([-0.1, 0.5, 1.0, 100.0].map(u16::from_unit), [0, 500, 1000, 1000]);
        assert_eq!(f16::from_unit(0.5).to_f32(), 0.5);
    }

    #[test]
    fn voxels_need_no_alignment_and_may_run_backwards() {
        let mut bytes = vec![0_u8; 24 * 4 + 1];
        let mut image = image(&mut bytes, MrisynthDtype::F32);
        // The last voxel of a packed image, one byte off alignment, and from there backwards.
        image.data = bytes.as_mut_ptr().wrapping_add(23 * 4 + 1).cast();
        image.strides = [-4, -8, -24];
        let mirrored = buffer(&image).unwrap();
        let mut volume = Volume::zeros(&mirrored.grid).unwrap();
        volume.as_mut_slice().iter_mut().zip(0..).for_each(|(voxel, number)| *voxel = number as f32);
        // SAFETY: the image lies in `bytes`.
        let again = unsafe {
            mirrored.write(&volume).unwrap();
            mirrored.read().unwrap()
        };
        assert_eq!(again, volume);
        assert_eq!(bytes[1..5], 23_f32.to_ne_bytes());
    }

    #[test]
    fn faults_have_their_kinds_and_name_the_image() {
        let mut values = [0_f32; 24];
        let good = image(&mut values, MrisynthDtype::F32);
        let fault = |change: fn(&mut MrisynthImage)| {
            let mut image = good;
            change(&mut image);
            buffer(&image).unwrap_err()
        };
        assert!(matches!(fault(|image| image.dtype = 0), Error::Unsupported(text) if text.contains("input")));
        assert!(matches!(fault(|image| image.dtype = 7), Error::Unsupported(_)));
        assert!(matches!(fault(|image| image.data = std::ptr::null_mut()), Error::InvalidArgument(_)));
        assert!(matches!(fault(|image| image.dims[1] = 0), Error::InvalidArgument(_)));
        assert!(matches!(fault(|image| image.dims = [u64::MAX; 3]), Error::InvalidArgument(_)));
        assert!(matches!(fault(|image| image.strides = [4, 4, 4]), Error::InvalidArgument(_)));
        assert!(matches!(fault(|image| image.strides = [4, 8, i64::MIN]), Error::InvalidArgument(_)));
        assert!(matches!(fault(|image| image.struct_size = 8), Error::InvalidArgument(_)));
        assert!(matches!(fault(|image| image.index_to_lps[10] = 0.0), Error::BadImage(_)));
        assert!(matches!(fault(|image| image.index_to_lps[12] = 0.1), Error::BadImage(_)));
        assert!(matches!(fault(|image| image.index_to_lps[3] = f64::NAN), Error::BadImage(_)));
        // SAFETY: NULL is allowed, and refused.
        assert!(matches!(unsafe { Buffer::new(std::ptr::null(), "output") }, Err(Error::InvalidArgument(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in prop::collection::vec(0_u16..=1000, 24), padding in 0_i64..9) {
            let mut bytes = vec![0xA5_u8; 4096];
            let mut image = image(&mut bytes, MrisynthDtype::U16);
            image.strides = [2 + padding, 3 * (2 + padding), 11 * (2 + padding)];
            let strided = buffer(&image).unwrap();
            let mut volume = Volume::zeros(&strided.grid).unwrap();
            for (voxel, &value) in volume.as_mut_slice().iter_mut().zip(&values) {
                *voxel = f32::from(value) / 1000.0;
            }
            // SAFETY: the image lies in `bytes`.
            let again = unsafe {
                strided.write(&volume).unwrap();
                strided.read().unwrap()
            };
            let again: Vec<u16> = again.as_slice().iter().map(|&voxel| voxel as u16).collect();
            prop_assert_eq!(again, values);
            // The gaps between voxels are not ours.
            let touched = bytes.iter().filter(|&&byte| byte != 0xA5).count();
            prop_assert!(touched <= 48);
        }
    }
}
