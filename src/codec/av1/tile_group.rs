//! `tile_group_obu()`: where the bytes of `decode_tile()` stand (AV1, 5.11.1). The names are the standard's.

use std::ops::Range;

use super::descriptors::byte_alignment;
use super::tile_info::TileInfo;
use crate::codec::bit_reader::{BitFault, BitReader};

/// Reads a tile group that begins at the next of `bits`, which are those of `obu`, and calls `tile` with the bytes of
/// each tile, in order. `tile_num` is the first tile that is expected; returns the one behind the group's last.
///
/// # Errors
/// [`BitFault`] where tiles are missing, or don't fit.
pub fn read(
    bits: &mut BitReader<'_>,
    obu: &[u8],
    tile_info: &TileInfo,
    tile_num: u32,
    mut tile: impl FnMut(Range<usize>),
) -> Result<u32, BitFault> {
    let num_tiles = tile_info.num_tiles();
    let (mut tg_start, mut tg_end) = (0, num_tiles - 1);
    let tile_start_and_end_present_flag = num_tiles > 1 && bits.flag()?;
    if tile_start_and_end_present_flag {
        tg_start = bits.u(tile_info.tile_bits)?;
        tg_end = bits.u(tile_info.tile_bits)?;
    }
    if tg_start != tile_num || tg_end < tg_start || tg_end >= num_tiles {
        return Err(bits.invalid(format!(
            "a tile group of tiles {tg_start} to {tg_end}, expected {tile_num} to at most {}",
            num_tiles - 1
        )));
    }
    byte_alignment(bits)?;

    let mut at = bits.taken_bytes();
    let fault = |position: usize, problem: String| BitFault {
        position,
        problem: problem.into(),
    };
    for tile_num in tg_start..=tg_end {
        let left = obu.len() - at;
        let mut tile_size = left;
        if tile_num != tg_end {
            let Some(le) = obu.get(at..).and_then(|rest| rest.get(..tile_info.tile_size_bytes)) else {
                return Err(fault(at, format!("ends before the size of tile {tile_num}")));
            };
            let tile_size_minus_1 = le.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
            at += tile_info.tile_size_bytes;
            tile_size = tile_size_minus_1 + 1;
        }
        let left = obu.len() - at;
        if tile_size == 0 || tile_size > left {
            return Err(fault(
                at,
                format!("tile {tile_num} of {tile_size} bytes, with {left} left"),
            ));
        }
        tile(at..at + tile_size);
        at += tile_size;
    }
    Ok(tg_end + 1)
}
