//! `.env`, and what is parsed of its values. Commands in it are not run.

use vylux_pack::keys::{BaseUrl, ContentId};
use vylux_pack::secret::Settings;

use super::with_file;

/// The setting that values are read from.
const NAME: &str = "A";

pub fn run(data: &[u8]) {
    let Ok(settings) = with_file(data, |path| Settings::read(path, std::iter::empty())) else {
        return;
    };
    let Some(value) = settings.get(NAME) else { return };
    if let Ok(secret) = Settings::from_iter([(NAME, &value)]).secret32(NAME) {
        assert!(secret.is_some(), "it is set");
    }
    if let Ok(url) = value.parse::<BaseUrl>() {
        let again: BaseUrl = url.to_string().parse().expect("a base URL is one again");
        assert_eq!(again.to_string(), url.to_string());
    }
    if let Ok(id) = value.parse::<ContentId>() {
        assert_eq!(id.as_str(), value);
    }
}
