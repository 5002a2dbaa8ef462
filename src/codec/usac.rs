//! Unified speech and audio coding, the core of xHE-AAC (ISO/IEC 23003-3): what its configuration says of the sound that comes out.

use super::bit_reader::{BitFault, BitReader};

/// What comes out of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// `usacSamplingFrequency`, in Hz.
    pub sampling_frequency_hz: u32,
    /// By `channelConfigurationIndex`, or `numOutChannels`.
    pub channels: u16,
}

/// `UsacConfig()` (5.2) up to its channels.
pub fn read_config(bits: &mut BitReader<'_>) -> Result<Output, BitFault> {
    let sampling_frequency_hz = read_sampling_frequency(bits)?;
    let _core_sbr_frame_length_index = bits.u(3)?;
    let channels = match bits.u(5)? {
        0 => read_num_out_channels(bits)?,
        1 => 1,
        2 | 8 => 2,
        3 | 9 => 3,
        4 | 10 => 4,
        5 => 5,
        6 => 6,
        11 => 7,
        7 | 12 => 8,
        13 => 24,
        reserved => return Err(bits.invalid(format!("channelConfigurationIndex is {reserved}, which is reserved"))),
    };
    Ok(Output {
        sampling_frequency_hz,
        channels,
    })
}

/// `usacSamplingFrequencyIndex`, and `usacSamplingFrequency` where it is the escape value; in Hz.
fn read_sampling_frequency(bits: &mut BitReader<'_>) -> Result<u32, BitFault> {
    const ESCAPE: u32 = 31;
    /// 0 is reserved.
    const SAMPLING_FREQUENCIES_HZ: [u32; 28] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350, 0, 0,
        57_600, 51_200, 40_000, 38_400, 34_150, 28_800, 25_600, 20_000, 19_200, 17_075, 14_400, 12_800, 9_600,
    ];
    let index = bits.u(5)?;
    if index == ESCAPE {
        return bits.u(24);
    }
    match SAMPLING_FREQUENCIES_HZ.get(index as usize) {
        None | Some(0) => Err(bits.invalid(format!("usacSamplingFrequencyIndex is {index}, which is reserved"))),
        Some(&sampling_frequency_hz) => Ok(sampling_frequency_hz),
    }
}

/// `numOutChannels` of `UsacChannelConfig()`: `escapedValue(5, 8, 16)`.
fn read_num_out_channels(bits: &mut BitReader<'_>) -> Result<u16, BitFault> {
    let mut channels = bits.u(5)?;
    if channels == 31 {
        let more = bits.u(8)?;
        channels += more;
        if more == 255 {
            channels += bits.u(16)?;
        }
    }
    match u16::try_from(channels) {
        Ok(channels) if channels > 0 => Ok(channels),
        _ => Err(bits.invalid(format!("numOutChannels is {channels}, expected 1 to 65,535"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    /// Reads fields of 5, 3, 5, 5, 8 and 16 bits.
    fn read(fields: &[u32]) -> Result<(u32, u16), String> {
        let mut bits = BitWriter::default();
        for (value, count) in fields.iter().zip([5, 3, 5, 5, 8, 16]) {
            bits.u(count, *value);
        }
        let output = read_config(&mut BitReader::plain(&bits.bytes()));
        output
            .map(|output| (output.sampling_frequency_hz, output.channels))
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn rates_and_channels() {
        assert_eq!(read(&[3, 1, 2]), Ok((48_000, 2)));
        assert_eq!(read(&[15, 1, 6]), Ok((57_600, 6)));
        assert_eq!(read(&[27, 4, 13]), Ok((9_600, 24)));
        // Two channels of their own, as of two languages.
        assert_eq!(read(&[4, 3, 8]), Ok((44_100, 2)));
        assert_eq!(read(&[4, 3, 0, 10]), Ok((44_100, 10)));
        assert_eq!(read(&[4, 3, 0, 31, 2]), Ok((44_100, 33)));
        assert_eq!(read(&[4, 3, 0, 31, 255, 1]), Ok((44_100, 287)));
        // 30,720 Hz by the escape value.
        let mut bits = BitWriter::default();
        bits.u(5, 31).u(24, 30_720).u(3, 1).u(5, 1);
        let output = read_config(&mut BitReader::plain(&bits.bytes()));
        assert_eq!(output.map(|output| output.sampling_frequency_hz), Ok(30_720));
    }

    #[test]
    fn what_is_reserved() {
        let error = "byte 0: usacSamplingFrequencyIndex is 13, which is reserved";
        assert_eq!(read(&[13, 0, 2]), Err(error.to_owned()));
        let error = "byte 0: usacSamplingFrequencyIndex is 30, which is reserved";
        assert_eq!(read(&[30, 0, 2]), Err(error.to_owned()));
        let error = "byte 1: channelConfigurationIndex is 14, which is reserved";
        assert_eq!(read(&[3, 0, 14]), Err(error.to_owned()));
        let error = "byte 2: numOutChannels is 0, expected 1 to 65,535";
        assert_eq!(read(&[3, 0, 0, 0]), Err(error.to_owned()));
        assert_eq!(
            read(&[3, 0, 0, 31, 255, 65_535]).map_err(|error| error.contains("65821")),
            Err(true)
        );
    }
}
