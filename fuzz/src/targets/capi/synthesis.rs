//! `mrisynth_synthesize` with arbitrary arguments, on a small model, and what must hold of its output afterwards.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Mutex;

use super::abi::{self, Image, Options};
use super::image::Described;
use super::{CANCELLED, OK, check_status, line, struct_size, stub};
use crate::source::Source;
use crate::targets::take;

/// What no byte of a buffer is at the start.
const UNTOUCHED: u8 = 0xa5;
/// Scans of more cubic millimetres than this want more memory and time than a run has.
const MOST_CUBIC_MILLIMETRES: f64 = 48.0 * 48.0 * 48.0;
/// Bytes that the synthesis of such a scan may have: it must be refused before it has them.
const MEMORY_LIMIT: u64 = 3 << 20;

/// One call; a raw scan takes long, and is refused the time unless it `may_be_raw`.
pub(super) fn run(source: &mut Source<'_>, may_be_raw: bool) {
    let how = source.u8();
    let Some(input) = Described::from(source) else { return };
    let output = if how & 3 == 0 { Described::from(source) } else { Described::like(&input, source) };
    let Some(output) = output else { return };
    let calls = Mutex::new(Calls { cancel_at: source.below(64), ..Calls::default() });
    let is_large = input.cubic_millimetres() > MOST_CUBIC_MILLIMETRES;
    let options = options(source, &calls, is_large, may_be_raw);
    let mut memory = Memory::new(&input, &output, source);
    fill(&mut memory, &input, source);

    let before = memory.bytes.clone();
    let (input_bytes, output_bytes) = memory.structs(input, output);
    let inputs: [*const Image; 3] = [input_bytes.as_ptr().cast(), output_bytes.as_ptr().cast(), ptr::null()];
    let n_inputs = if how & 0x1c == 0x1c { [0, 2, 3, 3][usize::from(how / 64)] } else { 1 };
    let arguments = Arguments {
        model: if how & 0x7c == 0x40 { ptr::null() } else { stub(usize::from(how / 4)) },
        inputs: if how & 0x7c == 0x44 { ptr::null() } else { inputs.as_ptr() },
        n_inputs,
        output: if how & 0x7c == 0x48 { ptr::null() } else { output_bytes.as_ptr().cast() },
        options: if how & 0x7c == 0x4c { ptr::null() } else { options.as_ptr().cast() },
    };
    // SAFETY: a live model; pointers to structs with the bytes they say they have, or NULL; buffers with the bytes that these
    // describe, or numbers that must be refused; callbacks that may be called.
    let status = unsafe {
        abi::mrisynth_synthesize(
            arguments.model,
            arguments.inputs,
            arguments.n_inputs,
            arguments.output,
            arguments.options,
        )
    };
    check_status(status);
    if arguments.has_null() || n_inputs != 1 {
        assert_ne!(status, OK, "{arguments:?}");
    }
    let calls = calls.into_inner().expect("no callback panics");
    calls.check(status);
    memory.check_output(&before, &output, status);
    if status == OK {
        take();
    }
}

#[derive(Debug)]
struct Arguments {
    model: *const abi::Model,
    inputs: *const *const Image,
    n_inputs: usize,
    output: *const Image,
    options: *const Options,
}

impl Arguments {
    /// True if something is NULL that may not be.
    fn has_null(&self) -> bool {
        self.model.is_null() || self.inputs.is_null() || self.output.is_null()
    }
}

/// What the callbacks have heard.
#[derive(Debug, Default)]
struct Calls {
    fractions: Vec<f32>,
    faults: Vec<String>,
    /// The call of progress that asks to stop; 0: none.
    cancel_at: usize,
}

impl Calls {
    fn check(&self, status: i32) {
        assert_eq!(self.faults, Vec::<String>::new());
        assert!(self.fractions.is_sorted(), "progress falls: {:?}", self.fractions);
        assert!(self.fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)), "{:?}", self.fractions);
        if status == OK && !self.fractions.is_empty() {
            assert_eq!(self.fractions.last(), Some(&1.0));
        }
        if status == CANCELLED {
            assert!(self.cancel_at > 0 && self.fractions.len() >= self.cancel_at, "nobody asked to stop");
        }
    }
}

/// # Safety
/// `user_data` is a `Mutex<Calls>`.
unsafe extern "C" fn progress(fraction: f32, user_data: *mut c_void) -> i32 {
    // SAFETY: the promise.
    let calls = unsafe { &*user_data.cast::<Mutex<Calls>>() };
    let Ok(mut calls) = calls.lock() else { return 1 };
    calls.fractions.push(fraction);
    i32::from(calls.cancel_at > 0 && calls.fractions.len() >= calls.cancel_at)
}

/// # Safety
/// `message` is a C string, and `user_data` a `Mutex<Calls>`.
unsafe extern "C" fn log(level: i32, message: *const c_char, user_data: *mut c_void) {
    // SAFETY: the promises.
    let (line, calls) = unsafe { (line(message), &*user_data.cast::<Mutex<Calls>>()) };
    let fault = match line {
        Ok(line) if (1..=4).contains(&level) && !line.is_empty() => return,
        Ok(line) => format!("level {level}: {line:?}"),
        Err(fault) => fault,
    };
    if let Ok(mut calls) = calls.lock() {
        calls.faults.push(fault);
    }
}

