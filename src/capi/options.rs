//! Options of a synthesis, and the caller's callbacks as Rust closures.

use std::ffi::{c_char, c_void};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use safer_ffi::{derive_ReprC, ffi_export};

use super::boundary::enter;
use super::status::{MrisynthStatus, c_string};
use super::versioned::{self, Versioned};
use crate::control::{Control, LogLevel};
use crate::synthesize::{InputState, Options};
use crate::{Error, Result};

/// The values of MrisynthOptions.input_state: how much the caller has already done.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MrisynthInput {
    /// As it left the scanner: bias correction, brain extraction and registration are done here.
    Raw = 0,
    /// Bias-corrected, brain-extracted (background 0) and aligned to MNI152: used as it is.
    Prepared = 1,
}

/// Called on the thread that called mrisynth_synthesize(), with a fraction that never falls, ending at 1. Return 0 to
/// go on, anything else to cancel. No exception and no longjmp may leave it.
pub type MrisynthProgressFn = Option<unsafe extern "C" fn(fraction: f32, user_data: *mut c_void) -> i32>;

/// One UTF-8 line without newline, valid during the call; level 1 error, 2 warning, 3 information, 4 debug. May come
/// from worker threads, one line at a time within a call of mrisynth_synthesize(). Must not call back into this library;
/// no exception and no longjmp may leave it.
pub type MrisynthLogFn =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// How to synthesize.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MrisynthOptions {
    /// sizeof(MrisynthOptions) of the caller; set by mrisynth_options_init().
    pub struct_size: u32,
    /// 0: as many as the machine has cores.
    pub num_threads: u32,
    /// One of MRISYNTH_INPUT_*.
    pub input_state: u32,
    /// Non-zero: warn through log where MRISYNTH_STATUS_REFUSED would be returned.
    pub accept_implausible: u32,
    /// Bytes that the call may have allocated at once; 0: no limit.
    pub memory_limit: u64,
    /// May be NULL.
    pub progress: MrisynthProgressFn,
    /// May be NULL; nothing is ever written to stdout or stderr.
    pub log: MrisynthLogFn,
    /// Handed to both callbacks.
    pub user_data: *mut c_void,
}

// SAFETY: repr(C), the size first, then integers, a raw pointer and functions that may be NULL.
unsafe impl Versioned for MrisynthOptions {
    const NAME: &'static str = "MrisynthOptions";
    const FIRST_SIZE: usize = std::mem::offset_of!(MrisynthOptions, user_data) + size_of::<*mut c_void>();

    fn initial(struct_size: u32) -> Self {
        Self {
            struct_size,
            num_threads: 0,
            input_state: MrisynthInput::Raw as u32,
            accept_implausible: 0,
            memory_limit: 0,
            progress: None,
            log: None,
            user_data: std::ptr::null_mut(),
        }
    }
}

/// The caller's options, checked.
pub(super) struct Settings {
    options: MrisynthOptions,
    input_state: InputState,
}

impl Settings {
    /// Copies and checks the struct; NULL stands for the defaults.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a wrong struct size or input state.
    ///
    /// # Safety
    /// A non-NULL `options` is a readable struct that has the bytes it says it has; its callbacks may be called with its
    /// user data from now on, `log` from any thread.
    pub(super) unsafe fn new(options: *const MrisynthOptions) -> Result<Self> {
        let options = if options.is_null() {
            MrisynthOptions::initial(size_of::<MrisynthOptions>() as u32)
        } else {
            // SAFETY: the caller's promise.
            unsafe { versioned::read(options) }?
        };
        let input_state = match options.input_state {
            state if state == MrisynthInput::Raw as u32 => InputState::Raw,
            state if state == MrisynthInput::Prepared as u32 => InputState::Prepared,
            state => return Err(Error::InvalidArgument(format!("input state {state}"))),
        };
        Ok(Self { options, input_state })
    }

