//! Changes of inputs that know nothing of their format, but for the words of a dictionary.

use crate::Random;

/// Numbers at the edges of types and limits.
const INTERESTING: [u64; 26] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    31,
    32,
    63,
    64,
    100,
    127,
    128,
    255,
    256,
    1023,
    1024,
    1025,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];
/// Floats that arithmetic trips over, and some that headers hold.
const INTERESTING_FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-3,
    0.01,
    100.0,
    1e10,
    1e30,
    -1e300,
    f64::MIN_POSITIVE,
    f64::EPSILON,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
/// Changes that one input is made from another by, at most.
const MAX_CHANGES: usize = 6;

/// Changes `bytes` a few times, to at most `most` bytes. `other` is another input, to take parts of.
pub fn bytes(bytes: &mut Vec<u8>, other: &[u8], dictionary: &[&[u8]], most: usize, random: &mut Random) {
    let changes = 1 + random.below(MAX_CHANGES);
    for _ in 0..changes {
        change(bytes, other, dictionary, random);
    }
    bytes.truncate(most);
}

fn change(bytes: &mut Vec<u8>, other: &[u8], dictionary: &[&[u8]], random: &mut Random) {
    match random.below(13) {
        0 => flip_bit(bytes, random),
        1 => set_byte(bytes, random),
        2 | 3 => put_number(bytes, random),
        4 => put_float(bytes, random),
        5 => add_to_number(bytes, random),
        6 => erase(bytes, random),
        7 => duplicate(bytes, random),
        8 => insert_run(bytes, random),
        9 => copy_within(bytes, random),
        10 => splice(bytes, other, random),
        11 if !dictionary.is_empty() => {
            let word: &&[u8] = random.pick(dictionary);
            put_word(bytes, word, random);
        }
        11 => set_byte(bytes, random),
        _ => cut(bytes, random),
    }
}

fn flip_bit(bytes: &mut [u8], random: &mut Random) {
    if let Some(byte) = any(bytes, random) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(bytes: &mut [u8], random: &mut Random) {
    if let Some(byte) = any(bytes, random) {
        *byte = random.next() as u8;
    }
}

fn any<'a>(bytes: &'a mut [u8], random: &mut Random) -> Option<&'a mut u8> {
    let at = random.below(bytes.len());
    bytes.get_mut(at)
}

/// Overwrites bytes from some place on.
fn put(bytes: &mut [u8], new: &[u8], random: &mut Random) {
    let new = &new[..new.len().min(bytes.len())];
    let at = random.below(bytes.len() - new.len() + 1);
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// Overwrites with a number of 1, 2, 4 or 8 bytes, in either byte order and with either sign; half of the time one that says
/// how long something is.
fn put_number(bytes: &mut [u8], random: &mut Random) {
    let length = bytes.len() as u64;
    let lengths = [length, length + 1, length.saturating_sub(1), length / 2, 2 * length];
    let number = if random.once_in(4) { *random.pick(&lengths) } else { *random.pick(&INTERESTING) };
    let number = if random.once_in(4) { number.wrapping_neg() } else { number };
    let size = 1 << random.below(4);
    let mut new = number.to_le_bytes()[..size].to_vec();
    if random.once_in(3) {
        new.reverse();
    }
    put(bytes, &new, random);
}

fn put_float(bytes: &mut [u8], random: &mut Random) {
    let number = *random.pick(&INTERESTING_FLOATS);
    if random.once_in(2) {
        put(bytes, &number.to_le_bytes(), random);
    } else {
        put(bytes, &(number as f32).to_le_bytes(), random);
    }
}

fn add_to_number(bytes: &mut [u8], random: &mut Random) {
    if let Some(byte) = any(bytes, random) {
        let by = 1 + random.below(16) as u8;
        *byte = if random.once_in(2) { byte.wrapping_add(by) } else { byte.wrapping_sub(by) };
    }
}

/// A part of `length` bytes: short ones more often.
fn part(length: usize, random: &mut Random) -> std::ops::Range<usize> {
    let most = *random.pick(&[4, 16, 64, usize::MAX]);
    let size = random.below(length.min(most) + 1);
    let start = random.below(length - size + 1);
    start..start + size
}

fn erase(bytes: &mut Vec<u8>, random: &mut Random) {
    bytes.drain(part(bytes.len(), random));
}

fn duplicate(bytes: &mut Vec<u8>, random: &mut Random) {
    let copy = bytes[part(bytes.len(), random)].to_vec();
    insert(bytes, &copy, random);
}

fn insert(bytes: &mut Vec<u8>, new: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    bytes.splice(at..at, new.iter().copied());
}

fn insert_run(bytes: &mut Vec<u8>, random: &mut Random) {
    let byte = *random.pick(&[0, 0xff, b' ', b'0', random.clone().next() as u8]);
    let count = 1 + random.below(32);
    insert(bytes, &vec![byte; count], random);
}

fn copy_within(bytes: &mut [u8], random: &mut Random) {
    let from = part(bytes.len(), random);
    let to = random.below(bytes.len() - from.len() + 1);
    bytes.copy_within(from, to);
}

/// Takes a part of the other input, as an insertion or in place of what was there.
fn splice(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let new = &other[part(other.len(), random)];
    if random.once_in(2) {
        insert(bytes, new, random);
    } else {
        put(bytes, new, random);
    }
}

fn put_word(bytes: &mut Vec<u8>, word: &[u8], random: &mut Random) {
    if random.once_in(2) {
        insert(bytes, word, random);
    } else {
        put(bytes, word, random);
    }
}

fn cut(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = random.below(bytes.len() + 1);
    if random.once_in(3) {
        bytes.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_keep_to_the_longest_and_repeat_with_the_seed() {
        for run in 0..20_000 {
            let start = vec![7; run as usize % 40];
            let changed = || {
                let mut changed = start.clone();
                bytes(&mut changed, b"other", &[b"word"], 50, &mut Random::of_run(1, run));
                changed
            };
            assert!(changed().len() <= 50);
            assert_eq!(changed(), changed());
        }
    }
}
