//! Sample flags of `trex`, `tfhd` and `trun` (ISO/IEC 14496-12, 8.8.3.1).

/// A sync sample that depends on no other: `sample_depends_on` 2.
pub const SYNC: u32 = 0x0200_0000;

/// A sample that depends on others and is not a sync sample: `sample_depends_on` 1.
pub const NON_SYNC: u32 = 0x0100_0000 | IS_NON_SYNC;

/// `sample_is_non_sync_sample`.
pub const IS_NON_SYNC: u32 = 0x0001_0000;

/// Whether decoding can start at a sample with these flags.
#[must_use]
pub const fn is_sync(flags: u32) -> bool {
    flags & IS_NON_SYNC == 0
}