    /// Bytes that the call may have allocated at once.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        (self.options.memory_limit != 0).then_some(self.options.memory_limit)
    }

    /// Runs `work` with these options as the library takes them.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Options, &mut Control<'_>) -> T) -> T {
        let MrisynthOptions { progress, log, user_data, .. } = self.options;
        let mut report = |fraction: f32| {
            // SAFETY: the promise of `Settings::new`; this is the thread that called.
            let asked_to_stop =
                progress.is_some_and(|progress| unsafe { progress(fraction, user_data) } != 0);
            if asked_to_stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let log = log.map(|callback| Log { callback, user_data, turn: Mutex::new(()) });
        let write = |level: LogLevel, line: &str| {
            if let Some(log) = &log {
                log.write(level, line);
            }
        };
        let options = Options { input_state: self.input_state, ..Options::default() };
        let mut control = Control {
            threads: self.options.num_threads as usize,
            accept_implausible: self.options.accept_implausible != 0,
            memory_limit: self.memory_limit(),
            progress: Some(&mut report),
            log: Some(&write),
        };
        work(&options, &mut control)
    }
}

/// The caller's log.
struct Log {
    callback: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
    /// Held during the callback, so that lines come one at a time.
    turn: Mutex<()>,
}

// SAFETY: the callback may be called from any thread with its user data, by the contract of the header.
unsafe impl Sync for Log {}

impl Log {
    fn write(&self, level: LogLevel, line: &str) {
        let line = c_string(&line.replace(['\n', '\r'], " "));
        // The lock guards no data that a panic could leave half-written.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the promise of `Settings::new`; the line outlives the call.
        unsafe { (self.callback)(level as i32, line.as_ptr(), self.user_data) };
    }
}

/// Fills the struct with defaults: all zero but its size. Pass sizeof(MrisynthOptions).
///
/// MRISYNTH_STATUS_INVALID_ARGUMENT if options is NULL or struct_size is not that of a version of this struct; then
/// nothing is written.
///
/// The caller promises: a non-NULL options has struct_size writable bytes.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_options_init(
    options: *mut MrisynthOptions,
    struct_size: usize,
) -> MrisynthStatus {
    // SAFETY: the caller's promise.
    enter(|| unsafe { versioned::init(options, struct_size) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    unsafe extern "C" fn stop_at_half(fraction: f32, _: *mut c_void) -> i32 {
        i32::from(fraction >= 0.5)
    }

    unsafe extern "C" fn remember(level: i32, message: *const c_char, user_data: *mut c_void) {
        // SAFETY: the test below hands over a vector and logs from one thread only.
        let lines = unsafe { &mut *user_data.cast::<Vec<(i32, String)>>() };
        // SAFETY: a line is a C string.
        lines.push((level, unsafe { CStr::from_ptr(message) }.to_str().unwrap().to_owned()));
    }

    fn settings(change: impl FnOnce(&mut MrisynthOptions)) -> Result<Settings> {
        let mut options = MrisynthOptions::initial(size_of::<MrisynthOptions>() as u32);
        change(&mut options);
        // SAFETY: a whole struct of this version.
        unsafe { Settings::new(&options) }
    }

    #[test]
    fn null_stands_for_the_defaults() {
        // SAFETY: NULL is allowed.
        let settings = unsafe { Settings::new(std::ptr::null()) }.unwrap();
        settings.with(|options, control| {
            assert_eq!((control.threads, options.input_state), (0, InputState::Raw));
            assert_eq!((control.accept_implausible, control.memory_limit), (false, None));
        });
    }

    #[test]
    fn unknown_input_states_and_sizes_are_refused() {
        assert!(matches!(settings(|options| options.input_state = 2), Err(Error::InvalidArgument(_))));
        assert!(matches!(settings(|options| options.struct_size = 4), Err(Error::InvalidArgument(_))));
    }

    #[test]
    fn callbacks_are_called_with_the_users_data() {
        let mut lines: Vec<(i32, String)> = Vec::new();
        let settings = settings(|options| {
            options.progress = Some(stop_at_half);
            options.log = Some(remember);
            options.user_data = (&raw mut lines).cast();
        });
        settings.unwrap().with(|_, control| {
            let report = control.progress.as_mut().unwrap();
            assert_eq!(report(0.25), ControlFlow::Continue(()));
            assert_eq!(report(0.5), ControlFlow::Break(()));
            control.log.unwrap()(LogLevel::Warning, "two\nlines\0");
        });
        assert_eq!(lines, [(2, "two lines".to_owned())]);
    }
}
