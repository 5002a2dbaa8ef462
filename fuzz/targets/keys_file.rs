//! `keys.json`: what is read is written again as the same records.

use vylux_pack::keys::keys_file;

use super::with_file;

pub fn run(data: &[u8]) {
    if let Ok(records) = with_file(data, keys_file::read) {
        let json = keys_file::to_json(&records).expect("records are text");
        let again = with_file(&json, keys_file::read).expect("what was written can be read");
        assert_eq!(keys_file::to_json(&again).expect("records are text"), json);
    }
}
