//! Defects, planted so that a runner can show that it finds all kinds. Each waits behind a word that must be found first.

use std::hint::black_box;

use crate::Seed;

pub(super) fn seeds() -> Vec<Seed> {
    vec![("start".into(), b"start".to_vec())]
}

fn is_the_word(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'S')
}

pub(super) fn panic(bytes: &[u8]) {
    assert!(!is_the_word(bytes), "planted");
}

pub(super) fn crash(bytes: &[u8]) {
    if is_the_word(bytes) {
        std::process::abort();
    }
}

pub(super) fn overflow(bytes: &[u8]) {
    #[allow(unconditional_recursion, reason = "this is the defect")]
    fn deeper(depth: &mut [u8; 1 << 10]) -> u8 {
        let mut copy = *black_box(depth);
        copy[0] = copy[0].wrapping_add(1);
        deeper(&mut copy).wrapping_add(copy[7])
    }
    if is_the_word(bytes) {
        black_box(deeper(&mut [0; 1 << 10]));
    }
}

pub(super) fn hang(bytes: &[u8]) {
    while is_the_word(black_box(bytes)) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Asks for memory in a way that can fail: even then nothing may ask for so much.
pub(super) fn memory(bytes: &[u8]) {
    if is_the_word(bytes) {
        let _ = black_box(Vec::<u8>::new().try_reserve_exact(64 << 20));
    }
}