/// A struct of options in as many bytes as it says it has.
fn options(source: &mut Source<'_>, calls: &Mutex<Calls>, is_large: bool, may_be_raw: bool) -> Vec<u8> {
    let how = source.u8();
    let size = struct_size(source, size_of::<Options>());
    let memory_limit = if how & 3 == 3 { source.u64() >> source.below(64) } else { 0 };
    let options = Options {
        struct_size: size as u32,
        num_threads: source.pick(&[1, 1, 1, 1, 1, 1, 2, 3]),
        input_state: match how {
            0xe0..=0xf3 => u32::from(!may_be_raw),
            0xf4..=0xf7 => source.u32(),
            _ => 1,
        },
        accept_implausible: u32::from(how & 0x0c != 0x0c),
        memory_limit: if is_large && !(1..=MEMORY_LIMIT).contains(&memory_limit) {
            MEMORY_LIMIT
        } else {
            memory_limit
        },
        progress: (how & 16 == 16).then_some(progress as _),
        log: (how & 32 == 32).then_some(log as _),
        user_data: ptr::from_ref(calls).cast_mut().cast(),
    };
    let mut bytes = vec![0x5a; size.max(size_of::<u32>())];
    let length = bytes.len().min(size_of::<Options>());
    // SAFETY: both have as many bytes; a struct of integers and pointers, without padding, is bytes.
    unsafe { ptr::copy_nonoverlapping((&raw const options).cast::<u8>(), bytes.as_mut_ptr(), length) };
    bytes
}

/// The caller's memory: both buffers, which may lie over each other.
struct Memory {
    bytes: Vec<u8>,
    /// Where the first voxels are.
    input: usize,
    output: usize,
}

impl Memory {
    fn new(input: &Described, output: &Described, source: &mut Source<'_>) -> Self {
        let start = source.below(9);
        let overlap = source.u8();
        let output_start =
            if overlap > 200 { start + usize::from(overlap - 201) } else { start + input.bytes() + 16 };
        let end = (start + input.bytes()).max(output_start + output.bytes());
        Self {
            bytes: vec![UNTOUCHED; end + 16],
            input: start + input.before,
            output: output_start + output.before,
        }
    }

    /// Both structs, with their buffers.
    fn structs(&mut self, mut input: Described, mut output: Described) -> (Vec<u8>, Vec<u8>) {
        let start = self.bytes.as_mut_ptr();
        let at = |offset: usize, is_null| {
            if is_null { ptr::null_mut() } else { start.wrapping_add(offset).cast() }
        };
        input.image.data = at(self.input, input.is_null);
        output.image.data = at(self.output, output.is_null);
        (input.to_bytes(), output.to_bytes())
    }

    /// On success nothing but the output's voxels may have changed, and these are within their range; otherwise nothing.
    fn check_output(&self, before: &[u8], output: &Described, status: i32) {
        if status != OK {
            assert!(self.bytes == before, "a call that failed with {status} has written");
            return;
        }
        let (offsets, size) = output.voxels();
        let mut may_change = vec![false; before.len()];
        for offset in offsets {
            let at = self.output.wrapping_add_signed(offset);
            may_change[at..at + size].fill(true);
            check_value(output.image.dtype, &self.bytes[at..at + size]);
        }
        let changed = self.bytes.iter().zip(before).zip(may_change);
        assert!(
            changed.into_iter().all(|((now, then), may_change)| may_change || now == then),
            "written beside the output"
        );
    }
}

fn check_value(dtype: u32, bytes: &[u8]) {
    let short = || u16::from_ne_bytes([bytes[0], bytes[1]]);
    let is_fine = match (dtype, bytes) {
        (1, _) => true,
        (2 | 3, _) => short() <= 1000,
        // Of the floats of 16 bits, those from 0 to 1.
        (4, _) => short() <= 0x3c00 || short() == 0x8000,
        (5, &[a, b, c, d]) => (0.0..=1.0).contains(&f32::from_ne_bytes([a, b, c, d])),
        (6, &[a, b, c, d, e, f, g, h]) => (0.0..=1.0).contains(&f64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => false,
    };
    assert!(is_fine, "{bytes:?} as a value of type {dtype}");
}

/// Puts a brain, or anything, into the input's voxels.
fn fill(memory: &mut Memory, input: &Described, source: &mut Source<'_>) {
    let how = source.u8();
    let (offsets, size) = input.voxels();
    let [ni, nj, nk] = input.image.dims.map(|length| length as usize);
    let margin = if how & 2 == 2 { 2 } else { 1 };
    for (number, offset) in offsets.into_iter().enumerate() {
        let at = memory.input.wrapping_add_signed(offset);
        let Some(voxel) = memory.bytes.get_mut(at..at + size) else { return };
        if how > 240 {
            let given = source.bytes(size);
            voxel[..given.len()].copy_from_slice(given);
            continue;
        }
        let place = [number % ni, number / ni % nj, number / ni / nj];
        let inside = place.iter().zip([ni, nj, nk]).all(|(&at, length)| at >= margin && at + margin < length);
        let value = if inside || how & 1 == 1 { 1 + (number as u8).wrapping_mul(how | 1) / 2 } else { 0 };
        put_value(input.image.dtype, value, voxel);
    }
}

fn put_value(dtype: u32, value: u8, voxel: &mut [u8]) {
    match dtype {
        1 => voxel[0] = value,
        2 | 3 => voxel.copy_from_slice(&u16::from(value).to_ne_bytes()),
        // Some positive number.
        4 => voxel.copy_from_slice(&(u16::from(value) * 64).to_ne_bytes()),
        5 => voxel.copy_from_slice(&f32::from(value).to_ne_bytes()),
        _ => voxel.copy_from_slice(&f64::from(value).to_ne_bytes()),
    }
}
