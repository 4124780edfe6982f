//! The targets: each a function of bytes over one place that reads what nobody vouches for. It panics where a promise is
//! broken, and only there.

pub(crate) mod capi;
mod evaluation;
mod lists;
mod model;
mod names;
mod nifti;
mod nrrd;
mod planted;
pub(crate) mod record;
mod transforms;

use std::sync::atomic::{AtomicU64, Ordering};

use mrisynth::{Error, Result};

use crate::{Random, Seed, mutate, seeds};

/// A change of an input by what its format knows: the input, another one, the most bytes, random numbers.
pub type Mutation = fn(&mut Vec<u8>, &[u8], usize, &mut Random);

/// A place that reads what nobody vouches for, and what a runner must know of it.
#[derive(Debug)]
pub struct Target {
    /// What it is called: on the command line, and its folders of inputs.
    pub name: &'static str,
    /// Reads an input.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Seed>,
    /// Words of the format.
    pub dictionary: &'static [&'static [u8]],
    /// Bytes that an input may have.
    pub most_bytes: usize,
    /// Bytes that one run may have allocated at once.
    pub most_memory: usize,
    /// Changes that know the format; none: bytes alone are changed.
    pub mutation: Option<Mutation>,
}

/// All targets.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "nifti_read",
        run: nifti::read,
        seeds: seeds::nifti::single_files,
        dictionary: NIFTI_WORDS,
        most_bytes: 4096,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "nifti_gzip",
        run: nifti::gzip,
        seeds: seeds::nifti::gzipped,
        dictionary: NIFTI_WORDS,
        most_bytes: 4096,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "nifti_pair",
        run: nifti::pair,
        seeds: seeds::nifti::pairs,
        dictionary: NIFTI_WORDS,
        most_bytes: 4096,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "nifti_round_trip",
        run: nifti::round_trip,
        seeds: seeds::nifti::single_files,
        dictionary: NIFTI_WORDS,
        most_bytes: 4096,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "nrrd",
        run: nrrd::read,
        seeds: seeds::text::nrrd,
        dictionary: NRRD_WORDS,
        most_bytes: 4096,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "model_file",
        run: model::file,
        seeds: seeds::model::files,
        dictionary: &[],
        most_bytes: 16 << 10,
        most_memory: 1 << 30,
        mutation: Some(model::mutate),
    },
    Target {
        name: "model_card",
        run: model::card,
        seeds: seeds::text::cards,
        dictionary: CARD_WORDS,
        most_bytes: 2048,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "capi",
        run: capi::calls,
        seeds: seeds::capi::calls,
        dictionary: &[],
        most_bytes: 4096,
        most_memory: 1 << 30,
        mutation: None,
    },
    Target {
        name: "transforms",
        run: transforms::run,
        seeds: seeds::transforms::matrices,
        dictionary: &[],
        most_bytes: 512,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "record",
        run: record::read,
        seeds: seeds::record::records,
        dictionary: RECORD_WORDS,
        most_bytes: 4096,
        most_memory: 512 << 20,
        mutation: None,
    },
    Target {
        name: "lists",
        run: lists::read,
        seeds: seeds::text::lists,
        dictionary: LIST_WORDS,
        most_bytes: 4096,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "names",
        run: names::read,
        seeds: seeds::text::names,
        dictionary: NAME_WORDS,
        most_bytes: 1024,
        most_memory: 64 << 20,
        mutation: None,
    },
    Target {
        name: "evaluation",
        run: evaluation::pair,
        seeds: seeds::evaluation::pairs,
        dictionary: &[],
        most_bytes: 2048,
        most_memory: 256 << 20,
        mutation: None,
    },
];

/// Targets with a defect each, planted so that a runner can show that it finds all kinds.
pub const PLANTED: [Target; 5] = [
    planted("planted_panic", planted::panic),
    planted("planted_crash", planted::crash),
    planted("planted_overflow", planted::overflow),
    planted("planted_hang", planted::hang),
    planted("planted_memory", planted::memory),
];

const fn planted(name: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        run,
        seeds: planted::seeds,
        dictionary: &[],
        most_bytes: 16,
        most_memory: 16 << 20,
        mutation: None,
    }
}

