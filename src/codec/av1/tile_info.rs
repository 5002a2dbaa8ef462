//! `tile_info()`: how many tiles a frame has (AV1, 5.9.15). The names are the standard's.

use super::descriptors::ns;
use crate::codec::bit_reader::{BitFault, BitReader};

/// Widest tile, in pixels (3).
const MAX_TILE_WIDTH: u32 = 4096;
/// Largest tile, in pixels (3).
const MAX_TILE_AREA: u32 = 4096 * 2304;
/// Most tile columns (3).
const MAX_TILE_COLS: u32 = 64;
/// Most tile rows (3).
const MAX_TILE_ROWS: u32 = 64;

/// The tiles of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileInfo {
    /// `TileCols`, at most 64.
    pub tile_cols: u32,
    /// `TileRows`, at most 64.
    pub tile_rows: u32,
    /// `TileColsLog2` + `TileRowsLog2`: bits of a tile's number.
    pub tile_bits: u32,
    /// `TileSizeBytes`; 0 where there is one tile, so that no size is stored.
    pub tile_size_bytes: usize,
}

impl TileInfo {
    /// Reads the tiles of a frame of `mi_cols` times `mi_rows` units of 4x4 pixels.
    ///
    /// # Errors
    /// [`BitFault`] where it ends too early, or where there are more tiles than the standard allows.
    pub fn read(
        bits: &mut BitReader<'_>,
        use_128x128_superblock: bool,
        mi_cols: u32,
        mi_rows: u32,
    ) -> Result<Self, BitFault> {
        let sb_shift = if use_128x128_superblock { 5 } else { 4 };
        let sb_cols = mi_cols.div_ceil(1 << sb_shift);
        let sb_rows = mi_rows.div_ceil(1 << sb_shift);
        let sb_size = sb_shift + 2;
        let max_tile_width_sb = MAX_TILE_WIDTH >> sb_size;
        let max_tile_area_sb = MAX_TILE_AREA >> (2 * sb_size);
        let min_log2_tile_cols = tile_log2(max_tile_width_sb, sb_cols);
        // A frame has at most 65,536 pixels a side, that is 1024 superblocks.
        let min_log2_tiles = min_log2_tile_cols.max(tile_log2(max_tile_area_sb, sb_rows * sb_cols));

        let uniform_tile_spacing_flag = bits.flag()?;
        let (tile_cols, tile_rows, tile_cols_log2, tile_rows_log2);
        if uniform_tile_spacing_flag {
            tile_cols_log2 = increment(bits, min_log2_tile_cols, tile_log2(1, sb_cols.min(MAX_TILE_COLS)))?;
            tile_cols = sb_cols.div_ceil(sb_cols.div_ceil(1 << tile_cols_log2));
            let min_log2_tile_rows = min_log2_tiles.saturating_sub(tile_cols_log2);
            tile_rows_log2 = increment(bits, min_log2_tile_rows, tile_log2(1, sb_rows.min(MAX_TILE_ROWS)))?;
            tile_rows = sb_rows.div_ceil(sb_rows.div_ceil(1 << tile_rows_log2));
        } else {
            let widest_tile_sb;
            (tile_cols, widest_tile_sb) = sizes(bits, sb_cols, max_tile_width_sb)?;
            tile_cols_log2 = tile_log2(1, tile_cols);
            let max_tile_area_sb = match min_log2_tiles {
                0 => sb_rows * sb_cols,
                _ => (sb_rows * sb_cols) >> (min_log2_tiles + 1),
            };
            let max_tile_height_sb = (max_tile_area_sb / widest_tile_sb).max(1);
            (tile_rows, _) = sizes(bits, sb_rows, max_tile_height_sb)?;
            tile_rows_log2 = tile_log2(1, tile_rows);
        }
        if tile_cols > MAX_TILE_COLS || tile_rows > MAX_TILE_ROWS {
            return Err(bits.invalid(format!(
                "{tile_cols} times {tile_rows} tiles, expected at most {MAX_TILE_COLS} times {MAX_TILE_ROWS}"
            )));
        }

        let tile_bits = tile_cols_log2 + tile_rows_log2;
        let mut tile_size_bytes = 0;
        if tile_bits > 0 {
            let _context_update_tile_id = bits.u(tile_bits)?;
            tile_size_bytes = bits.u(2)? as usize + 1;
        }
        Ok(Self {
            tile_cols,
            tile_rows,
            tile_bits,
            tile_size_bytes,
        })
    }

    /// `NumTiles`.
    #[must_use]
    pub const fn num_tiles(&self) -> u32 {
        self.tile_cols * self.tile_rows
    }
}

/// `tile_log2()`: the smallest shift that makes `blk_size`, which is not zero, at least `target` (5.9.16).
fn tile_log2(blk_size: u32, target: u32) -> u32 {
    let mut k = 0;
    while blk_size << k < target {
        k += 1;
    }
    k
}

/// `increment_tile_cols_log2` or `increment_tile_rows_log2`, from `log2` to at most `max_log2`.
fn increment(bits: &mut BitReader<'_>, mut log2: u32, max_log2: u32) -> Result<u32, BitFault> {
    while log2 < max_log2 && bits.flag()? {
        log2 += 1;
    }
    Ok(log2)
}

/// `width_in_sbs_minus_1` or `height_in_sbs_minus_1` of tiles that fill `sbs` superblocks, each at most `max_sbs`:
/// their number, and the largest.
fn sizes(bits: &mut BitReader<'_>, sbs: u32, max_sbs: u32) -> Result<(u32, u32), BitFault> {
    let (mut tiles, mut largest, mut start_sb) = (0, 1, 0);
    while start_sb < sbs {
        let size_sb = ns(bits, (sbs - start_sb).min(max_sbs))? + 1;
        largest = largest.max(size_sb);
        start_sb += size_sb;
        tiles += 1;
    }
    Ok((tiles, largest))
}
