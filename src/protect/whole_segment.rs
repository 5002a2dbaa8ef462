//! Segments encrypted as whole files: AES-128 in CBC mode with PKCS #7 padding (RFC 8216bis, 4.4.4.4, METHOD=AES-128).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use aes::Aes128;
use aes::cipher::{Array, Block, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};

use super::BLOCK_BYTES;
use crate::content_key::{ContentKey, Iv, Kid};
use crate::isobmff::ReadAt;

/// What the segments of a track are protected with; it holds the key, so it has no `Debug`.
pub struct SegmentProtection {
    /// The key's ID.
    pub kid: Kid,
    key: ContentKey,
    iv: Iv,
}

impl SegmentProtection {
    /// Segments under `key`; the first one's IV is `iv`.
    #[must_use]
    pub const fn new(key: ContentKey, kid: Kid, iv: Iv) -> Self {
        Self { kid, key, iv }
    }

    /// The IV of the segment of that index: one more than that of the segment before.
    #[must_use]
    pub fn iv(&self, segment_index: usize) -> Iv {
        let first = u128::from_be_bytes(self.iv.0);
        Iv(first.wrapping_add(segment_index as u128).to_be_bytes())
    }

    /// Encrypts the segment of that index.
    #[must_use]
    pub fn encryptor(&self, segment_index: usize) -> SegmentEncryptor {
        let cipher = Aes128::new(&Array(*self.key.expose()));
        SegmentEncryptor {
            chain: cbc::Encryptor::inner_iv_init(cipher, &Array(self.iv(segment_index).0)),
            pending: Vec::with_capacity(BLOCK_BYTES),
        }
    }
}

/// Encrypts a segment piece by piece.
pub struct SegmentEncryptor {
    chain: cbc::Encryptor<Aes128>,
    /// Bytes of a block that is not whole yet.
    pending: Vec<u8>,
}

impl SegmentEncryptor {
    /// Appends to `out` what `clear` becomes; what does not fill a block waits for more.
    pub fn push(&mut self, clear: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.append(&mut self.pending);
        out.extend_from_slice(clear);
        let encrypted = out.get_mut(start..).unwrap_or_default();
        let (blocks, rest) = Array::slice_as_chunks_mut(encrypted);
        self.chain.encrypt_blocks(blocks);
        self.pending.extend_from_slice(rest);
        out.truncate(out.len() - self.pending.len());
    }

    /// Appends the last block: what is left, and the padding, which is always there (RFC 5652, 6.3).
    pub fn finish(mut self, out: &mut Vec<u8>) {
        let padding = BLOCK_BYTES - self.pending.len();
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        let padding = vec![padding as u8; padding];
        self.push(&padding, out);
    }
}

/// An encrypted segment's file, read as what it was.
pub struct OpenedSegment {
    path: PathBuf,
    cipher: Aes128,
    iv: Iv,
    clear_bytes: u64,
}

impl OpenedSegment {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    /// Those of the system, and `InvalidData` where the file is not whole blocks that end with a padding: another key or
    /// IV is all but certain to give that.
    pub fn open(path: PathBuf, key: &ContentKey, iv: Iv) -> io::Result<Self> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let bytes = std::fs::metadata(&path)?.len();
        if bytes == 0 || !bytes.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(invalid(format!(
                "a segment under AES-128 is whole blocks of {BLOCK_BYTES} bytes, and this has {bytes} bytes"
            )));
        }
        let mut opened = Self {
            path,
            cipher: Aes128::new(&Array(*key.expose())),
            iv,
            clear_bytes: bytes,
        };
        let mut last = [0; BLOCK_BYTES];
        opened.read_exact_at(&mut last, bytes - BLOCK_BYTES as u64)?;
        let padding = last.last().copied().unwrap_or(0);
        let is_padding = (1..=BLOCK_BYTES).contains(&usize::from(padding))
            && last
                .iter()
                .rev()
                .take(usize::from(padding))
                .all(|byte| *byte == padding);
        if !is_padding {
            let what = "its last block does not end with a padding: the key or the IV is another";
            return Err(invalid(what.to_owned()));
        }
        opened.clear_bytes = bytes - u64::from(padding);
        Ok(opened)
    }
}

impl ReadAt for OpenedSegment {
    fn len(&self) -> u64 {
        self.clear_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.clear_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let block_bytes = BLOCK_BYTES as u64;
        let first_block = offset / block_bytes;
        let blocks_end = end.div_ceil(block_bytes) * block_bytes;
        // Each block is chained to the encrypted one before it.
        let chained_at = first_block.saturating_sub(1) * block_bytes;
        let bytes = usize::try_from(blocks_end - chained_at).map_err(io::Error::other)?;
        let mut data = vec![0; bytes];
        File::open(&self.path)?.read_exact_at(&mut data, chained_at)?;
        let (iv, blocks) = match data.split_first_chunk_mut() {
            Some((before, blocks)) if first_block > 0 => (*before, blocks),
            _ => (self.iv.0, data.as_mut_slice()),
        };
        let blocks_as: &mut [Block<Aes128>] = Array::slice_as_chunks_mut(blocks).0;
        cbc::Decryptor::inner_iv_init(self.cipher.clone(), &Array(iv)).decrypt_blocks(blocks_as);
        let skip = usize::try_from(offset - first_block * block_bytes).map_err(io::Error::other)?;
        let clear = blocks.get(skip..).and_then(|clear| clear.get(..buffer.len()));
        buffer.copy_from_slice(clear.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [7; 16];
    const IV: Iv = Iv([0xff; 16]);

    fn protection() -> SegmentProtection {
        SegmentProtection::new(ContentKey::new(KEY), Kid([1; 16]), IV)
    }

    #[test]
    fn each_segment_has_its_own_iv() {
        assert_eq!(protection().iv(0), IV);
        assert_eq!(protection().iv(1), Iv([0; 16]));
        assert_eq!(protection().iv(2).to_string(), "00000000000000000000000000000001");
    }

    /// Whatever the pieces, the segment is the same; and any part of it is read as what it was.
    #[test]
    fn segments_open_to_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0_usize, 1, 15, 16, 17, 31, 32, 100] {
            let clear: Vec<u8> = (0..length).map(|byte| u8::try_from(byte).unwrap()).collect();
            let encrypt = |pieces: usize| {
                let mut out = Vec::new();
                let mut encryptor = protection().encryptor(3);
                clear.chunks(pieces).for_each(|piece| encryptor.push(piece, &mut out));
                encryptor.finish(&mut out);
                out
            };
            let encrypted = encrypt(1000);
            assert_eq!(encrypted.len(), (length / 16 + 1) * 16);
            for pieces in [1, 7, 16, 33] {
                assert_eq!(encrypt(pieces), encrypted);
            }
            let path = folder.path().join(length.to_string());
            std::fs::write(&path, &encrypted).unwrap();
            let opened = OpenedSegment::open(path.clone(), &ContentKey::new(KEY), protection().iv(3)).unwrap();
            assert_eq!(opened.len(), length as u64);
            for start in 0..=length {
                for end in start..=length {
                    let mut part = vec![0; end - start];
                    opened.read_exact_at(&mut part, start as u64).unwrap();
                    assert_eq!(part, clear.get(start..end).unwrap());
                }
            }
            assert!(opened.read_exact_at(&mut vec![0; length + 1], 0).is_err());
            let wrong = OpenedSegment::open(path, &ContentKey::new([8; 16]), protection().iv(3));
            assert_eq!(wrong.err().unwrap().kind(), io::ErrorKind::InvalidData);
        }
    }
}