const NIFTI_WORDS: &[&[u8]] = &[
    b"n+1\0",
    b"ni1\0",
    b"n+2\0\r\n\x1a\n",
    b"ni2\0\r\n\x1a\n",
    b"\x5c\x01\0\0",
    b"\x1c\x02\0\0",
    b"\0\0\x01\x5c",
    b"\0\0\x02\x1c",
    b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    b"\x03\0\0\0\0\0\0\0\0\0",
    b"\0\0\0\xff\xff",
    b"SYNTHETIC T1w",
];
const NRRD_WORDS: &[&[u8]] = &[
    b"NRRD0005\n",
    b"\n\n",
    b"type: ",
    b"dimension: 3\n",
    b"space: ",
    b"left-posterior-superior",
    b"sizes: ",
    b"space directions: ",
    b"(1,0,0) ",
    b"(1e400,nan,-inf)",
    b"space origin: ",
    b"endian: big\n",
    b"encoding: gzip\n",
    b"kinds: domain domain domain\n",
    b"space units: \"mm\" \"mm\" \"mm\"\n",
    b"content: ",
    b"18446744073709551615",
    b"\xe2\x80\xa8",
    b"\r\n",
];
const CARD_WORDS: &[&[u8]] = &[
    b"\xff",
    b"\xfe",
    b"mrisynth.",
    b"format",
    b"orientation",
    b"spacing_mm",
    b"normalization",
    b"name",
    b"version",
    b"source",
    b"target",
    b"slices_in",
    b"size_multiple",
    b"window",
    b"t1w",
    b"T2W",
    b"1024",
    b"+16",
    b"016",
];
const RECORD_WORDS: &[&[u8]] = &[
    b"\"Synthetic\":true,",
    b"\"GeneratedBy\":[{\"Name\":\"mrisynth\"}],",
    b"\"Image\":{",
    b"\"Dims\":[",
    b"\"IndexToLPS\":[",
    b"\"VoxelType\":\"",
    b"uint8",
    b"label",
    b"\"Sources\":[",
    b"\"Model\":{",
    b"\"CycleResidual\":{}",
    b"1e999",
    b"-1",
    b"18446744073709551615",
    b"null",
    b"..",
    b"[[[[[[[[",
    b"\\ud800",
    b"\0",
];
const LIST_WORDS: &[&[u8]] = &[
    b"subject",
    b"method",
    b"reference",
    b"synthetic",
    b"dataset",
    b"translation",
    b"mask",
    b"lesions_reference",
    b"lesions_synthetic",
    b"labels_reference",
    b"labels_synthetic",
    b",",
    b"\"",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"#",
    b"65535",
    b"white_matter",
    b"deep_grey_matter",
    b"csf",
    b"\xc2\xa0",
    b"\xff",
];
const NAME_WORDS: &[&[u8]] = &[
    b"\n",
    b"derivatives/",
    b"sub-01/",
    b"ses-a/",
    b"anat/",
    b"sub-01",
    b"_ses-a",
    b"_desc-synthetic",
    b"_desc-brain",
    b"_label-lesion",
    b"_desc-T1w",
    b"_T1w",
    b"_T2w",
    b"_mask",
    b"_dseg",
    b".nii.gz",
    b".nii",
    b".hdr",
    b".img.gz",
    b"GiB",
    b"99999999999999999999",
    b"\xff",
    b"\xe1\xba\x9e",
];

impl Target {
    /// The target of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        static ALL: [&[Target]; 2] = [&TARGETS, &PLANTED];
        ALL.into_iter().flatten().find(|target| target.name == name)
    }

    /// Makes another input of `bytes`, perhaps with parts of `other`.
    pub fn mutate(&self, bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
        match self.mutation {
            // Bytes that are none of the format must not go without a try.
            Some(mutation) if !random.once_in(16) => mutation(bytes, other, self.most_bytes, random),
            _ => mutate::bytes(bytes, other, self.dictionary, self.most_bytes, random),
        }
    }
}

/// Makes a call, so that all that the library does once for a process is done.
pub fn call_library() {
    model::file(&seeds::model::stub());
}

/// Inputs that were taken, and not refused.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Inputs of this process that were taken for what they claim to be, and not refused.
pub fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Counts an input that was taken.
fn take() {
    TAKEN.fetch_add(1, Ordering::Relaxed);
}

/// What came of a call, or none for an error. A call must not find a defect of the library.
fn sound<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(made) => Some(made),
        Err(fault) => {
            // Whatever it is, it can be told.
            let told = fault.to_string();
            assert!(!matches!(fault.kind(), Error::Internal(_)), "{told}");
            None
        }
    }
}

/// The same of a call of the evaluation.
fn sound_evaluation<T>(outcome: mrisynth_evaluation::Result<T>) -> Option<T> {
    sound(outcome.map_err(Error::from))
}
