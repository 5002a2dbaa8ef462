//! How much memory a target may take: so much for each byte of its input, and no more whatever the input says.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// For each byte of the input, at the peak.
const BYTES_PER_BYTE: usize = 64;

/// Whatever the input: buffers, and tables of a codec's parameter sets.
const BYTES: usize = 256 << 10;

/// Runs the target `name` once, which no other thread may do meanwhile.
pub fn run(name: &str, data: &[u8]) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    crate::targets::run(name, data);
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = BYTES + BYTES_PER_BYTE * data.len();
    assert!(
        taken <= most,
        "{taken} bytes were taken for {}, at most {most} may be",
        data.len()
    );
}
